//! `mailq init --from LIST.csv`: a campaign and templates that use the list's columns.

use super::files::Files;
use crate::commands::Failure;
use crate::recipients::{self, Options, RecipientsError};
use std::path::{Path, PathBuf};

/// What the header row of the list says.
#[derive(Debug, PartialEq, Eq)]
pub struct List {
    path: PathBuf,
    columns: Vec<String>,
    /// One of the columns.
    email: String,
}

/// Errors: no such file, an invalid header row, no column that looks like e-mail addresses.
pub fn read(path: &Path) -> Result<List, Failure> {
    let found = std::fs::canonicalize(path).map_err(|error| {
        Failure::usage(format!("cannot read `{}`", path.display()))
            .caused_by(&error)
            .with_hint("check the path; `--from` needs a recipients CSV")
    })?;
    // This function looks for the column of the addresses itself, so a list without a column `email` is fine.
    let columns = match recipients::columns(path, &Options::default()) {
        Err(RecipientsError::NoEmailColumn { columns, .. }) => columns,
        other => other?,
    };
    let email = email_column(&columns).ok_or_else(|| {
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
    })
}

fn email_column(columns: &[String]) -> Option<String> {
    let exact = |name: &&String| {
        let plain: String = name
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric())
            .collect();
        matches!(
            plain.as_str(),
            "email" | "mail" | "emailaddress" | "邮箱" | "电子邮件"
        )
    };
    let near = |name: &&String| name.to_lowercase().contains("mail");
    columns
        .iter()
        .find(exact)
        .or_else(|| columns.iter().find(near))
        .cloned()
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
        format!(
            "# Every key is explained in mailq.toml(5).\n\
             from = \"Me <me@example.com>\"\n\
             subject = {}\n\
             html = {}\n\
             text = {}\n\
             recipients = {}\n\
             email_column = {}\n",
            quoted(&match self.greeting() {
                Some(name) => format!("Hello {{{{ {name} }}}}"),
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
            Some(name) => format!("Hello {{{{ {name} }}}},\n\n"),
            None => "Hello,\n\n".to_string(),
        };
        text.push_str("this is what we know about you:\n\n");
        for name in self.variables() {
            text.push_str(&format!("  {name}: {{{{ {name} }}}}\n"));
        }
        text + "\nBest regards\n"
    }

    fn html(&self) -> String {
        let greeting = match self.greeting() {
            Some(name) => format!("Hello {{{{ {name} }}}},"),
            None => "Hello,".to_string(),
        };
        let rows: String = self
            .variables()
            .map(|name| format!("    <li>{name}: {{{{ {name} }}}}</li>\n"))
            .collect();
        format!(
            "<!doctype html>\n<html>\n<head><meta charset=\"utf-8\"></head>\n\
             <body style=\"font-family: sans-serif; line-height: 1.5\">\n  <p>{greeting}</p>\n  \
             <p>this is what we know about you:</p>\n  <ul>\n{rows}  </ul>\n  <p>Best regards</p>\n</body>\n</html>\n"
        )
    }

    /// Columns that a template can use as variables.
    fn variables(&self) -> impl Iterator<Item = &String> {
        self.columns.iter().filter(|name| {
            let first = name
                .chars()
                .next()
                .is_some_and(|c| c.is_alphabetic() || c == '_');
            first && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        })
    }

    fn greeting(&self) -> Option<&String> {
        ["first_name", "firstname", "name", "full_name"]
            .into_iter()
            .find_map(|wanted| self.variables().find(|name| name.to_lowercase() == wanted))
    }
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
        assert_eq!(campaign.keys.subject, "Hello {{ name }}");
        let text = std::fs::read_to_string(root.join("templates/my \"list\".txt")).unwrap();
        assert!(text.contains("{{ email }}") && !text.contains("first name"));
    }
}
