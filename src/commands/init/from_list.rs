//! `mailq init --from LIST.csv`: a campaign and templates that use the list's columns.

use super::files::Files;
use crate::commands::Failure;
use crate::recipients::{self, FileEncoding};
use std::path::{Path, PathBuf};

/// What the header row of the list says.
#[derive(Debug, PartialEq, Eq)]
pub struct List {
    path: PathBuf,
    columns: Vec<String>,
    /// One of the columns.
    email: String,
    /// For the campaign, if the list is not UTF-8.
    encoding: Option<FileEncoding>,
}

/// Rows that are looked at.
const ROWS: usize = 200;

/// Errors: no such file, an invalid header row, no column that looks like e-mail addresses.
pub fn read(path: &Path) -> Result<List, Failure> {
    let found = std::fs::canonicalize(path).map_err(|error| {
        Failure::usage(format!("cannot read `{}`", path.display()))
            .caused_by(&error)
            .with_hint("check the path; `--from` needs a recipients CSV")
    })?;
    let list = recipients::sample(path, ROWS)?;
    let columns = list.columns;
    let email = email_column(&columns, &list.rows).ok_or_else(|| {
        let known = columns.join(", ");
        Failure::usage(format!(
            "{}:1: no column looks like e-mail addresses (columns: {known})",
            path.display()
        ))
        .with_hint("rename the column of the addresses to `email`")
    })?;
    Ok(List {
        path: found,
        email,
        columns,
        encoding: list.encoding,
    })
}

/// The column with the most addresses in its cells; of those the one with the best name. Without addresses, the name
/// decides.
fn email_column(columns: &[String], rows: &[Vec<String>]) -> Option<String> {
    let found = columns.iter().enumerate().map(|(index, name)| {
        let cells = rows.iter().filter_map(|row| row.get(index));
        let addresses = cells.filter(|cell| recipients::holds_address(cell)).count();
        (addresses, fitness(name), name)
    });
    // Of equals the first one.
    let best = found.reduce(|best, other| match (other.0, other.1) > (best.0, best.1) {
        true => other,
        false => best,
    });
    best.filter(|(addresses, fitness, _)| *addresses > 0 || *fitness > 0)
        .map(|(.., name)| name.clone())
}

/// How much the name of a column sounds like addresses.
fn fitness(name: &str) -> u8 {
    let lower = name.to_lowercase();
    let plain: String = lower.chars().filter(|c| c.is_alphanumeric()).collect();
    match plain.as_str() {
        "email" | "mail" | "emailaddress" | "邮箱" | "电子邮件" => 2,
        _ => u8::from(lower.contains("mail")),
    }
}

impl List {
    /// Writes the campaign file beside a list inside the project, where `mailq enqueue` finds it, else in `campaigns/`.
    /// Returns the campaign file.
    pub fn write(&self, root: &Path, files: &mut Files) -> Result<PathBuf, Failure> {
        let inside = self.path.starts_with(root);
        let stem = self.path.file_stem().unwrap_or_default();
        let stem = stem.to_string_lossy().into_owned();
        let campaign = match inside {
            true => self.path.with_extension("toml"),
            false => root.join("campaigns").join(format!("{stem}.toml")),
        };
        let recipients = match inside {
            true => self.path.file_name().unwrap_or_default().to_string_lossy(),
            false => self.path.to_string_lossy(),
        };
        let templates = root.join("templates");
        files.write(&campaign, &self.campaign(&stem, &recipients))?;
        files.write(&templates.join(format!("{stem}.html")), &self.html())?;
        files.write(&templates.join(format!("{stem}.txt")), &self.text())?;
        Ok(campaign)
    }

    fn campaign(&self, stem: &str, recipients: &str) -> String {
        let encoding = self
            .encoding
            .map(|encoding| format!("encoding = \"{}\"\n", encoding.name()));
        let encoding = encoding.unwrap_or_default();
        format!(
            "# Every key is explained in mailq.toml(5).\n\
             from = \"Me <me@example.com>\"\n\
             subject = {}\n\
             html = {}\n\
             text = {}\n\
             recipients = {}\n\
             email_column = {}\n{encoding}",
            quoted(&match self.greeting() {
                Some(name) => format!("Hello {}", variable(name)),
                None => "Hello".to_string(),
            }),
            quoted(&format!("{stem}.html")),
            quoted(&format!("{stem}.txt")),
            quoted(recipients),
            quoted(&self.email),
        )
    }

    fn text(&self) -> String {
        let mut text = match self.greeting() {
            Some(name) => format!("Hello {},\n\n", variable(name)),
            None => "Hello,\n\n".to_string(),
        };
        text.push_str("this is what we know about you:\n\n");
        for name in &self.columns {
            text.push_str(&format!("  {}: {}\n", label(name), variable(name)));
        }
        text + "\nBest regards\n"
    }

    fn html(&self) -> String {
        let greeting = match self.greeting() {
            Some(name) => format!("Hello {},", variable(name)),
            None => "Hello,".to_string(),
        };
        let rows: String = self
            .columns
            .iter()
            .map(|name| format!("    <li>{}: {}</li>\n", html(&label(name)), variable(name)))
            .collect();
        format!(
            "<!doctype html>\n<html>\n<head><meta charset=\"utf-8\"></head>\n\
             <body style=\"font-family: sans-serif; line-height: 1.5\">\n  <p>{greeting}</p>\n  \
             <p>this is what we know about you:</p>\n  <ul>\n{rows}  </ul>\n  <p>Best regards</p>\n</body>\n</html>\n"
        )
    }

    fn greeting(&self) -> Option<&String> {
        [
            "firstname",
            "givenname",
            "vorname",
            "prénom",
            "name",
            "fullname",
            "姓名",
        ]
        .into_iter()
        .find_map(|wanted| {
            let is_wanted = |name: &&String| {
                let letters = name.chars().filter(|c| c.is_alphanumeric());
                letters.flat_map(char::to_lowercase).eq(wanted.chars())
            };
            self.columns.iter().find(is_wanted)
        })
    }
}

/// A column in a template: `{{ name }}`, or `{{ row["First Name"] }}` if the name is not a single word.
fn variable(name: &str) -> String {
    let first = name.chars().next();
    let is_word = first.is_some_and(|c| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    match is_word && !WORDS.contains(&name) {
        true => format!("{{{{ {name} }}}}"),
        false => {
            let name = name.replace('\\', "\\\\").replace('"', "\\\"");
            format!("{{{{ row[\"{name}\"] }}}}")
        }
    }
}

/// Names that mean something else in a template.
const WORDS: [&str; 12] = [
    "true", "false", "none", "True", "False", "None", "and", "or", "not", "in", "is", "if",
];

/// The name of a column as text of a template, where braces would begin a variable.
fn label(name: &str) -> String {
    name.replace(['{', '}'], " ")
}

fn html(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;")
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_columns_and_the_address_column() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let utf16 = "email\tname\n".encode_utf16().flat_map(u16::to_le_bytes);
        let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(utf16).collect();
        for (bytes, email, count) in [
            (b"email,name\n".to_vec(), "email", 2),
            (b"\xef\xbb\xbfName;E-Mail;City\r\n".to_vec(), "E-Mail", 3),
            (b"id\tcontact_mail\n".to_vec(), "contact_mail", 2),
            (b"\"last, first\",email".to_vec(), "email", 2),
            (
                b"E-mail 1 - Label,E-mail 1 - Value\n* Work,a@x.io\n,b@x.io\n".to_vec(),
                "E-mail 1 - Value",
                2,
            ),
            (b"id,contact\n1,Anna <a@x.io>\n".to_vec(), "contact", 2),
            (b"email,mail\na@x.io,b@x.io\n".to_vec(), "email", 2),
            (
                b"Bestell-E-Mail,email\na@x.io,\nb@x.io,c@x.io\n".to_vec(),
                "Bestell-E-Mail",
                2,
            ),
            (b"email,stra\xDFe\na@x.io,b\n".to_vec(), "email", 2),
            (utf16, "email", 2),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let list = read(&path).unwrap();
            assert_eq!((list.email.as_str(), list.columns.len()), (email, count));
        }
        for bytes in [&b"a,b\n"[..], b"", b"a,a\n", b"x@example.com,y\n"] {
            std::fs::write(&path, bytes).unwrap();
            assert!(read(&path).unwrap_err().hint.is_some());
        }
    }

    #[test]
    fn written_campaigns_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(folder.path()).unwrap();
        let path = root.join("my \"list\".csv");
        std::fs::write(&path, "email,first name,name,2nd\na@example.com,b,c,d\n").unwrap();
        let list = read(&path).unwrap();
        let mut files = Files::default();
        let campaign = list.write(&root, &mut files).unwrap();
        assert_eq!(campaign, root.join("my \"list\".toml"));
        let campaign = crate::config::CampaignFile::read(&campaign).unwrap();
        assert_eq!(campaign.recipients, path);
        assert_eq!(campaign.keys.subject, "Hello {{ row[\"first name\"] }}");
        let text = std::fs::read_to_string(root.join("templates/my \"list\".txt")).unwrap();
        assert!(text.contains("{{ email }}"));
        assert!(text.contains("first name: {{ row[\"first name\"] }}"));
        assert!(text.contains("2nd: {{ row[\"2nd\"] }}"));
    }
}
