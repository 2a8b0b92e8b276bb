//! The real binary, for commands without a queue: stdout, stderr and exit code.

mod texts;

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// A folder to run `mailq` in, without the environment of the test process.
pub struct Folder(TempDir);

pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Folder {
    pub fn new() -> Folder {
        Folder(TempDir::new().expect("a temporary folder"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, text: &str) -> &Folder {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, text).expect("a file");
        self
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn mailq(&self, arguments: &[&str]) -> Ran {
        self.mailq_with(arguments, &[])
    }

    pub fn mailq_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        let output: Output = Command::new(env!("CARGO_BIN_EXE_mailq"))
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", installed_path())
            .envs(variables.iter().copied())
            .output()
            .expect("mailq runs");
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The value of a setting and its source, from `--print-config --json`.
fn setting(
    folder: &Folder,
    key: &str,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> (String, String) {
    let mut all = arguments.to_vec();
    all.extend(["--print-config", "--json"]);
    let ran = folder.mailq_with(&all, variables);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let document: Value = serde_json::from_str(&ran.stdout).expect("one JSON document");
    let settings = document["settings"].as_array().expect("a list");
    let found = settings.iter().find(|row| row["key"] == key);
    let found = found.unwrap_or_else(|| panic!("no {key} in {}", ran.stdout));
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_string();
    (text("value"), text("source"))
}

#[test]
fn init_creates_a_project_and_overwrites_nothing() {
    let folder = Folder::new();
    let ran = folder.mailq(&["init"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("next: `mailq run campaigns/welcome.toml`")
    );
    for name in [
        "mailq.toml",
        ".mailq/.gitignore",
        "campaigns/welcome.csv",
        "templates/welcome.txt",
    ] {
        assert!(folder.path().join(name).is_file(), "{name}");
    }
    let key = folder.read(".mailq/key");
    folder.write("templates/welcome.txt", "mine");
    let again = folder.mailq(&["init", "--json"]);
    let document: Value = serde_json::from_str(&again.stdout).expect("JSON");
    assert_eq!(document["created"], Value::Array(Vec::new()));
    assert_eq!(folder.read("templates/welcome.txt"), "mine");
    assert_eq!(folder.read(".mailq/key"), key);
}

#[test]
fn init_from_a_list_writes_the_campaign_beside_the_list() {
    let folder = Folder::new();
    folder.mailq(&["init"]);
    folder.write("lists/autumn.csv", "Name;E-Mail\nAnna;anna@example.com\n");
    let ran = folder.mailq(&["init", "--from", "lists/autumn.csv"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let campaign = folder.read("lists/autumn.toml");
    assert!(campaign.contains("email_column = \"E-Mail\""), "{campaign}");
    assert!(folder.read("templates/autumn.html").contains("{{ Name }}"));
    assert!(!folder.path().join("lists/mailq.toml").exists());

    folder.write("no.csv", "a,b\n1,2\n");
    let ran = folder.mailq(&["init", "--from", "no.csv"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.starts_with(
        "error: no.csv:1: no column looks like e-mail addresses (columns: a, b)\nhint: "
    ));
}

#[test]
fn flags_override_variables_and_variables_override_the_file() {
    let folder = Folder::new();
    folder.write("mailq.toml", "[send]\nrate = \"1/s\"\n");
    let variable = [("MAILQ_RATE", "2/s")];
    for (arguments, variables, value, source) in [
        (&["send"][..], &[][..], "1/s", "mailq.toml:2"),
        (&["send"], &variable, "2/s", "MAILQ_RATE"),
        (&["send", "--rate", "3/s"], &variable, "3/s", "--rate"),
    ] {
        let found = setting(&folder, "send.rate", arguments, variables);
        assert_eq!(found, (value.to_string(), source.to_string()));
    }
    let seeds = [
        ("SMTP_HOST", "smtp.163.com"),
        ("SMTP_PORT", "465"),
        ("SMTP_USER", "a@163.com"),
        ("SMTP_PASS", "hunter2"),
    ];
    let (url, source) = setting(&folder, "relay.url", &[], &seeds);
    assert_eq!(
        (url.as_str(), source.as_str()),
        ("smtps://smtp.163.com:465", "SMTP_HOST")
    );
    let shown = folder.mailq_with(&["--print-config", "-vvv"], &seeds);
    assert!(!format!("{}{}", shown.stdout, shown.stderr).contains("hunter2"));
}

#[test]
fn finds_the_project_of_the_campaign_from_any_folder() {
    let project = Folder::new();
    project
        .write("mailq.toml", "env = \"theirs\"\n")
        .write("campaigns/a.toml", "");
    let elsewhere = Folder::new();
    elsewhere.write("mailq.toml", "env = \"mine\"\n");
    let campaign = project.path().join("campaigns/a.toml");
    let campaign = campaign.to_string_lossy();
    assert_eq!(setting(&elsewhere, "env", &[], &[]).0, "mine");
    assert_eq!(
        setting(&elsewhere, "env", &["run", &campaign], &[]).0,
        "theirs"
    );
    let file = project.path().join("mailq.toml");
    let file = file.to_string_lossy();
    assert_eq!(
        setting(&elsewhere, "env", &["--config", &file], &[]).0,
        "theirs"
    );
    assert_eq!(
        setting(&elsewhere, "env", &[], &[("CONFIG_FILE", &file)]).0,
        "theirs"
    );
}

/// Each file has one mistake and is refused for it.
#[test]
fn refuses_each_invalid_configuration_for_its_reason() {
    for (file, error, hint) in [
        (
            "queu = \"x\"",
            "mailq.toml:1:1: unknown key `queu`",
            "did you mean `queue`?",
        ),
        (
            "rate = \"1/s\"",
            "mailq.toml:1:1: unknown key `rate`",
            "did you mean `send.rate`?",
        ),
        (
            "[send]\nrat = \"1/s\"",
            "mailq.toml:2:1: unknown key `rat` in `send`",
            "did you mean `rate`?",
        ),
        (
            "[[relay]]\nurl = \"maildir:o\"\npassword = \"hunter2\"",
            "mailq.toml:3:1: unknown key `password` in `relay`",
            "the password is not written into a file: `password_env",
        ),
        (
            "[send]\nrate = \"fast\"",
            "mailq.toml:2:8: `send.rate` is `fast`: not a rate like",
            "",
        ),
        (
            "[send]\nburst = 1.5",
            "mailq.toml:2:9: `send.burst` is a number with a fraction, not a whole number",
            "",
        ),
        (
            "[retry]\ntries = -1",
            "mailq.toml:2:9: `retry.tries` is `-1`: not a whole number",
            "",
        ),
        (
            "[retry]\nfactor = 0.5",
            "mailq.toml:2:10: `retry.factor` is `0.5`: not a number from 1 to 100",
            "",
        ),
        (
            "[retry]\ninitial = \"1ms\"",
            "mailq.toml:2:11: `retry.initial` is `1ms`: not between",
            "",
        ),
        (
            "queue = \"redis://a:9092\"",
            "mailq.toml:1:9: `queue` is `redis://a:9092`: not a queue like",
            "",
        ),
        (
            "[[relay]]\nurl = \"ftp://x\"",
            "mailq.toml:2:7: a relay URL must begin with `smtp://`",
            "a relay is `smtp://user@host:587`",
        ),
        (
            "[[relay]]\nurl = \"smtp://me:hunter2@mx\"",
            "mailq.toml:2:7: the relay URL contains a password",
            "remove it from the URL and set `password_env = \"SMTP_PASS\"`",
        ),
        (
            "[[relay]]\nuser = \"me\"",
            "mailq.toml:1:1: `url` is missing",
            "add `url = ",
        ),
        (
            "env = \"a\"\nenv = \"b\"",
            "mailq.toml:2:1: duplicate key",
            "delete one of the two lines",
        ),
        ("[send", "mailq.toml:1:6: ", ""),
    ] {
        let folder = Folder::new();
        folder.write("mailq.toml", file);
        let ran = folder.mailq(&["--print-config"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{file}");
        assert!(
            ran.stderr.starts_with(&format!("error: {error}")),
            "{file}: {}",
            ran.stderr
        );
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
        if !hint.is_empty() {
            assert!(
                ran.stderr.contains(&format!("\nhint: {hint}")),
                "{file}: {}",
                ran.stderr
            );
        }
    }
}

#[test]
fn prints_errors_as_one_json_document() {
    let folder = Folder::new();
    folder.write("mailq.toml", "queu = \"x\"");
    for arguments in [
        &["--print-config", "--json"][..],
        &["--json", "sned"],
        &["--config", "none.toml", "--print-config", "--json"],
    ] {
        let ran = folder.mailq(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}");
        let document: Value = serde_json::from_str(&ran.stdout).expect("one JSON document");
        assert_eq!(document["exit"], 2);
        assert!(
            document["error"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
        assert!(ran.stderr.starts_with("error: "));
    }
}

#[test]
fn refuses_invalid_log_settings() {
    let folder = Folder::new();
    for (variable, error) in [
        (
            ("LOG_LEVEL", "loud"),
            "error: LOG_LEVEL: `log level` is `loud`",
        ),
        (
            ("MAILQ_LOG", "mailq=loud"),
            "error: MAILQ_LOG: `mailq=loud` is not a log filter",
        ),
        (
            ("MAILQ_LOG_FORMAT", "xml"),
            "error: MAILQ_LOG_FORMAT: `log format` is `xml`",
        ),
    ] {
        let ran = folder.mailq_with(&["--print-config"], &[variable]);
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.starts_with(error), "{}", ran.stderr);
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let folder = Folder::new();
    let binary = env!("CARGO_BIN_EXE_mailq");
    // `sleep` lets the reader be gone before anything is written.
    let script = format!("(sleep 0.3; '{binary}' completions bash; echo $? >code) | true; sleep 1");
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path())
        .output()
        .expect("sh runs");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(folder.read("code").trim(), "0");
}

#[test]
fn prints_help_version_completions_and_manual() {
    let folder = Folder::new();
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["--version"],
        &["send", "--help"],
        &["dlq", "replay", "--help"],
    ] {
        let ran = folder.mailq(arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(!ran.stdout.is_empty());
    }
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = folder.mailq(&["completions", shell]);
        assert!(
            ran.code == 0 && ran.stdout.contains("max-uncommitted"),
            "{shell}"
        );
    }
    let ran = folder.mailq(&["manual", "man"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let page = folder.read("man/mailq-send.1");
    assert!(page.contains("max\\-uncommitted") && page.contains("EXIT STATUS"));
    let page = folder.read("man/mailq.1");
    assert!(page.contains("mailq\\-enqueue") && page.contains("\\fB130\\fR"));
    assert!(folder.read("man/mailq-dlq-replay.1").contains("dry\\-run"));
    assert!(folder.read("man/mailq.toml.5").contains("soft_interval"));
}

#[test]
fn the_sample_in_the_repository_is_the_generated_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sample = fs::read_to_string(root.join("mailq.toml")).expect("mailq.toml");
    assert_eq!(
        sample,
        mailq::config::project_sample(),
        "run `mailq init` in an empty folder and copy mailq.toml"
    );
}

/// The binary accepts every command line of the README.
#[test]
fn readme_command_lines_parse() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).expect("README.md");
    assert!(readme.lines().count() <= 150);
    let mut count = 0;
    for line in readme
        .lines()
        .filter_map(|line| line.strip_prefix("mailq "))
    {
        let line = line.split(" #").next().unwrap_or_default().trim();
        let words = std::iter::once("mailq").chain(line.split_whitespace());
        let parsed = <mailq::cli::Cli as clap::Parser>::try_parse_from(words);
        assert!(
            parsed.is_ok(),
            "mailq {line}: {}",
            parsed.err().map(|e| e.to_string()).unwrap_or_default()
        );
        count += 1;
    }
    assert!(count >= 8, "only {count} command lines found");
}

/// The binary accepts every command line in deploy/.
#[test]
fn deploy_command_lines_parse() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("deploy") {
        let path = entry.expect("a file").path();
        // kubernetes/ is checked by scripts/manifests.sh.
        if path.is_dir() {
            continue;
        }
        let text = fs::read_to_string(path).expect("text");
        for line in text.lines() {
            let Some((_, line)) = line.split_once("/usr/local/bin/mailq ") else {
                continue;
            };
            let words = std::iter::once("mailq").chain(line.split_whitespace());
            let parsed = <mailq::cli::Cli as clap::Parser>::try_parse_from(words);
            assert!(parsed.is_ok(), "mailq {line}");
            count += 1;
        }
    }
    assert_eq!(count, 3);
}

/// A variable with a typo is ignored with a warning.
#[test]
fn warns_of_unknown_variables() {
    let folder = Folder::new();
    let ran = folder.mailq_with(&["--print-config"], &[("MAILQ_RTAE", "1/s")]);
    assert_eq!(ran.code, 0);
    let told = ran.stderr.contains("MAILQ_RTAE") && ran.stderr.contains("MAILQ_RATE");
    assert!(told, "{}", ran.stderr);
}

/// The sample campaigns can be read, and each of their rows renders without undefined variables.
#[test]
fn sample_campaigns_render() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| match name.ends_with(".html") {
        true => AutoEscape::Html,
        false => AutoEscape::None,
    });
    environment.set_loader(minijinja::path_loader(root.join("templates")));
    for (name, rows) in [("welcome", 16), ("newsletter", 20), ("shipping-notice", 12)] {
        let path = root.join("campaigns").join(format!("{name}.toml"));
        let campaign =
            mailq::config::CampaignFile::read(&path).unwrap_or_else(|error| panic!("{error}"));
        let mut list = csv::Reader::from_path(&campaign.recipients).expect("the list");
        let mut count = 0;
        for row in list.deserialize::<BTreeMap<String, String>>() {
            let row = row.expect("a row");
            assert!(row["email"].ends_with("@example.com"));
            let values = minijinja::Value::from_pairs(row.clone());
            let subject = environment
                .render_str(&campaign.keys.subject, &values)
                .expect("the subject");
            assert!(!subject.contains(['{', '\n']), "{subject}");
            for template in [&campaign.keys.html, &campaign.keys.text]
                .into_iter()
                .flatten()
            {
                let template = environment
                    .get_template(template)
                    .unwrap_or_else(|error| panic!("{error:#}"));
                let text = template
                    .render(&values)
                    .unwrap_or_else(|error| panic!("{error:#}"));
                assert!(text.contains(&row["name"]) && text.lines().all(|line| line.len() < 998));
            }
            count += 1;
        }
        assert_eq!(count, rows, "{name}");
    }
}

/// PATH with the program's folder first, as where it is installed: another `mailq` may be on this machine.
fn installed_path() -> std::ffi::OsString {
    let own = std::path::Path::new(env!("CARGO_BIN_EXE_mailq")).parent();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = own.into_iter().map(std::path::Path::to_path_buf);
    std::env::join_paths(own.chain(std::env::split_paths(&path))).expect("folders of PATH")
}
