//! The content of a campaign: what its file says about the messages, with the templates that this needs, compiled and
//! checked as far as possible without a list.

use super::address_fields::{AddressField, AddressFields, MailboxSource, may_stand};
use super::body::{Body, Part};
use super::cell_type::CellType;
use super::error::{ContentError, HeaderNameProblem, SHOWN_VALUE_CHARACTERS, shown};
use super::header;
use super::template::Templates;
use crate::domain::address::Address;
use crate::domain::mailbox::{Mailbox, MailboxProblem};
use minijinja::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Longest part of a header name in an error message, in characters.
const SHOWN_NAME_CHARACTERS: usize = 100;

/// What a campaign file says about its messages, unchecked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CampaignContent {
    /// Name of the campaign file, for error messages.
    pub origin: String,
    /// These three may be templates.
    pub from: String,
    pub reply_to: Option<String>,
    /// The name beside the address in `To`. Default: the name that stands beside it in the list.
    pub to_name: Option<String>,
    /// Default: the address of `from`, if that is the same for all recipients.
    pub return_path: Option<String>,
    /// A template.
    pub subject: String,
    /// Names of files in the templates directory. At least one of the two must be given.
    pub html: Option<String>,
    pub text: Option<String>,
    /// Name and value. The values are templates. A field whose value renders to white space is left out.
    pub headers: Vec<(String, String)>,
    /// One message has all rows of a mailbox, in the variable `rows`.
    pub group: bool,
    /// Types of columns. The cells of all other columns are text.
    pub column_types: BTreeMap<String, CellType>,
}

/// Whether a text of a campaign file has anything for the template engine.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// A campaign's content, checked as far as possible without a list.
pub struct Content {
    /// Name of the campaign file.
    pub(super) origin: String,
    pub(super) address_fields: AddressFields,
    pub(super) return_path: Address,
    /// The right side of Message-IDs.
    pub(super) id_domain: String,
    pub(super) subject: HeaderTemplate,
    pub(super) headers: Vec<HeaderTemplate>,
    /// Names of templates.
    pub(super) body: Body<String>,
    pub(super) templates: Templates,
    pub(super) is_grouped: bool,
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
        let from = InlineMailbox::new(origin, ("From", "from"), &given.from)?;
        let reply_to = match &given.reply_to {
            Some(text) => Some(InlineMailbox::new(origin, ("Reply-To", "reply_to"), text)?),
            None => None,
        };
        let to_name = given.to_name.as_ref();
        let to_name = to_name.map(|source| (format!("{origin}: to_name"), source.as_str()));
        let return_path = return_path(given, &from)?;
        for (key, field) in [("from", Some(&from)), ("reply_to", reply_to.as_ref())] {
            let address = field.and_then(|field| field.address.as_ref());
            if let Some(address) = address.filter(|address| !may_stand(address, &return_path)) {
                return Err(ContentError::Mailbox {
                    origin: origin.clone(),
                    key,
                    value: shown(address.as_str(), SHOWN_VALUE_CHARACTERS),
                    what: MailboxProblem::NotAscii,
                });
            }
        }
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
        let mailboxes = [Some(&from), reply_to.as_ref()].into_iter().flatten();
        let inline: Vec<(&str, &str)> = std::iter::once(&subject)
            .chain(&headers)
            .map(|header| (header.template.as_str(), header.source))
            .chain(mailboxes.filter_map(InlineMailbox::inline))
            .chain(to_name.iter().map(|(name, text)| (name.as_str(), *text)))
            .collect();
        let templates = Templates::load(templates, origin, &files, &inline)?;
        Ok(Content {
            origin: origin.clone(),
            id_domain: from.address.unwrap_or(return_path.clone()).domain().into(),
            address_fields: AddressFields {
                from: from.source,
                reply_to: reply_to.map(|field| field.source),
                to_name: to_name.map(|(name, _)| name),
            },
            return_path,
            subject: subject.compiled(&templates),
            headers: headers
                .into_iter()
                .map(|header| header.compiled(&templates))
                .collect(),
            body,
            templates,
            is_grouped: given.group,
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

fn mailbox(origin: &str, key: &'static str, text: &str) -> Result<Mailbox, ContentError> {
    Mailbox::parse(text).map_err(|what| ContentError::Mailbox {
        origin: origin.to_string(),
        key,
        value: shown(text, SHOWN_VALUE_CHARACTERS),
        what,
    })
}

fn return_path(given: &CampaignContent, from: &InlineMailbox<'_>) -> Result<Address, ContentError> {
    match (&given.return_path, &from.address) {
        (Some(text), _) => Ok(mailbox(&given.origin, "return_path", text)?.address),
        (None, Some(address)) => Ok(address.clone()),
        (None, None) => Err(ContentError::NoReturnPath {
            origin: given.origin.clone(),
        }),
    }
}

/// `from` or `reply_to` before it is compiled.
struct InlineMailbox<'a> {
    source: MailboxSource,
    text: &'a str,
    /// The address, if it is the same for all recipients.
    address: Option<Address>,
}

impl<'a> InlineMailbox<'a> {
    fn new(
        origin: &str,
        (field, key): (&'static str, &'static str),
        text: &'a str,
    ) -> Result<InlineMailbox<'a>, ContentError> {
        if !is_template(text) {
            let mailbox = mailbox(origin, key, text)?;
            return Ok(InlineMailbox {
                address: Some(mailbox.address.clone()),
                source: MailboxSource::Fixed(AddressField::new(field, mailbox)),
                text,
            });
        }
        // `{{ name }} <news@acme.example>`: only the name differs. The last `<` counts when it is rendered, too.
        let end = text.rsplit_once('<').map(|(_, end)| end);
        let fixed =
            end.filter(|end| !is_template(end) && !end.contains("}}") && !end.contains("%}"));
        let address = match fixed {
            Some(end) => Some(mailbox(origin, key, &format!("<{end}"))?.address),
            None => None,
        };
        Ok(InlineMailbox {
            source: MailboxSource::Template(format!("{origin}: {key}")),
            text,
            address,
        })
    }

    /// Name and source of the template.
    fn inline(&self) -> Option<(&str, &str)> {
        match &self.source {
            MailboxSource::Fixed(_) => None,
            MailboxSource::Template(name) => Some((name, self.text)),
        }
    }
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
            name: shown(name, SHOWN_NAME_CHARACTERS),
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
    let value = templates
        .render((Part::Plain, &header.template), &Value::UNDEFINED)
        .ok()?;
    if header.omits(&value) {
        return Some(Vec::new());
    }
    let mut field = Vec::new();
    header::write(&header.name, &value, &mut field).ok()?;
    Some(field)
}
