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
        let wrong = |_| ValueError::Form(format!("not {}", Self::expects(limits)));
        let mailbox: lettre::message::Mailbox = match text.parse() {
            Ok(mailbox) => mailbox,
            Err(error) => match quoted(&text) {
                Some(quoted) => quoted.parse().map_err(wrong)?,
                None => return Err(wrong(error)),
            },
        };
        Ok(Mailbox {
            name: mailbox.name,
            address: mailbox.email.to_string(),
        })
    }
}

/// `Acme, Inc. <news@acme.example>` with quotes around the name. `None` for what may be several addresses.
fn quoted(text: &str) -> Option<String> {
    let (name, address) = text.trim().split_once('<')?;
    let name = name.trim();
    let is_name = !name.is_empty() && !name.contains(['"', '\\', '>']);
    let is_one = !(name.contains(',') && name.contains('@'));
    let is_address = address.ends_with('>') && !address.contains('<');
    (is_name && is_one && is_address).then(|| format!("\"{name}\" <{address}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_that_need_quotes() {
        for (text, name) in [
            ("Acme <a@b.example>", Some("Acme")),
            ("Acme, Inc. <a@b.example>", Some("Acme, Inc.")),
            ("\"Acme, Inc.\" <a@b.example>", Some("Acme, Inc.")),
            ("news@acme.example <a@b.example>", Some("news@acme.example")),
            ("Dr. Zoë: News <a@b.example>", Some("Dr. Zoë: News")),
            ("a@b.example", None),
        ] {
            let mailbox = Mailbox::parse(text, &Limits::None).unwrap();
            assert_eq!(
                (mailbox.name.as_deref(), mailbox.address.as_str()),
                (name, "a@b.example")
            );
        }
        for text in [
            "a@b.example, c@d.example",
            "a@b.example, C <c@d.example>",
            "Acme, Inc. <a>",
            "x <a@b.example",
        ] {
            assert!(Mailbox::parse(text, &Limits::None).is_err(), "{text}");
        }
    }
}
