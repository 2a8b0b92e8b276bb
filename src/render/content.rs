//! The content of a campaign: what its file says about the messages, with the templates that this needs, compiled and
//! checked as far as possible without a list.

use super::body::Body;
use super::cell_type::CellType;
use super::error::{ContentError, HeaderNameProblem};
use super::header;
use super::mailbox::{self, Sender};
use super::template::Templates;
use crate::domain::address::Address;
use minijinja::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Longest part of a wrong value or header name in an error message, in characters.
const SHOWN_VALUE_CHARACTERS: usize = 200;
const SHOWN_NAME_CHARACTERS: usize = 100;

/// What a campaign file says about its messages, unchecked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CampaignContent {
    /// Name of the campaign file, for error messages.
    pub origin: String,
    pub from: String,
    pub reply_to: Option<String>,
    /// Default: the address of `from`.
    pub return_path: Option<String>,
    /// A template.
    pub subject: String,
    /// Names of files in the templates directory. At least one of the two must be given.
    pub html: Option<String>,
    pub text: Option<String>,
    /// Name and value. The values are templates. A field whose value renders to white space is left out.
    pub headers: Vec<(String, String)>,
    /// Types of columns. The cells of all other columns are text.
    pub column_types: BTreeMap<String, CellType>,
}

/// A campaign's content, checked as far as possible without a list.
pub struct Content {
    /// Name of the campaign file.
    pub(super) origin: String,
    pub(super) from: Address,
    pub(super) return_path: Address,
    /// `From` and `Reply-To`, each with its CRLF. Empty where a campaign has no `Reply-To`.
    pub(super) from_field: Vec<u8>,
    pub(super) reply_to_field: Vec<u8>,
    pub(super) subject: HeaderTemplate,
    pub(super) headers: Vec<HeaderTemplate>,
    /// Names of templates.
    pub(super) body: Body<String>,
    pub(super) templates: Templates,
    pub(super) column_types: BTreeMap<String, CellType>,
}

/// A header field whose value is a template.
pub(super) struct HeaderTemplate {
    pub name: String,
    /// Name of the template.
    pub template: String,
    /// Whether the field is written without a value too.
    pub is_required: bool,
    /// The whole field, if it is the same for all recipients.
    pub constant: Option<Vec<u8>>,
}

impl HeaderTemplate {
    /// Whether the field is left out with this value.
    pub fn omits(&self, value: &str) -> bool {
        !self.is_required && value.trim().is_empty()
    }
}

impl Content {
    /// Reads and compiles everything. `templates` is the directory of the templates.
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
        let Some(body) = Body::new(given.text.clone(), given.html.clone()) else {
            let origin = origin.clone();
            return Err(ContentError::NoBody { origin });
        };
        let files: Vec<&str> = [body.html(), body.text()]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        let subject = subject(given);
        let headers = headers(given)?;
        let inline: Vec<(&str, &str)> = std::iter::once(&subject)
            .chain(&headers)
            .map(|header| (header.template.as_str(), header.source))
            .collect();
        let templates = Templates::load(templates, origin, &files, &inline)?;
        Ok(Content {
            origin: origin.clone(),
            from_field: from.as_from(),
            reply_to_field: reply_to.map(|to| to.as_reply_to()).unwrap_or_default(),
            from: from.address,
            return_path,
            subject: subject.compiled(&templates),
            headers: headers
                .into_iter()
                .map(|header| header.compiled(&templates))
                .collect(),
            body,
            templates,
            column_types: given.column_types.clone(),
        })
    }

    /// SHA-256 in hexadecimal of each template file that a message can depend on.
    pub fn sources(&self) -> BTreeMap<String, String> {
        self.templates.sources()
    }

    /// The columns whose cells can reach a header, for `recipients::Options::header_columns`.
    pub fn header_columns(&self, columns: &[String]) -> Vec<String> {
        self.templates.header_columns(columns)
    }
}

fn sender(origin: &str, key: &'static str, text: &str) -> Result<Sender, ContentError> {
    mailbox::parse(text).map_err(|what| ContentError::Mailbox {
        origin: origin.to_string(),
        key,
        value: escaped(text, SHOWN_VALUE_CHARACTERS),
        what,
    })
}

/// A header field before its template is compiled.
struct HeaderSource<'a> {
    name: &'a str,
    /// Name of the template. Errors show it: `campaigns/spring.toml: headers.X-Campaign`.
    template: String,
    source: &'a str,
    is_required: bool,
}

fn subject(given: &CampaignContent) -> HeaderSource<'_> {
    HeaderSource {
        name: "Subject",
        template: format!("{}: subject", given.origin),
        source: &given.subject,
        is_required: true,
    }
}

/// The campaign's own header fields.
fn headers(given: &CampaignContent) -> Result<Vec<HeaderSource<'_>>, ContentError> {
    let mut headers: Vec<HeaderSource<'_>> = Vec::with_capacity(given.headers.len());
    for (name, source) in &given.headers {
        let bad = |what| ContentError::Header {
            origin: given.origin.clone(),
            name: escaped(name, SHOWN_NAME_CHARACTERS),
            what,
        };
        header::check_name(name).map_err(bad)?;
        if headers
            .iter()
            .any(|header| header.name.eq_ignore_ascii_case(name))
        {
            return Err(bad(HeaderNameProblem::Duplicate));
        }
        headers.push(HeaderSource {
            name,
            template: format!("{}: headers.{name}", given.origin),
            source,
            is_required: false,
        });
    }
    Ok(headers)
}

impl HeaderSource<'_> {
    fn compiled(self, templates: &Templates) -> HeaderTemplate {
        let mut header = HeaderTemplate {
            name: self.name.to_string(),
            template: self.template,
            is_required: self.is_required,
            constant: None,
        };
        if !self.source.contains('{') {
            header.constant = constant_field(&header, templates);
        }
        header
    }
}

/// A field whose template uses no variables; empty if it has no value and may be left out. `None` if it cannot be
/// written: rendering it for a row reports the error.
fn constant_field(header: &HeaderTemplate, templates: &Templates) -> Option<Vec<u8>> {
    let value = templates.render(&header.template, &Value::UNDEFINED).ok()?;
    if header.omits(&value) {
        return Some(Vec::new());
    }
    let mut field = Vec::new();
    header::write(&header.name, &value, &mut field).ok()?;
    Some(field)
}

/// The beginning of a text, for an error message.
fn escaped(text: &str, max_characters: usize) -> String {
    let characters = text.chars().flat_map(char::escape_debug);
    characters.take(max_characters).collect()
}
