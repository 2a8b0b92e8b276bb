//! `mailq init --from LIST.csv`: a campaign and templates that use the list's columns.

use super::Files;
use crate::commands::Failure;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// A header row longer than this is no header row.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// What the list's first line tells.
#[derive(Debug, PartialEq, Eq)]
pub struct List {
    path: PathBuf,
    columns: Vec<String>,
    /// One of the columns.
    email: String,
}

/// Errors: no such file, no header row, no column that looks like addresses.
pub fn read(path: &Path) -> Result<List, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::usage(format!("cannot read `{}`", path.display())).caused_by(&error)
    };
    let path_found = std::fs::canonicalize(path).map_err(unreadable)?;
    let file = File::open(&path_found).map_err(unreadable)?;
    let mut first = Vec::new();
    BufReader::new(file)
        .take(MAX_HEADER_BYTES)
        .read_until(b'\n', &mut first)
        .map_err(unreadable)?;
    let columns = columns(&String::from_utf8_lossy(&first));
    let email = email_column(&columns).ok_or_else(|| {
        let known = columns.join(", ");
        Failure::usage(format!(
            "{}:1: no column looks like e-mail addresses (columns: {known})",
            path.display()
        ))
        .with_hint("name the column of the addresses `email`")
    })?;
    Ok(List {
        path: path_found,
        email,
        columns,
    })
}

/// Comma, semicolon or tab: whichever the header row has most of.
fn columns(first: &str) -> Vec<String> {
    let first = first.trim_start_matches('\u{feff}');
    let count = |delimiter: u8| first.bytes().filter(|byte| *byte == delimiter).count();
    let delimiter = [b',', b';', b'\t']
        .into_iter()
        .rev()
        .max_by_key(|delimiter| count(*delimiter))
        .unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .from_reader(first.as_bytes());
    let headers = reader.headers().cloned().unwrap_or_default();
    headers.iter().map(|name| name.trim().to_string()).collect()
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
    /// Beside the list where that is in the project, so that `mailq enqueue LIST.csv` finds it; else in `campaigns/`.
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

    /// Columns that a template can name as they are.
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
    fn columns_and_addresses_are_found() {
        for (first, email, count) in [
            ("email,name\n", "email", 2),
            ("\u{feff}Name;E-Mail;City\r\n", "E-Mail", 3),
            ("id\tcontact_mail\n", "contact_mail", 2),
            ("\"last, first\",email", "email", 2),
        ] {
            let found = columns(first);
            assert_eq!(found.len(), count, "{first}");
            assert_eq!(email_column(&found).as_deref(), Some(email));
        }
        assert_eq!(email_column(&columns("a,b\n")), None);
        assert_eq!(email_column(&columns("")), None);
    }

    #[test]
    fn what_is_written_can_be_read() {
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
        assert_eq!(campaign.subject, "Hello {{ name }}");
        let text = std::fs::read_to_string(root.join("templates/my \"list\".txt")).unwrap();
        assert!(text.contains("{{ email }}") && !text.contains("first name"));
    }
}
