//! Campaigns with templates, and rows for them.

use mailq::domain::address::Address;
use mailq::domain::recipient::RecipientRow;
use mailq::render::{CampaignContent, Composer, Content};
use std::path::{Path, PathBuf};

pub const ID: &str = "0123456789abcdef0123456789abcdef@acme.example";

pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

pub fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| text.to_string()).collect()
}

pub fn row(address: &str, fields: &[&str]) -> RecipientRow {
    RecipientRow {
        row: 0,
        line: 2,
        address: Address::parse(address).unwrap(),
        name: None,
        fields: strings(fields),
        others: Vec::new(),
    }
}

pub fn content() -> CampaignContent {
    CampaignContent {
        origin: "campaigns/sample.toml".to_string(),
        from: "Acme <news@acme.example>".to_string(),
        subject: "Hello".to_string(),
        ..CampaignContent::default()
    }
}

pub fn plain() -> (Composer, RecipientRow) {
    let content = CampaignContent {
        subject: "Order {{ order }}".to_string(),
        text: Some("notice.txt".to_string()),
        ..content()
    };
    let columns = strings(&["email", "name", "order"]);
    let content = Content::load(&content, &golden("plain/templates")).unwrap();
    let composer = content.composer(&columns, "list.csv").unwrap();
    let row = row("anna@example.org", &["anna@example.org", "Änna", "A-1 = 7"]);
    (composer, row)
}

pub fn alternative() -> (Composer, RecipientRow) {
    let content = CampaignContent {
        from: "春の店 <news@例子.example>".to_string(),
        reply_to: Some("\"Help, please\" <help@acme.example>".to_string()),
        subject: "春の大売り出し、{{ name }}様、お見逃しなく：最大半額、今週末まで".to_string(),
        html: Some("spring.html".to_string()),
        text: Some("spring.txt".to_string()),
        headers: vec![
            ("X-Campaign".to_string(), "spring".to_string()),
            (
                "List-Unsubscribe".to_string(),
                "<https://acme.example/u?a={{ email | urlencode }}>, <mailto:u@acme.example>"
                    .to_string(),
            ),
            ("X-Empty".to_string(), "{{ ' ' }}".to_string()),
        ],
        ..content()
    };
    let columns = strings(&["email", "name", "city"]);
    let content = Content::load(&content, &golden("alternative/templates")).unwrap();
    let composer = content.composer(&columns, "list.csv").unwrap();
    let row = row("hanako@例子.jp", &["hanako@例子.jp", "<花子 & Co>", "京都"]);
    (composer, row)
}

pub fn looped() -> (Composer, RecipientRow) {
    let content = CampaignContent {
        subject: "News for {{ row['First name'] }}".to_string(),
        html: Some("news.html".to_string()),
        text: Some("news.txt".to_string()),
        ..content()
    };
    let columns = strings(&["email", "First name", "titles"]);
    let content = Content::load(&content, &golden("loop/templates")).unwrap();
    let composer = content.composer(&columns, "list.csv").unwrap();
    let row = row(
        "bo@example.org",
        &["bo@example.org", "Bo", "One & two|<Three>|Four"],
    );
    (composer, row)
}

/// CRLF only, lines within the limit, ASCII, no `Date`.
pub fn check_shape(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(text.is_ascii() && text.ends_with("\r\n"));
    assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
    assert!(text.split("\r\n").all(|line| line.len() <= 998));
    let (headers, _) = text.split_once("\r\n\r\n").unwrap();
    assert!(!headers.to_lowercase().contains("\r\ndate:"));
}

/// A templates directory and a campaign of its files.
pub struct Case {
    pub directory: tempfile::TempDir,
    pub content: CampaignContent,
}

impl Case {
    pub fn new(files: &[(&str, &str)]) -> Case {
        let directory = tempfile::tempdir().unwrap();
        let templates = directory.path().join("templates");
        std::fs::create_dir(&templates).unwrap();
        for (name, source) in files {
            let path = templates.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, source).unwrap();
        }
        let content = CampaignContent {
            text: Some(files.first().map_or("a.txt", |file| file.0).to_string()),
            ..content()
        };
        Case { directory, content }
    }

    pub fn subject(mut self, subject: &str) -> Case {
        self.content.subject = subject.to_string();
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Case {
        self.content
            .headers
            .push((name.to_string(), value.to_string()));
        self
    }

    pub fn templates(&self) -> PathBuf {
        self.directory.path().join("templates")
    }

    pub fn composer(&self) -> Result<Composer, String> {
        let columns = strings(&["email", "name", "city"]);
        let content = Content::load(&self.content, &self.templates());
        let content = content.map_err(|error| error.to_string())?;
        content
            .composer(&columns, "recipients.csv")
            .map_err(|error| error.to_string())
    }

    pub fn error(&self) -> String {
        let error = self.composer().err().expect("an error");
        error.replace(&self.directory.path().display().to_string(), "…")
    }

    pub fn compose(&self, name: &str) -> Result<Vec<u8>, String> {
        let row = row("a@x.io", &["a@x.io", name, "Rome"]);
        let composed = self.composer().unwrap().compose(&row, ID);
        composed
            .map(|composed| composed.bytes)
            .map_err(|error| error.to_string())
    }
}
