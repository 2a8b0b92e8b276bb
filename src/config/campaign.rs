//! A campaign file, read and checked: what is sent, from whom, to which list. Templates are looked at by who renders.

use super::document::{Document, Found};
use super::error::ConfigError;
use super::keys::CAMPAIGN;
use super::project::{absolute, display_name};
use super::source::{Place, Source};
use crate::domain::records::InDoubtPolicy;
use crate::domain::span;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a campaign file says.
#[derive(Debug, Clone)]
pub struct CampaignFile {
    /// Absolute.
    pub path: PathBuf,
    /// As messages name it.
    pub display: String,
    pub name: String,
    pub from: Mailbox,
    pub reply_to: Option<Mailbox>,
    /// An address.
    pub return_path: String,
    /// A template.
    pub subject: String,
    pub subject_place: Place,
    /// File names in `templates/`; one of them at least is set.
    pub html: Option<String>,
    pub text: Option<String>,
    /// Absolute.
    pub recipients: PathBuf,
    pub email_column: String,
    pub expires: Option<Duration>,
    pub once_per: OncePer,
    pub in_doubt: InDoubtPolicy,
    /// Field names and templates of their values, sorted by name.
    pub headers: Vec<(String, String)>,
}

/// `Name <address>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    pub name: Option<String>,
    pub address: String,
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} <{}>", self.address),
            None => f.write_str(&self.address),
        }
    }
}

/// What `mailq run` sends at most once per.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OncePer {
    Run,
    Day,
    Week,
    Month,
}

/// Fields that mailq writes itself; a second one would contradict it.
const RESERVED: [&str; 14] = [
    "from",
    "to",
    "cc",
    "bcc",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "return-path",
    "received",
    "sender",
    "dkim-signature",
    "resent-from",
];

impl CampaignFile {
    /// Reads and checks a campaign file. The name's default is the file's stem with `-` for what no name may hold.
    pub fn read(path: &Path) -> Result<CampaignFile, ConfigError> {
        let path = absolute(path)?;
        let document = Document::read(&path, display_name(&path), &CAMPAIGN)?;
        CampaignFile::of(&document, path)
    }

    fn of(document: &Document, path: PathBuf) -> Result<CampaignFile, ConfigError> {
        let fields = Fields { document };
        let from = fields.required("from", "\"Me <me@example.com>\"", mailbox)?;
        let subject = fields.required("subject", "\"Hello, {{ name }}\"", text)?;
        let html = fields.get("html", text)?;
        let plain = fields.get("text", text)?;
        if html.is_none() && plain.is_none() {
            return Err(fields.missing("html", "\"welcome.html\"` or `text = \"welcome.txt\""));
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let beside = path.with_extension("csv");
        let recipients = fields.get("recipients", text)?.map_or(beside, |name| {
            path.parent().unwrap_or(Path::new("")).join(name)
        });
        Ok(CampaignFile {
            name: match fields.get("name", name)? {
                Some(name) => name,
                None => name_of(&stem),
            },
            reply_to: fields.get("reply_to", mailbox)?,
            return_path: match fields.get("return_path", mailbox)? {
                Some(mailbox) => mailbox.address,
                None => from.address.clone(),
            },
            subject_place: fields.place("subject"),
            subject,
            html,
            text: plain,
            recipients,
            email_column: fields
                .get("email_column", text)?
                .unwrap_or_else(|| "email".into()),
            expires: fields.get("expires", span::parse)?,
            once_per: fields.get("once_per", once_per)?.unwrap_or(OncePer::Run),
            in_doubt: fields.get("in_doubt", in_doubt)?.unwrap_or_default(),
            headers: headers(document)?,
            from,
            display: document.name.clone(),
            path,
        })
    }
}

/// The keys at the top of the file.
struct Fields<'a> {
    document: &'a Document,
}

impl Fields<'_> {
    fn get<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(found) = self.document.find("", key) else {
            return Ok(None);
        };
        let kind = CAMPAIGN.key("", key).map(|key| key.kind);
        kind.map_or(Ok(()), |kind| kind.check(&found.text))
            .and_then(|()| parse(&found.text))
            .map(Some)
            .map_err(|why| wrong(found, key, why))
    }

    fn required<T>(
        &self,
        key: &'static str,
        example: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        self.get(key, parse)?
            .ok_or_else(|| self.missing(key, example))
    }

    fn missing(&self, key: &'static str, example: &'static str) -> ConfigError {
        ConfigError::MissingKey {
            file: self.document.name.clone(),
            key,
            example,
        }
    }

    fn place(&self, key: &str) -> Place {
        let found = self.document.find("", key);
        found.map_or_else(
            || Place {
                file: self.document.name.clone(),
                line: 1,
                column: 1,
            },
            |found| found.place.clone(),
        )
    }
}

fn wrong(found: &Found, key: &str, why: String) -> ConfigError {
    ConfigError::bad_value(&Source::File(found.place.clone()), key, &found.text, why)
}

fn text(text: &str) -> Result<String, String> {
    Ok(text.to_string())
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    let mailbox: lettre::message::Mailbox = text
        .parse()
        .map_err(|_| "not an address like `me@example.com` or `Name <me@example.com>`")?;
    Ok(Mailbox {
        name: mailbox.name,
        address: mailbox.email.to_string(),
    })
}

/// Of a campaign, or of a run that is given one.
pub fn name(text: &str) -> Result<String, String> {
    let fits = (1..=100).contains(&text.chars().count());
    if fits && text.chars().all(fits_a_name) && !text.starts_with(['.', '-']) {
        Ok(text.to_string())
    } else {
        Err(
            "not up to 100 letters, digits, `.`, `_` and `-`, beginning with a letter or digit"
                .into(),
        )
    }
}

fn fits_a_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn name_of(stem: &str) -> String {
    let name: String = stem
        .chars()
        .map(|c| if fits_a_name(c) { c } else { '-' })
        .take(100)
        .collect();
    match name.trim_start_matches(['.', '-']) {
        "" => "campaign".to_string(),
        name => name.to_string(),
    }
}

fn once_per(text: &str) -> Result<OncePer, String> {
    Ok(match text {
        "day" => OncePer::Day,
        "week" => OncePer::Week,
        "month" => OncePer::Month,
        _ => OncePer::Run,
    })
}

fn in_doubt(text: &str) -> Result<InDoubtPolicy, String> {
    Ok(match text {
        "hold" => InDoubtPolicy::Hold,
        _ => InDoubtPolicy::Resend,
    })
}

/// Field names of RFC 5322 §2.2 that are not mailq's own, values on one line.
fn headers(document: &Document) -> Result<Vec<(String, String)>, ConfigError> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, found) in document.section("headers").flat_map(|table| &table.values) {
        let lower = name.to_ascii_lowercase();
        let twice = headers
            .iter()
            .any(|(other, _)| other.eq_ignore_ascii_case(name));
        let why = if name.is_empty()
            || name.len() > 76
            || !name.bytes().all(|b| b.is_ascii_graphic() && b != b':')
        {
            "is not a header field's name"
        } else if RESERVED.contains(&lower.as_str()) || lower.starts_with("content-") {
            "is written by mailq itself"
        } else if found.text.contains(char::is_control) {
            "holds a line break or another control character"
        } else if twice {
            "is there twice"
        } else {
            headers.push((name.clone(), found.text.clone()));
            continue;
        };
        return Err(ConfigError::BadKey {
            at: found.place.to_string(),
            key: format!("headers.\"{}\"", name.escape_debug()),
            why: why.into(),
        });
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<CampaignFile, ConfigError> {
        let document = Document::parse(text, "spring sale.toml".into(), &CAMPAIGN)?;
        CampaignFile::of(&document, "/p/campaigns/spring sale.toml".into())
    }

    const LEAST: &str = "from = \"Acme <news@acme.example>\"\nsubject = \"Hi\"\ntext = \"a.txt\"\n";

    #[test]
    fn defaults_follow_from_the_file() {
        let campaign = read(LEAST).unwrap();
        assert_eq!(campaign.name, "spring-sale");
        assert_eq!(campaign.from.name.as_deref(), Some("Acme"));
        assert_eq!(campaign.return_path, "news@acme.example");
        assert_eq!(
            campaign.recipients,
            PathBuf::from("/p/campaigns/spring sale.csv")
        );
        assert_eq!(campaign.email_column, "email");
        assert_eq!(campaign.once_per, OncePer::Run);
        assert_eq!(campaign.in_doubt, InDoubtPolicy::Resend);
        assert_eq!(campaign.subject_place.line, 2);
    }

    #[test]
    fn everything_can_be_said() {
        let campaign = read(&format!(
            "{LEAST}name = \"春\"\nreply_to = \"help@acme.example\"\nreturn_path = \"b@acme.example\"\n\
             recipients = \"/lists/x.csv\"\nemail_column = \"mail\"\nexpires = \"24h\"\nonce_per = \"week\"\n\
             in_doubt = \"hold\"\n[headers]\n\"X-City\" = \"{{{{ city }}}}\"\n"
        ))
        .unwrap();
        assert_eq!(
            (campaign.name.as_str(), campaign.email_column.as_str()),
            ("春", "mail")
        );
        assert_eq!(campaign.return_path, "b@acme.example");
        assert_eq!(campaign.recipients, PathBuf::from("/lists/x.csv"));
        assert_eq!(campaign.expires, Some(Duration::from_secs(86_400)));
        assert_eq!(
            (campaign.once_per, campaign.in_doubt),
            (OncePer::Week, InDoubtPolicy::Hold)
        );
        assert_eq!(
            campaign.headers,
            [("X-City".to_string(), "{{ city }}".to_string())]
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (file, error) in [
            (
                "subject = \"x\"\ntext = \"a\"",
                "spring sale.toml: `from` is missing",
            ),
            (
                "from = \"a@b.example\"\ntext = \"a\"",
                "spring sale.toml: `subject` is missing",
            ),
            (
                "from = \"a@b.example\"\nsubject = \"a\"",
                "spring sale.toml: `html` is missing",
            ),
            (
                "from = \"anna\"",
                "spring sale.toml:1:8: `from` is `anna`: not an address",
            ),
            (
                "form = \"a@b.example\"",
                "spring sale.toml:1:1: unknown key `form`",
            ),
            (
                "from = \"a@b.example\"\nsubject = \"a\\nBcc: x\"",
                "spring sale.toml:2:11: `subject` is",
            ),
        ] {
            let found = read(file).unwrap_err().to_string();
            assert!(found.starts_with(error), "{found}");
        }
        for (line, error) in [
            ("name = \"a/b\"", "`name` is `a/b`: not up to 100 letters"),
            (
                "once_per = \"year\"",
                "`once_per` is `year`: not one of `run`, `day`",
            ),
            ("expires = \"soon\"", "`expires` is `soon`: not a duration"),
            (
                "[headers]\n\"Subject\" = \"x\"",
                "`headers.\"Subject\"` is written by mailq itself",
            ),
            (
                "[headers]\n\"content-type\" = \"x\"",
                "`headers.\"content-type\"` is written by",
            ),
            (
                "[headers]\n\"X Y\" = \"x\"",
                "`headers.\"X Y\"` is not a header field's name",
            ),
            (
                "[headers]\n\"X-A\" = \"x\\r\\nBcc: y\"",
                "`headers.\"X-A\"` holds a line break",
            ),
            (
                "[headers]\n\"X-A\" = \"x\"\n\"x-a\" = \"y\"",
                "`headers.\"x-a\"` is there twice",
            ),
        ] {
            let found = read(&format!("{LEAST}{line}\n")).unwrap_err().to_string();
            assert!(found.contains(error), "{found}");
        }
    }
}
