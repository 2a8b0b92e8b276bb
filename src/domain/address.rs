//! E-mail addresses as recipients: RFC 5321 syntax and lengths, domain as lower-case A-labels.

use std::fmt;

/// A mailbox that may stand in RCPT TO. The local part is as given, the domain in lower-case A-labels.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    text: String,
    at: usize,
}

impl Address {
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn domain(&self) -> &str {
        self.text.get(self.at + 1..).unwrap_or_default()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
