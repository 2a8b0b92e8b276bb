//! A campaign file, read and checked: what is sent, from whom, to which list. `render/` reads the templates.

use super::document::{self, Document};
use super::error::ConfigError;
use super::keys::{CAMPAIGN, COLUMNS, CampaignKeys, HEADERS, fits_a_name, is_name};
use super::layers::Keys;
use super::layers::{Flags, Layers, Reader};
use super::project::{absolute, display_name};
use super::source::Variables;
use crate::render::CellType;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A campaign file.
#[derive(Debug, Clone)]
pub struct CampaignFile {
    /// Absolute.
    pub path: PathBuf,
    /// As messages name it.
    pub display: String,
    pub name: String,
    /// Absolute.
    pub recipients: PathBuf,
    /// Field names and templates of their values, sorted by name.
    pub headers: Vec<(String, String)>,
    /// Types of columns, by name.
    pub column_types: BTreeMap<String, CellType>,
    /// At least one of `html` and `text` is set.
    pub keys: CampaignKeys,
}

/// Fields that mailq writes itself: a second one would contradict the first.
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
    /// Errors: not a campaign file, a key that is missing or wrong.
    pub fn read(path: &Path) -> Result<CampaignFile, ConfigError> {
        let path = absolute(path)?;
        let text = document::read_text(&path)?;
        let document = Document::parse(&text, display_name(&path), &CAMPAIGN)?;
        CampaignFile::of(&document, path)
    }

    fn of(document: &Document<'_>, path: PathBuf) -> Result<CampaignFile, ConfigError> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let (variables, flags) = (Variables::default(), Flags::default());
        let layers = Layers::new(document, folder, &variables, &flags);
        let top = layers.top();
        let keys = CampaignKeys::read(&top)?;
        if keys.html.is_none() && keys.text.is_none() {
            return Err(ConfigError::MissingKey {
                at: document.file().to_string(),
                key: "html",
                example: "html = \"welcome.html\"` or `text = \"welcome.txt\"".into(),
            });
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let beside = || path.with_extension("csv");
        Ok(CampaignFile {
            name: keys.name.clone().unwrap_or_else(|| name_of(&stem)),
            recipients: keys.recipients.clone().unwrap_or_else(beside),
            headers: headers(&top)?,
            column_types: column_types(&top)?,
            display: document.file().to_string(),
            keys,
            path,
        })
    }
}

/// Parses the name of a campaign or of a run.
pub fn name(text: &str) -> Result<String, String> {
    is_name(text).map(|()| text.to_string())
}

/// The name of a campaign whose file does not give one: the stem, with `-` for what a name cannot hold.
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

/// Field names of RFC 5322, section 2.2, that mailq does not write itself, with values of one line.
fn headers(top: &Reader<'_>) -> Result<Vec<(String, String)>, ConfigError> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, text, place) in top.node().table_at(HEADERS.path).texts() {
        let lower = name.to_ascii_lowercase();
        let twice = headers
            .iter()
            .any(|(other, _)| other.eq_ignore_ascii_case(name));
        let mut cure = None;
        let why = if CAMPAIGN.key("", name).is_some() {
            cure = Some(format!("move it above `[{}]`", HEADERS.path));
            "is a key of the campaign, not a header field"
        } else if name.is_empty() {
            cure =
                Some("write the name of a header field before the `=`, or remove the line".into());
            "has no name"
        } else if name.len() > 76 || !name.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
            "is not the name of a header field"
        } else if RESERVED.contains(&lower.as_str()) || lower.starts_with("content-") {
            return Err(ConfigError::ReservedHeader {
                at: place.to_string(),
                name: name.escape_debug().to_string(),
            });
        } else if text.contains(char::is_control) {
            "contains a line break or another control character"
        } else if twice {
            "is there twice"
        } else {
            headers.push((name.to_string(), text.to_string()));
            continue;
        };
        return Err(ConfigError::BadKey {
            at: place.to_string(),
            key: format!("headers.\"{}\"", name.escape_debug()),
            why: why.into(),
            cure,
        });
    }
    Ok(headers)
}

fn column_types(top: &Reader<'_>) -> Result<BTreeMap<String, CellType>, ConfigError> {
    let mut types = BTreeMap::new();
    for (name, text, place) in top.node().table_at(COLUMNS.path).texts() {
        if text == "text" {
            continue;
        }
        let Some(cell_type) = CellType::named(text) else {
            let names = CellType::NAMES.map(|(name, _)| name).join("`, `");
            return Err(ConfigError::BadKey {
                at: place.to_string(),
                key: format!("columns.{}", name.escape_debug()),
                why: format!("is `{}`: not one of `{names}`, `text`", text.escape_debug()),
                cure: CAMPAIGN.key("", name).map(|key| {
                    format!(
                        "if it is the key `{}`, move it above `[{}]`",
                        key.name, COLUMNS.path
                    )
                }),
            });
        };
        types.insert(name.to_string(), cell_type);
    }
    Ok(types)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::OncePer;
    use crate::domain::records::InDoubtPolicy;
    use std::time::Duration;

    fn read(text: &str) -> Result<CampaignFile, ConfigError> {
        let document = Document::parse(text, "spring sale.toml".into(), &CAMPAIGN)?;
        CampaignFile::of(&document, "/p/campaigns/spring sale.toml".into())
    }

    const LEAST: &str = "from = \"Acme <news@acme.example>\"\nsubject = \"Hi\"\ntext = \"a.txt\"\n";

    #[test]
    fn derives_defaults_from_the_file() {
        let campaign = read(LEAST).unwrap();
        assert_eq!(campaign.name, "spring-sale");
        assert_eq!(campaign.keys.from.0, "Acme <news@acme.example>");
        assert_eq!(campaign.keys.return_path, None);
        assert_eq!(
            campaign.recipients,
            PathBuf::from("/p/campaigns/spring sale.csv")
        );
        assert_eq!(campaign.keys.email_column, "email");
        assert_eq!(campaign.keys.once_per, OncePer::Run);
        assert_eq!(campaign.keys.in_doubt, InDoubtPolicy::Resend);
    }

    #[test]
    fn reads_every_key() {
        let campaign = read(&format!(
            "{LEAST}name = \"春\"\nreply_to = \"help@acme.example\"\nreturn_path = \"b@acme.example\"\n\
             recipients = \"/lists/x.csv\"\nemail_column = \"mail\"\nexpires = \"24h\"\nonce_per = \"week\"\n\
             in_doubt = \"hold\"\n[headers]\n\"X-City\" = \"{{{{ city }}}}\"\n"
        ))
        .unwrap();
        assert_eq!(
            (campaign.name.as_str(), campaign.keys.email_column.as_str()),
            ("春", "mail")
        );
        let return_path = campaign.keys.return_path.map(|mailbox| mailbox.to_string());
        assert_eq!(return_path.as_deref(), Some("b@acme.example"));
        assert_eq!(campaign.recipients, PathBuf::from("/lists/x.csv"));
        assert_eq!(campaign.keys.expires, Some(Duration::from_secs(86_400)));
        assert_eq!(
            (campaign.keys.once_per, campaign.keys.in_doubt),
            (OncePer::Week, InDoubtPolicy::Hold)
        );
        assert_eq!(
            campaign.headers,
            [("X-City".to_string(), "{{ city }}".to_string())]
        );
    }

    #[test]
    fn names_the_place_of_each_error() {
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
                "`headers.\"X Y\"` is not the name of a header field",
            ),
            (
                "[headers]\n\"X-A\" = \"x\\r\\nBcc: y\"",
                "`headers.\"X-A\"` contains a line break",
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

    #[test]
    fn a_key_below_a_table_is_no_header_field() {
        let error = read(&format!("{LEAST}[headers]\nrecipients = \"x.csv\"\n")).unwrap_err();
        let wanted = "`headers.\"recipients\"` is a key of the campaign, not a header field";
        assert!(error.to_string().ends_with(wanted), "{error}");
        assert_eq!(error.hint().as_deref(), Some("move it above `[headers]`"));
    }
}
