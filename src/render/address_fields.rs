//! `From`, `To` and `Reply-To` of each message. They are the same in all messages, or templates of the campaign file.

use super::body::Part;
use super::error::{RenderError, RenderProblem, SHOWN_VALUE_CHARACTERS, shown};
use super::mailbox;
use super::template::Templates;
use crate::domain::address::Address;
use crate::domain::mailbox::{Mailbox, MailboxProblem, checked_name};
use crate::domain::recipient::RecipientRow;
use minijinja::Value;
use std::borrow::Cow;

/// What a campaign says about its address fields.
pub struct AddressFields {
    pub from: MailboxSource,
    pub reply_to: Option<MailboxSource>,
    /// Name of the template. `None`: the name that stands beside the address in the list.
    pub to_name: Option<String>,
}

pub enum MailboxSource {
    Fixed(AddressField),
    /// Name of the template.
    Template(String),
}

/// A mailbox, and the field that has it, with its CRLF.
#[derive(Clone)]
pub struct AddressField {
    pub mailbox: Mailbox,
    pub written: Vec<u8>,
}

impl AddressField {
    pub fn new(name: &str, mailbox: Mailbox) -> AddressField {
        let mut written = Vec::new();
        mailbox::write(name, &mailbox, &mut written);
        AddressField { mailbox, written }
    }
}

/// The address fields of one message.
pub struct Addressed<'a> {
    pub from: Cow<'a, AddressField>,
    pub to: AddressField,
    pub reply_to: Option<Cow<'a, AddressField>>,
}

/// Whether an address may stand in a header field. Mail has letters outside ASCII before an `@` in its fields only where
/// one of its envelope addresses has them too, because SMTPUTF8 is asked for then (RFC 6531 §3.4).
pub fn may_stand(address: &Address, in_envelope: &Address) -> bool {
    !address.needs_smtputf8() || in_envelope.needs_smtputf8()
}

impl AddressFields {
    /// Whether they depend on more than the address and its name.
    pub fn have_templates(&self) -> bool {
        let sources = [Some(&self.from), self.reply_to.as_ref()];
        let mut sources = sources.into_iter().flatten();
        self.to_name.is_some() || sources.any(|source| matches!(source, MailboxSource::Template(_)))
    }

    /// The fields of a recipient's message. A `reply_to` that renders to white space is left out.
    pub fn of(
        &self,
        templates: &Templates,
        values: &Value,
        (row, return_path): (&RecipientRow, &Address),
    ) -> Result<Addressed<'_>, RenderError> {
        let rendered = |name: &str| templates.render_for((Part::Plain, name), values, row);
        let parsed = |field: &str, template: &str, text: &str| {
            let mailbox = Mailbox::parse(text).and_then(|mailbox| {
                let address = &mailbox.address;
                match may_stand(address, &row.address) || may_stand(address, return_path) {
                    true => Ok(mailbox),
                    false => Err(MailboxProblem::NotAscii),
                }
            });
            match mailbox {
                Ok(mailbox) => Ok(Cow::Owned(AddressField::new(field, mailbox))),
                Err(what) => Err(problem(template, text, what, row)),
            }
        };
        let from = match &self.from {
            MailboxSource::Fixed(field) => Cow::Borrowed(field),
            MailboxSource::Template(name) => parsed("From", name, &rendered(name)?)?,
        };
        let reply_to = match &self.reply_to {
            None => None,
            Some(MailboxSource::Fixed(field)) => Some(Cow::Borrowed(field)),
            Some(MailboxSource::Template(name)) => match rendered(name)? {
                text if text.trim().is_empty() => None,
                text => Some(parsed("Reply-To", name, &text)?),
            },
        };
        let name = match &self.to_name {
            None => row.name.clone(),
            Some(template) => {
                let text = rendered(template)?;
                checked_name(&text).map_err(|what| problem(template, &text, what, row))?
            }
        };
        let to = Mailbox {
            name,
            address: row.address.clone(),
        };
        let to = AddressField::new("To", to);
        Ok(Addressed { from, to, reply_to })
    }
}

fn problem(template: &str, text: &str, what: MailboxProblem, row: &RecipientRow) -> RenderError {
    let value = shown(text, SHOWN_VALUE_CHARACTERS);
    RenderError::new(row, template, RenderProblem::Mailbox { value, what })
}
