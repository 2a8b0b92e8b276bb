//! `expected/stdout`, `expected/stderr`, `expected/files/…` and `expected/mail/ADDRESS`.

use super::stage::Stage;
use super::transcript::{compare, normal};
use mail_parser::MessageParser;
use std::fs;
use std::path::Path;

pub fn check(stage: &Stage, folder: &Path) -> Result<(), String> {
    let folder = folder.join("expected");
    let (stdout, stderr) = stage.printed();
    if std::env::var_os("SCENARIO_WRITE").is_some() {
        write(&folder, "stdout", stdout)?;
        write(&folder, "stderr", stderr)?;
    }
    for (name, printed) in [("stdout", stdout), ("stderr", stderr)] {
        // Without the file, nothing may be printed to stdout; stderr is then free.
        match fs::read_to_string(folder.join(name)) {
            Ok(wanted) => compare(&wanted, printed),
            Err(_) if name == "stdout" => compare("", printed),
            Err(_) => Ok(()),
        }
        .map_err(|error| format!("expected/{name}:\n{error}"))?;
    }
    let names = stage.names();
    let files = folder.join("files");
    for name in super::files(&files) {
        let wanted = read(&files.join(&name))?;
        let found =
            fs::read(stage.path().join(&name)).map_err(|e| format!("{}: {e}", name.display()))?;
        let found = normal(&String::from_utf8_lossy(&found), &names);
        compare(&wanted, &found).map_err(|error| format!("{}:\n{error}", name.display()))?;
    }
    let mails = folder.join("mail");
    for name in super::files(&mails) {
        check_mail(stage, &name.to_string_lossy(), &read(&mails.join(&name))?)?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Whoever writes a scenario looks at what is written here, and keeps it if it is right.
fn write(folder: &Path, name: &str, printed: &str) -> Result<(), String> {
    let path = folder.join(name);
    if printed.is_empty()
        || fs::read_to_string(&path).is_ok_and(|old| compare(&old, printed).is_ok())
    {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    fs::write(path, printed).map_err(|error| error.to_string())
}

/// Each line stands in the mail as it came, or in its subject or a body once decoded; `!` before a line: it must not.
fn check_mail(stage: &Stage, address: &str, wanted: &str) -> Result<(), String> {
    let mails = stage.mails();
    let found = mails
        .iter()
        .find(|mail| mail.recipients.iter().any(|to| to == address));
    let mail = found.ok_or(format!("expected/mail/{address}: no mail came"))?;
    let content = mail.content.clone().unwrap_or_default();
    let parsed = MessageParser::default()
        .parse(&content)
        .ok_or("a mail that cannot be parsed")?;
    let mut text = String::from_utf8_lossy(&content).into_owned();
    text.push_str(parsed.subject().unwrap_or_default());
    for body in parsed.text_bodies().chain(parsed.html_bodies()) {
        text.push('\n');
        text.push_str(body.text_contents().unwrap_or_default());
    }
    for line in wanted.lines().filter(|line| !line.is_empty()) {
        let (line, is_wanted) = match line.strip_prefix('!') {
            Some(line) => (line, false),
            None => (line, true),
        };
        if text.contains(line) != is_wanted {
            return Err(format!(
                "expected/mail/{address}: `{line}`: wanted {is_wanted}\n{text}"
            ));
        }
    }
    Ok(())
}
