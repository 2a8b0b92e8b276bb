//! The project's secret: from it come Message-IDs, tokens and suppression keys, the same on every host.

use super::ids::RunId;
use ring::{digest, hmac};
use std::fmt;

/// 32 random bytes. Never printed; `Debug` shows the fingerprint.
#[derive(Clone)]
pub struct ProjectKey {
    secret: hmac::Key,
    fingerprint: String,
}

impl ProjectKey {
    pub const BYTES: usize = 32;

    pub fn new(secret: &[u8; Self::BYTES]) -> ProjectKey {
        let digest = digest::digest(&digest::SHA256, secret);
        ProjectKey {
            secret: hmac::Key::new(hmac::HMAC_SHA256, secret),
            fingerprint: hex(digest.as_ref().get(..8).unwrap_or_default()),
        }
    }

    /// What the queue remembers of the key, so that another project's key is noticed.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The left side of a Message-ID: the same for a recipient of a run, whoever renders it and whenever.
    pub fn message_token(&self, run: &RunId, address: &str) -> String {
        hex(&self.tag("message", &[&run.campaign, &run.run, address])[..16])
    }

    /// The key of an address in the suppression topic; says nothing of the address to who lacks the project's key.
    pub fn suppression_token(&self, address: &str) -> String {
        hex(&self.tag("suppression", &[address])[..16])
    }

    fn tag(&self, purpose: &str, parts: &[&str]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.secret);
        context.update(purpose.as_bytes());
        for part in parts {
            context.update(&[0]);
            context.update(part.as_bytes());
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.sign().as_ref());
        bytes
    }
}

impl fmt::Debug for ProjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProjectKey({}…)", self.fingerprint)
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
        .collect()
}
