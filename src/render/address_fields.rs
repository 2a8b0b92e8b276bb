//! `From`, `To` and `Reply-To` of each message. They are the same in all messages, or templates of the campaign file.

use super::error::{RenderError, RenderProblem, shown};
use super::template::Templates;
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
    Fixed(Mailbox),
    /// Name of the template.
    Template(String),
}

/// The address fields of one message.
pub struct Addressed<'a> {
    pub from: Cow<'a, Mailbox>,
    pub to: Mailbox,
    pub reply_to: Option<Cow<'a, Mailbox>>,
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
        row: &RecipientRow,
    ) -> Result<Addressed<'_>, RenderError> {
        let rendered = |name: &str| templates.render_for(name, values, row);
        let from = match &self.from {
            MailboxSource::Fixed(mailbox) => Cow::Borrowed(mailbox),
            MailboxSource::Template(name) => Cow::Owned(parsed(name, &rendered(name)?, row)?),
        };
        let reply_to = match &self.reply_to {
            None => None,
            Some(MailboxSource::Fixed(mailbox)) => Some(Cow::Borrowed(mailbox)),
            Some(MailboxSource::Template(name)) => match rendered(name)? {
                text if text.trim().is_empty() => None,
                text => Some(Cow::Owned(parsed(name, &text, row)?)),
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
        Ok(Addressed { from, to, reply_to })
    }
}

fn parsed(template: &str, text: &str, row: &RecipientRow) -> Result<Mailbox, RenderError> {
    Mailbox::parse(text).map_err(|what| problem(template, text, what, row))
}

fn problem(template: &str, text: &str, what: MailboxProblem, row: &RecipientRow) -> RenderError {
    let value = shown(text);
    RenderError::new(row, template, RenderProblem::Mailbox { value, what })
}
