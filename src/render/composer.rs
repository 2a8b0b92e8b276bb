//! Composes the messages of one campaign and list. Uses no random numbers and no clock, so a row gives the same bytes
//! on every host and at every time.

use super::address_fields::Addressed;
use super::analysis::CellTest;
use super::body::{Body, Part};
use super::content::{Content, HeaderTemplate};
use super::error::{RenderError, RenderProblem, TemplateError};
use super::foreign_tags::ForeignTag;
use super::header;
use super::list_columns::ListColumns;
use super::mime::{self, write_line};
use super::row::ROWS;
use super::row::{self, Columns};
use crate::domain::chunk::MAX_MESSAGE_BYTES;
use crate::domain::recipient::RecipientRow;
use minijinja::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest Message-ID. It has to fit into one line of a header, with room for what large receivers accept.
const MAX_MESSAGE_ID_BYTES: usize = 320;

/// Shared by all render threads.
#[derive(Clone)]
pub struct Composer {
    content: Arc<Content>,
    pub(super) columns: Arc<Columns>,
    /// What only the cells of the list prove wrong.
    pub(super) cell_tests: Arc<Vec<CellTest>>,
}

/// An encoded message without `Date`, which is written when the message is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// CRLF lines of at most 998 bytes, ASCII unless `needs_smtputf8`.
    pub bytes: Vec<u8>,
    /// The recipient's local part is not ASCII (RFC 6531).
    pub needs_smtputf8: bool,
}

/// The rendered texts of one message, not encoded. For people and for checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedMessage {
    /// `From`, `To`, `Reply-To`, `Subject`, then the campaign's own fields. Fields without a value are left out, except
    /// `Subject`.
    pub fields: Vec<(String, String)>,
    pub text: Option<String>,
    pub html: Option<String>,
}

impl Content {
    /// Checks all variables against the columns of a list. `recipients`: name of the list, for error messages.
    pub fn composer(self, columns: &[String], recipients: &str) -> Result<Composer, TemplateError> {
        self.check_types(columns, recipients)?;
        self.check_rows(columns, recipients)?;
        let list = ListColumns {
            names: columns,
            types: &self.column_types,
            is_grouped: self.is_grouped,
        };
        let cell_tests = self.templates.check(list, recipients)?;
        Ok(Composer {
            columns: Arc::new(Columns::new(list)),
            content: Arc::new(self),
            cell_tests: Arc::new(cell_tests),
        })
    }

    /// Checks that no column hides the variable for the rows of a mailbox.
    fn check_rows(&self, columns: &[String], recipients: &str) -> Result<(), TemplateError> {
        match self.is_grouped && columns.iter().any(|column| column == ROWS) {
            false => Ok(()),
            true => Err(TemplateError::RowsColumn {
                origin: self.origin.clone(),
                recipients: recipients.to_string(),
            }),
        }
    }

    /// Checks that each column with a type exists.
    fn check_types(&self, columns: &[String], recipients: &str) -> Result<(), TemplateError> {
        let mut typed = self.column_types.keys();
        match typed.find(|name| !columns.contains(name)) {
            None => Ok(()),
            Some(name) => Err(TemplateError::NoTypedColumn {
                origin: self.origin.clone(),
                name: name.clone(),
                recipients: recipients.to_string(),
                columns: columns.to_vec(),
            }),
        }
    }
}

impl Composer {
    /// The right side of Message-IDs: the domain of `from`, or of the return path where that differs from row to row.
    pub fn message_id_domain(&self) -> &str {
        &self.content.id_domain
    }

    /// The argument of MAIL FROM.
    pub fn return_path(&self) -> &str {
        self.content.return_path.as_str()
    }

    /// Numbers and names of the columns that templates use.
    pub fn used_columns(&self) -> Vec<(usize, String)> {
        let used = self.content.templates.used_columns(self.columns.names());
        let used = used.into_iter();
        used.filter_map(|name| Some((self.columns.index_of(&name)?, name)))
            .collect()
    }

    /// Merge tags of other programs, which are mailed as they stand.
    pub fn foreign_tags(&self) -> Vec<ForeignTag> {
        self.content.templates.foreign_tags(self.columns.names())
    }

    /// SHA-256 in hexadecimal of each template file that a message can depend on.
    pub fn sources(&self) -> BTreeMap<String, String> {
        self.content.sources()
    }

    /// The encoded message for one row. `message_id` is `token@domain`, without angle brackets.
    pub fn compose(&self, row: &RecipientRow, message_id: &str) -> Result<Composed, RenderError> {
        let values = row::values(&self.columns, row);
        let body = self.body(&values, row)?;
        let mut bytes = Vec::with_capacity(estimated_bytes(&body));
        self.write_header_fields(row, message_id, &values, &mut bytes)?;
        mime::write(&body, &mime::boundary(message_id), &mut bytes);
        if bytes.len() > MAX_MESSAGE_BYTES {
            let what = RenderProblem::TooLarge {
                bytes: bytes.len(),
                limit: MAX_MESSAGE_BYTES,
            };
            return Err(RenderError::new(row, "the message", what));
        }
        Ok(Composed {
            bytes,
            needs_smtputf8: row.address.needs_smtputf8(),
        })
    }

    /// The rendered texts for one row.
    pub fn render(&self, row: &RecipientRow) -> Result<RenderedMessage, RenderError> {
        let values = row::values(&self.columns, row);
        let Addressed { from, to, reply_to } = self.addressed(&values, row)?;
        let mut fields = vec![
            ("From".to_string(), from.mailbox.to_string()),
            ("To".to_string(), to.mailbox.to_string()),
        ];
        fields.extend(reply_to.map(|field| ("Reply-To".to_string(), field.mailbox.to_string())));
        let subject = &self.content.subject;
        let value = self.render_template(&subject.template, &values, row)?;
        fields.push((subject.name.clone(), value));
        for header in &self.content.headers {
            let value = self.render_template(&header.template, &values, row)?;
            if !header.omits(&value) {
                fields.push((header.name.clone(), value));
            }
        }
        let body = self.body(&values, row)?;
        Ok(RenderedMessage {
            fields,
            text: body.text().cloned(),
            html: body.html().cloned(),
        })
    }

    fn body(&self, values: &Value, row: &RecipientRow) -> Result<Body<String>, RenderError> {
        let body = &self.content.body;
        body.try_map(|part, template| {
            let templates = &self.content.templates;
            templates.render_for((part, template), values, row)
        })
    }

    /// The value of a header field.
    fn render_template(
        &self,
        name: &str,
        values: &Value,
        row: &RecipientRow,
    ) -> Result<String, RenderError> {
        let templates = &self.content.templates;
        templates.render_for((Part::Plain, name), values, row)
    }

    fn addressed(&self, values: &Value, row: &RecipientRow) -> Result<Addressed<'_>, RenderError> {
        let content = &self.content;
        let fields = &content.address_fields;
        fields.of(&content.templates, values, (row, &content.return_path))
    }

    /// Whether address fields are templates, which have to be checked for each row.
    pub(super) fn has_address_templates(&self) -> bool {
        self.content.address_fields.have_templates()
    }

    /// Checks the address fields of a row's message.
    pub(super) fn check_address_fields(&self, row: &RecipientRow) -> Result<(), RenderError> {
        let values = row::values(&self.columns, row);
        self.addressed(&values, row).map(|_| ())
    }

    fn write_header_fields(
        &self,
        row: &RecipientRow,
        message_id: &str,
        values: &Value,
        out: &mut Vec<u8>,
    ) -> Result<(), RenderError> {
        if !is_message_id(message_id) {
            let what = RenderProblem::MessageId(message_id.escape_debug().to_string());
            return Err(RenderError::new(row, "Message-ID", what));
        }
        let content = &self.content;
        let Addressed { from, to, reply_to } = self.addressed(values, row)?;
        out.extend_from_slice(&from.written);
        out.extend_from_slice(&to.written);
        if let Some(reply_to) = &reply_to {
            out.extend_from_slice(&reply_to.written);
        }
        self.write_field(&content.subject, values, row, out)?;
        write_line(out, &["Message-ID: <", message_id, ">"]);
        write_line(out, &["MIME-Version: 1.0"]);
        for header in &content.headers {
            self.write_field(header, values, row, out)?;
        }
        Ok(())
    }

    fn write_field(
        &self,
        header: &HeaderTemplate,
        values: &Value,
        row: &RecipientRow,
        out: &mut Vec<u8>,
    ) -> Result<(), RenderError> {
        if let Some(constant) = &header.constant {
            out.extend_from_slice(constant);
            return Ok(());
        }
        let value = self.render_template(&header.template, values, row)?;
        if header.omits(&value) {
            return Ok(());
        }
        header::write(&header.name, &value, out)
            .map_err(|what| RenderError::new(row, &header.template, what))
    }
}

/// Enough for most messages: encoded bodies are a little longer, and a header has less than 1 KiB.
fn estimated_bytes(body: &Body<String>) -> usize {
    let length = |text: Option<&String>| text.map_or(0, String::len);
    (length(body.text()) + length(body.html())) * 5 / 4 + 1024
}

/// `msg-id` of RFC 5322 §3.6.4 in its usual form: visible ASCII with one `@`, no angle brackets.
fn is_message_id(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>');
    let halves = id.split_once('@');
    id.len() <= MAX_MESSAGE_ID_BYTES
        && id.bytes().all(is_allowed)
        && halves.is_some_and(|(token, domain)| {
            !token.is_empty() && !domain.is_empty() && !domain.contains('@')
        })
}
