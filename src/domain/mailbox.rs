//! A mailbox: `Name <address>` or an address (RFC 5322 §3.4), as campaign files, templates and lists have it.

use super::address::{Address, AddressError};
use std::fmt;

/// Longest name in bytes. Names are shown beside an address, and no mail program shows more.
pub const MAX_NAME_BYTES: usize = 255;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Decoded, without control characters.
    pub name: Option<String>,
    pub address: Address,
}

/// What is wrong with a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailboxProblem {
    #[error("a control character")]
    Control,
    #[error("not `Name <address>` or an address")]
    Syntax,
    #[error("the name is {bytes} bytes long (at most {MAX_NAME_BYTES})")]
    LongName { bytes: usize },
    #[error(
        "letters outside ASCII before the `@`, which only mail from or to such an address may have"
    )]
    NotAscii,
    #[error("{0}")]
    Address(#[from] AddressError),
}

impl Mailbox {
    /// Reads `news@acme.example`, `Acme, Inc. <news@acme.example>` or `"Acme, Inc." <news@acme.example>`. The address is
    /// what stands between the last `<` and a `>` at the end, so a name never changes it.
    pub fn parse(text: &str) -> Result<Mailbox, MailboxProblem> {
        if text.chars().any(char::is_control) {
            return Err(MailboxProblem::Control);
        }
        let Some((before, end)) = text.rsplit_once('<') else {
            return Ok(Mailbox {
                name: None,
                address: Address::parse(text)?,
            });
        };
        let inside = end.trim().strip_suffix('>').ok_or(MailboxProblem::Syntax)?;
        let address = Address::parse(inside)?;
        let name = phrase(before).ok_or(MailboxProblem::Syntax)?;
        Ok(Mailbox {
            name: checked_name(&name)?,
            address,
        })
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} <{}>", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

/// A name that can be written beside an address. `None`: it is empty.
pub fn checked_name(name: &str) -> Result<Option<String>, MailboxProblem> {
    let name = name.trim();
    if name.chars().any(char::is_control) {
        return Err(MailboxProblem::Control);
    }
    match name.len() {
        0 => Ok(None),
        bytes if bytes > MAX_NAME_BYTES => Err(MailboxProblem::LongName { bytes }),
        _ => Ok(Some(name.to_string())),
    }
}

/// The name that stands before `<address>`, without its quotes. `None`: it is no name, but may be several addresses.
pub fn phrase(text: &str) -> Option<String> {
    let text = text.trim();
    if !text.contains(['"', '\\', '<', '>']) {
        // Names need quotes for commas and dots, but people write none.
        let is_list = text.contains(',') && text.contains('@');
        return (!is_list).then(|| text.to_string());
    }
    let mailbox: lettre::message::Mailbox = format!("{text} <a@b.example>").parse().ok()?;
    Some(mailbox.name.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_with_and_without_quotes() {
        for (text, name) in [
            ("Acme <a@b.example>", Some("Acme")),
            ("Acme, Inc. <a@b.example>", Some("Acme, Inc.")),
            ("\"Acme, Inc.\" <a@b.example>", Some("Acme, Inc.")),
            ("\"The \\\"A\\\"\" B <a@b.example>", Some("The \"A\" B")),
            ("news@acme.example <a@b.example>", Some("news@acme.example")),
            ("Dr. Zoë: News <a@b.example>", Some("Dr. Zoë: News")),
            (
                "\"x@y.example, <z>\" <a@b.example>",
                Some("x@y.example, <z>"),
            ),
            ("<a@b.example>", None),
            ("\"\" <a@b.example>", None),
            (" a@b.example ", None),
        ] {
            let mailbox = Mailbox::parse(text).unwrap();
            let found = (mailbox.name.as_deref(), mailbox.address.as_str());
            assert_eq!(found, (name, "a@b.example"), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_one_mailbox() {
        let long = format!("{} <a@b.example>", "x".repeat(256));
        for (text, why) in [
            ("a@b.example, c@d.example", "two `@`"),
            (
                "a@b.example, C <c@d.example>",
                "not `Name <address>` or an address",
            ),
            (
                "A <a@b.example>, C <c@d.example>",
                "not `Name <address>` or an address",
            ),
            ("x <a@b.example", "not `Name <address>` or an address"),
            ("\"x <a@b.example>", "not `Name <address>` or an address"),
            ("Acme, Inc. <a>", "no `@`"),
            ("Acme <news@@acme.example>", "two `@`"),
            ("", "empty, but an address is needed"),
            ("Acme <a@b.example>\r\nBcc: b@x.io", "a control character"),
            ("A\ncme <a@b.example>", "a control character"),
            (&long, "the name is 256 bytes long (at most 255)"),
        ] {
            assert_eq!(Mailbox::parse(text).unwrap_err().to_string(), why, "{text}");
        }
    }
}
