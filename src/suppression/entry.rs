//! One suppressed address: its key in the suppression topic, and its record.

use crate::domain::mailbox_key::mailbox_key;
use crate::domain::outcome::Reason;
use crate::domain::project_key::ProjectKey;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The form in which addresses are compared.
pub fn fold(address: &str) -> String {
    mailbox_key(address).into_owned()
}

/// The key of an address in the suppression topic: 128 bits of an HMAC with the project key, 32 hexadecimal digits as
/// text. Without the project key it does not reveal the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SuppressionKey(pub(super) u128);

impl SuppressionKey {
    /// Of its hexadecimal text.
    pub const TEXT_BYTES: usize = 32;

    /// The key of the folded address.
    pub fn of(key: &ProjectKey, address: &str) -> SuppressionKey {
        SuppressionKey(key.suppression_key(&fold(address)))
    }
}

impl fmt::Display for SuppressionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl std::str::FromStr for SuppressionKey {
    type Err = String;
    fn from_str(text: &str) -> Result<SuppressionKey, String> {
        let wrong = || format!("`{text}` is not a suppression key of 32 hexadecimal digits");
        if text.len() != SuppressionKey::TEXT_BYTES
            || !text.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            return Err(wrong());
        }
        u128::from_str_radix(text, 16)
            .map(SuppressionKey)
            .map_err(|_| wrong())
    }
}

/// The value of a record, as JSON. The record's key is the address's [`SuppressionKey`]. A record without a value ends
/// the suppression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub address: String,
    pub reason: Reason,
    /// Where it comes from: the relay's reply, the line of an imported file, the command of a person.
    pub source: String,
    /// RFC 3339, UTC.
    pub since: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
}

impl Entry {
    /// The entry after a hard bounce. `reply` is the relay's text.
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

    pub fn key(&self, project_key: &ProjectKey) -> SuppressionKey {
        SuppressionKey::of(project_key, &self.address)
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
    fn an_entry_survives_json() {
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
        assert_eq!(
            entry.key(&key),
            SuppressionKey::of(&key, "ANNA@example.org")
        );
        assert_eq!(
            entry.key(&key),
            SuppressionKey(key.suppression_key("anna@example.org"))
        );
        assert_ne!(
            entry.key(&key),
            SuppressionKey::of(&key, "anne@example.org")
        );
        assert!(Entry::from_bytes(b"{}").is_err());
    }

    #[test]
    fn keys_parse_what_they_print() {
        let key = SuppressionKey(0xabc);
        assert_eq!(key.to_string().parse(), Ok(key));
        let long = "0".repeat(33);
        for wrong in [
            "",
            "abc",
            "+0000000000000000000000000000abc",
            "é",
            long.as_str(),
        ] {
            assert!(wrong.parse::<SuppressionKey>().is_err(), "{wrong}");
        }
    }
}
