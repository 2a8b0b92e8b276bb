//! Composes messages: what is the same for all is made once, the rest is rendered and encoded for each recipient.
//! Nothing random and no time goes in, so the same row makes the same bytes on every host.

use super::body::Encoding;
use super::error::{ContentError, HeaderNameProblem, RenderError, RenderProblem, TemplateError};
use super::header;
use super::mailbox::{self, Sender};
use super::row::{self, Columns};
use super::template::Templates;
use crate::domain::address::Address;
use crate::domain::chunk::MAX_MESSAGE_BYTES;
use crate::domain::recipient::RecipientRow;
use minijinja::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What a campaign file says about its messages, as it was typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CampaignContent {
    /// The campaign file's name, for messages.
    pub origin: String,
    pub from: String,
    pub reply_to: Option<String>,
    /// Default: the address of `from`.
    pub return_path: Option<String>,
    /// A template.
    pub subject: String,
    /// Names of files in the templates directory; one of both at least.
    pub html: Option<String>,
    pub text: Option<String>,
    /// Name and value; the values are templates. A value that renders to nothing leaves its field out.
    pub headers: Vec<(String, String)>,
}

/// A campaign's content, read, compiled and checked as far as possible without a list.
pub struct Content {
    from: Sender,
    return_path: Address,
    /// `From` and `Reply-To`, each with CRLF.
    from_field: Vec<u8>,
    reply_to_field: Vec<u8>,
    fields: Vec<Field>,
    html: Option<String>,
    text: Option<String>,
    templates: Templates,
}

/// A header field whose value is a template of this name.
struct Field {
    name: String,
    template: String,
    /// The whole field, where nothing in it depends on the row.
    constant: Option<Vec<u8>>,
}

/// A message without `Date`: that is written when it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// CRLF lines of at most 998 bytes, ASCII unless `needs_smtputf8`.
    pub bytes: Vec<u8>,
    /// The recipient's local part is not ASCII (RFC 6531).
    pub needs_smtputf8: bool,
}

/// What one message says, before it is encoded; for people and for checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InClear {
    /// `Subject`, then the campaign's own fields; those that are left out are not here.
    pub fields: Vec<(String, String)>,
    pub text: Option<String>,
    pub html: Option<String>,
}

impl Content {
    pub fn load(given: &CampaignContent, templates: &Path) -> Result<Content, ContentError> {
        let origin = &given.origin;
        let from = sender(origin, "from", &given.from)?;
        let reply_to = match &given.reply_to {
            Some(text) => Some(sender(origin, "reply_to", text)?),
            None => None,
        };
        let return_path = match &given.return_path {
            Some(text) => sender(origin, "return_path", text)?.address,
            None => from.address.clone(),
        };
        let files: Vec<&str> = [&given.html, &given.text]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        if files.is_empty() {
            let origin = origin.clone();
            return Err(ContentError::NoBody { origin });
        }
        let (mut fields, texts) = fields(given)?;
        let templates = Templates::load(templates, origin, &files, &texts)?;
        for field in &mut fields {
            field.constant = constant(field, &templates);
        }
        Ok(Content {
            from_field: from.as_from(),
            reply_to_field: reply_to.map(|to| to.as_reply_to()).unwrap_or_default(),
            from,
            return_path,
            fields,
            html: given.html.clone(),
            text: given.text.clone(),
            templates,
        })
    }

    /// SHA-256 in hexadecimal of each template file that a message can depend on.
    pub fn sources(&self) -> BTreeMap<String, String> {
        self.templates.sources()
    }

    /// The columns that reach a header: what `recipients::Options::header_columns` wants.
    pub fn header_columns(&self, columns: &[String]) -> Vec<String> {
        self.templates.header_columns(columns)
    }

    /// Checks all variables against the columns of a list; `recipients` is its name for messages.
    pub fn composer(self, columns: &[String], recipients: &str) -> Result<Composer, TemplateError> {
        self.templates.check(columns, recipients)?;
        Ok(Composer {
            content: self,
            columns: Arc::new(Columns::new(columns)),
        })
    }
}

fn sender(origin: &str, key: &'static str, text: &str) -> Result<Sender, ContentError> {
    mailbox::parse(text).map_err(|what| ContentError::Mailbox {
        origin: origin.to_string(),
        key,
        value: text
            .chars()
            .flat_map(char::escape_debug)
            .take(200)
            .collect(),
        what,
    })
}

/// Templates that stand in the campaign file: name and source.
type Texts = Vec<(String, String)>;

/// `Subject` and the campaign's own fields, and their templates.
fn fields(given: &CampaignContent) -> Result<(Vec<Field>, Texts), ContentError> {
    let mut fields: Vec<Field> = Vec::new();
    let mut texts = Vec::new();
    let subject = ("Subject".to_string(), given.subject.clone());
    for (name, source) in std::iter::once(&subject).chain(&given.headers) {
        let is_subject = fields.is_empty();
        let bad = |what| ContentError::Header {
            origin: given.origin.clone(),
            name: name
                .chars()
                .flat_map(char::escape_debug)
                .take(100)
                .collect(),
            what,
        };
        if !is_subject {
            header::check_name(name).map_err(bad)?;
        }
        if fields
            .iter()
            .any(|field| field.name.eq_ignore_ascii_case(name))
        {
            return Err(bad(HeaderNameProblem::Duplicate));
        }
        let template = match is_subject {
            true => format!("{}: subject", given.origin),
            false => format!("{}: headers.{name}", given.origin),
        };
        texts.push((template.clone(), source.clone()));
        fields.push(Field {
            name: name.clone(),
            template,
            constant: None,
        });
    }
    Ok((fields, texts))
}

/// The bytes of a field without variables. What is wrong with it is said where it is rendered.
fn constant(field: &Field, templates: &Templates) -> Option<Vec<u8>> {
    if !templates.is_constant(&field.template) {
        return None;
    }
    let value = templates.render(&field.template, &Value::UNDEFINED).ok()?;
    let mut bytes = Vec::new();
    header::write(&field.name, &value, &mut bytes).ok()?;
    Some(bytes)
}

/// Makes the messages of one campaign and list. Several threads may use it at once.
pub struct Composer {
    content: Content,
    columns: Arc<Columns>,
}

impl Composer {
    /// What stands behind the `@` of Message-IDs: the domain of `from`.
    pub fn message_id_domain(&self) -> &str {
        self.content.from.address.domain()
    }

    /// MAIL FROM.
    pub fn return_path(&self) -> &str {
        self.content.return_path.as_str()
    }

    /// SHA-256 in hexadecimal of each template file that a message can depend on.
    pub fn sources(&self) -> BTreeMap<String, String> {
        self.content.sources()
    }

    /// The message for one row, without `Date`. `message_id` is `token@domain`, without angle brackets.
    pub fn compose(&self, row: &RecipientRow, message_id: &str) -> Result<Composed, RenderError> {
        let values = row::values(&self.columns, &row.fields);
        let text = self.body(&self.content.text, &values, row)?;
        let html = self.body(&self.content.html, &values, row)?;
        let length = |body: &Option<String>| body.as_ref().map_or(0, String::len);
        let mut out = Vec::with_capacity((length(&text) + length(&html)) * 5 / 4 + 1024);
        self.write_headers(row, message_id, &values, &mut out)?;
        match (&text, &html) {
            (Some(text), Some(html)) => write_alternatives(message_id, text, html, &mut out),
            (Some(text), None) => write_part("plain", text, &mut out),
            (None, html) => write_part("html", html.as_deref().unwrap_or_default(), &mut out),
        }
        if out.len() > MAX_MESSAGE_BYTES {
            let what = RenderProblem::TooLarge {
                bytes: out.len(),
                limit: MAX_MESSAGE_BYTES,
            };
            return Err(self.error(row, "the message", what));
        }
        Ok(Composed {
            bytes: out,
            needs_smtputf8: row.address.needs_smtputf8(),
        })
    }

    /// The same for one row in clear text.
    pub fn in_clear(&self, row: &RecipientRow) -> Result<InClear, RenderError> {
        let values = row::values(&self.columns, &row.fields);
        let mut fields = Vec::new();
        for field in &self.content.fields {
            let value = self.render(&field.template, &values, row)?;
            if !value.trim().is_empty() || field.name == "Subject" {
                fields.push((field.name.clone(), value));
            }
        }
        Ok(InClear {
            fields,
            text: self.body(&self.content.text, &values, row)?,
            html: self.body(&self.content.html, &values, row)?,
        })
    }

    fn body(
        &self,
        template: &Option<String>,
        values: &Value,
        row: &RecipientRow,
    ) -> Result<Option<String>, RenderError> {
        match template {
            Some(name) => self.render(name, values, row).map(Some),
            None => Ok(None),
        }
    }

    fn render(
        &self,
        name: &str,
        values: &Value,
        row: &RecipientRow,
    ) -> Result<String, RenderError> {
        let rendered = self.content.templates.render(name, values);
        rendered.map_err(|(at, what)| self.error(row, &at, RenderProblem::Template(what)))
    }

    fn write_headers(
        &self,
        row: &RecipientRow,
        message_id: &str,
        values: &Value,
        out: &mut Vec<u8>,
    ) -> Result<(), RenderError> {
        if !is_message_id(message_id) {
            let what = RenderProblem::MessageId(message_id.escape_debug().to_string());
            return Err(self.error(row, "Message-ID", what));
        }
        let content = &self.content;
        out.extend_from_slice(&content.from_field);
        // An `Address` holds no control characters and at most 254 bytes.
        write_line(out, &["To: ", row.address.as_str()]);
        out.extend_from_slice(&content.reply_to_field);
        let mut fields = content.fields.iter();
        if let Some(subject) = fields.next() {
            self.write_field(subject, values, row, out)?;
        }
        write_line(out, &["Message-ID: <", message_id, ">"]);
        write_line(out, &["MIME-Version: 1.0"]);
        fields.try_for_each(|field| self.write_field(field, values, row, out))
    }

    fn write_field(
        &self,
        field: &Field,
        values: &Value,
        row: &RecipientRow,
        out: &mut Vec<u8>,
    ) -> Result<(), RenderError> {
        if let Some(constant) = &field.constant {
            out.extend_from_slice(constant);
            return Ok(());
        }
        let value = self.render(&field.template, values, row)?;
        if value.trim().is_empty() && field.name != "Subject" {
            return Ok(());
        }
        header::write(&field.name, &value, out)
            .map_err(|what| self.error(row, &field.template, what))
    }

    fn error(&self, row: &RecipientRow, at: &str, what: RenderProblem) -> RenderError {
        RenderError {
            at: at.to_string(),
            recipient_line: row.line,
            what,
        }
    }
}

/// Visible ASCII, one `@`, no brackets; short enough for one line and for what large receivers take.
fn is_message_id(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>');
    let halves = id.split_once('@');
    id.len() <= 320
        && id.bytes().all(is_allowed)
        && halves.is_some_and(|(token, domain)| {
            !token.is_empty() && !domain.is_empty() && !domain.contains('@')
        })
}

fn write_line(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// A `text/…` entity: its two fields, an empty line, the encoded text.
fn write_part(subtype: &str, text: &str, out: &mut Vec<u8>) {
    let encoding = Encoding::of(text);
    write_line(out, &["Content-Type: text/", subtype, "; charset=utf-8"]);
    write_line(
        out,
        &["Content-Transfer-Encoding: ", encoding.name(), "\r\n"],
    );
    encoding.write(text, out);
}

fn write_alternatives(message_id: &str, text: &str, html: &str, out: &mut Vec<u8>) {
    let boundary = boundary(message_id);
    write_line(
        out,
        &[
            "Content-Type: multipart/alternative;\r\n boundary=\"",
            &boundary,
            "\"\r\n",
        ],
    );
    write_line(out, &["--", &boundary]);
    write_part("plain", text, out);
    write_line(out, &["--", &boundary]);
    write_part("html", html, out);
    write_line(out, &["--", &boundary, "--"]);
}

/// `=_` stands neither in quoted-printable nor in base64, so no body holds the boundary.
fn boundary(message_id: &str) -> String {
    let token = message_id.bytes().take_while(|byte| *byte != b'@');
    let token = token.filter(u8::is_ascii_alphanumeric).take(64);
    "=_".chars().chain(token.map(char::from)).collect()
}
