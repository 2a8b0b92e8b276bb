//! `Name <address>`, as a campaign file has it.

use super::schema::{Limits, Value, ValueError};
use std::fmt;

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

impl Value for Mailbox {
    fn expects(_: &Limits) -> String {
        "an address like `me@example.com` or `Name <me@example.com>`".into()
    }

    fn parse(text: &str, limits: &Limits) -> Result<Mailbox, ValueError> {
        let text = String::parse(text, limits)?;
        let mailbox: lettre::message::Mailbox = text
            .parse()
            .map_err(|_| ValueError::Form(format!("not {}", Self::expects(limits))))?;
        Ok(Mailbox {
            name: mailbox.name,
            address: mailbox.email.to_string(),
        })
    }
}
