//! One suppressed address: its key, which says nothing to who lacks the project's key, and its record.

use crate::domain::outcome::Reason;
use crate::domain::project_key::ProjectKey;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The form of an address under which it is suppressed: trimmed and in lower case, the local part too. RFC 5321 §2.4
/// lets local parts differ in case; no large provider's do, and a refusal is meant for the person.
pub fn fold(address: &str) -> String {
    address.trim().to_lowercase()
}

/// The key of an address in the suppression topic: 128 bits of the project's HMAC, 32 hexadecimal digits as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub(super) u128);

impl Token {
    /// Folds the address first.
    pub fn of(key: &ProjectKey, address: &str) -> Token {
        Token(key.suppression_token(&fold(address)))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl std::str::FromStr for Token {
    type Err = String;
    fn from_str(text: &str) -> Result<Token, String> {
        let wrong = || format!("`{text}` is not a suppression key of 32 hexadecimal digits");
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        u128::from_str_radix(text, 16)
            .map(Token)
            .map_err(|_| wrong())
    }
}

/// The value of a record, JSON. The record's key is the address's [`Token`]; a record without a value takes it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub address: String,
    pub reason: Reason,
    /// Who says so: the relay's reply, the import's file, a person's command.
    pub source: String,
    /// RFC 3339, UTC.
    pub since: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
}

impl Entry {
    /// After a hard bounce: `reply` is the relay's answer in its own words.
    pub fn hard_bounce(
        address: &str,
        reason: Reason,
        reply: &str,
        campaign: &str,
        since: &str,
    ) -> Entry {
        Entry {
            address: fold(address),
            reason,
            source: reply.to_string(),
            since: since.to_string(),
            campaign: Some(campaign.to_string()),
        }
    }

    pub fn token(&self, key: &ProjectKey) -> Token {
        Token::of(key, &self.address)
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    pub fn from_bytes(payload: &[u8]) -> Result<Entry, serde_json::Error> {
        serde_json::from_slice(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_survives_its_record() {
        let key = ProjectKey::new(&[7; ProjectKey::BYTES]);
        let entry = Entry::hard_bounce(
            " Anna@Example.ORG ",
            Reason::NoMailbox,
            "550 5.1.1 \"no\" such user \u{fffd}",
            "spring",
            "2026-05-01T00:00:00Z",
        );
        assert_eq!(entry.address, "anna@example.org");
        assert_eq!(
            Entry::from_bytes(&entry.to_bytes().unwrap()).unwrap(),
            entry
        );
        assert_eq!(entry.token(&key), Token::of(&key, "ANNA@example.org"));
        assert_eq!(
            entry.token(&key),
            Token(key.suppression_token("anna@example.org"))
        );
        assert_ne!(entry.token(&key), Token::of(&key, "anne@example.org"));
        assert!(Entry::from_bytes(b"{}").is_err());
    }

    #[test]
    fn tokens_are_read_as_they_are_written() {
        let token = Token(0xabc);
        assert_eq!(token.to_string().parse(), Ok(token));
        let long = "0".repeat(33);
        for wrong in [
            "",
            "abc",
            "+0000000000000000000000000000abc",
            "é",
            long.as_str(),
        ] {
            assert!(wrong.parse::<Token>().is_err(), "{wrong}");
        }
    }
}
