//! Mailboxes of a campaign file: `Name <address>` (RFC 5322 §3.4). lettre parses and writes them, with domains as
//! A-labels.

use super::error::MailboxProblem;
use crate::domain::address::Address;
use lettre::message::header::{From, Header, Headers, ReplyTo};
use lettre::message::{Mailbox, Mailboxes};

/// A mailbox for `From` or `Reply-To`.
#[derive(Debug, Clone)]
pub struct Sender {
    mailbox: Mailbox,
    pub address: Address,
}

/// Parses `news@acme.example`, `Acme <news@acme.example>` or `"Acme, Inc." <news@acme.example>`.
pub fn parse(text: &str) -> Result<Sender, MailboxProblem> {
    if text.chars().any(char::is_control) {
        return Err(MailboxProblem::Control);
    }
    let (name, address) = match Address::parse(text) {
        Ok(address) => (None, address),
        Err(error) if !text.contains('<') => return Err(MailboxProblem::Address(error)),
        Err(_) => named(text)?,
    };
    let email = lettre::Address::new(address.local(), address.domain());
    let email = email.map_err(|_| MailboxProblem::Syntax)?;
    Ok(Sender {
        mailbox: Mailbox::new(name, email),
        address,
    })
}

fn named(text: &str) -> Result<(Option<String>, Address), MailboxProblem> {
    // The address first, because its errors are more precise than lettre's.
    let inside = text
        .rsplit_once('<')
        .and_then(|(_, end)| end.trim().strip_suffix('>'));
    let address = Address::parse(inside.ok_or(MailboxProblem::Syntax)?)?;
    let mailbox: Mailbox = text.parse().map_err(|_| MailboxProblem::Syntax)?;
    Ok((mailbox.name, address))
}

impl Sender {
    fn mailboxes(&self) -> Mailboxes {
        Mailboxes::new().with(self.mailbox.clone())
    }

    /// The field with its CRLF.
    pub fn as_from(&self) -> Vec<u8> {
        field(From::from(self.mailboxes()))
    }

    /// The field with its CRLF.
    pub fn as_reply_to(&self) -> Vec<u8> {
        field(ReplyTo::from(self.mailboxes()))
    }
}

fn field(header: impl Header) -> Vec<u8> {
    let mut headers = Headers::new();
    headers.set(header);
    headers.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        String::from_utf8(parse(text).unwrap().as_from()).unwrap()
    }

    #[test]
    fn parses_and_writes_mailboxes() {
        for (text, wanted) in [
            ("news@acme.example", "From: news@acme.example\r\n"),
            (
                "Acme <news@Acme.example>",
                "From: Acme <news@acme.example>\r\n",
            ),
            (
                "Acme <news@münchen.de>",
                "From: Acme <news@xn--mnchen-3ya.de>\r\n",
            ),
        ] {
            assert_eq!(written(text), wanted);
        }
        for name in ["Zoë", "Acme, Inc.", "春の店", "Müller & Söhne"] {
            let field = written(&format!("\"{name}\" <news@acme.example>"));
            assert!(field.is_ascii() && field.ends_with("\r\n"));
            let message = format!("{field}\r\n");
            let parsed = mail_parser::MessageParser::default().parse(message.as_bytes());
            let parsed = parsed.unwrap();
            let from = parsed.from().and_then(|from| from.first()).unwrap();
            assert_eq!(from.name(), Some(name));
            assert_eq!(from.address(), Some("news@acme.example"));
        }
    }

    #[test]
    fn refuses_invalid_mailboxes() {
        for (text, wanted) in [
            ("Acme <news@@acme.example>", "two `@`"),
            ("acme", "no `@`"),
            (
                "Acme <news@acme.example",
                "not `Name <address>`; a name with a comma or a dot needs quotes",
            ),
            ("Acme <a@x.io>\r\nBcc: b@x.io", "a control character"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), wanted, "{text}");
        }
    }
}
