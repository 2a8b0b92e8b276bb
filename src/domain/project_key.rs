//! The project's secret key. Message-IDs and suppression keys derive from it, so they are the same on every host.

use super::digest::{hex, leading_128_bits};
use super::ids::RunId;
use ring::{digest, hmac};
use std::fmt;

const FINGERPRINT_DIGITS: usize = 16;

/// 32 random bytes. Never printed; `Debug` shows the fingerprint.
#[derive(Clone)]
pub struct ProjectKey {
    secret: hmac::Key,
    fingerprint: String,
}

impl ProjectKey {
    pub const BYTES: usize = 32;

    pub fn new(secret: &[u8; Self::BYTES]) -> ProjectKey {
        let mut fingerprint = hex(digest::digest(&digest::SHA256, secret).as_ref());
        fingerprint.truncate(FINGERPRINT_DIGITS);
        ProjectKey {
            secret: hmac::Key::new(hmac::HMAC_SHA256, secret),
            fingerprint,
        }
    }

    /// Stored in the queue, so that a worker with another project's key is refused. 16 hexadecimal digits.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The left side of a Message-ID, 32 hexadecimal digits. It depends on run and address alone, so rendering a row
    /// again, on any host, gives the same Message-ID.
    pub fn message_token(&self, run: &RunId, address: &str) -> String {
        let tag = self.tag("message", &[&run.campaign, &run.run, address]);
        format!("{tag:032x}")
    }

    /// The key of an address in the suppression topic. Without the project key it does not reveal the address.
    pub fn suppression_key(&self, address: &str) -> u128 {
        self.tag("suppression", &[address])
    }

    /// The first 128 bits of the HMAC. `purpose` keeps tags of different uses apart.
    fn tag(&self, purpose: &str, parts: &[&str]) -> u128 {
        let mut context = hmac::Context::with_key(&self.secret);
        context.update(purpose.as_bytes());
        for part in parts {
            context.update(&[0]);
            context.update(part.as_bytes());
        }
        leading_128_bits(context.sign().as_ref())
    }
}

impl fmt::Debug for ProjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProjectKey({}…)", self.fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python's hashlib and hmac. They must never change: queues hold them.
    #[test]
    fn derived_values_are_stable() {
        let key = ProjectKey::new(&[7; ProjectKey::BYTES]);
        let run = RunId::new("spring", "june");
        assert_eq!(key.fingerprint(), "4bb06f8e4e3a7715");
        assert_eq!(
            key.message_token(&run, "anna@example.org"),
            "78b8cf866d27bdf6b937b31a745d63d9"
        );
        let suppression_key = key.suppression_key("anna@example.org");
        assert_eq!(
            format!("{suppression_key:032x}"),
            "dd2793a1059ae09ec54838fd7bd98f4d"
        );
    }
}
