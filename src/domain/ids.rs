//! Names of things: campaign, run, message, worker; and the short key under which a run appears in the queue.

use ring::digest;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A place in a partition's log. The next offset is one higher; an empty range is `first == end`.
pub type Offset = u64;
/// Index of a partition.
pub type Partition = u32;
/// Ordinal of an accepted recipient within its run, from 0, in file order.
pub type Row = u64;

/// (campaign, run): what must never be enqueued twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId {
    pub campaign: String,
    pub run: String,
}

impl RunId {
    pub fn new(campaign: impl Into<String>, run: impl Into<String>) -> RunId {
        RunId {
            campaign: campaign.into(),
            run: run.into(),
        }
    }

    /// The first 64 bits of SHA-256 over both names: short enough for commit strings, wide enough never to collide.
    pub fn key(&self) -> RunKey {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(self.campaign.as_bytes());
        hash.update(&[0]);
        hash.update(self.run.as_bytes());
        let first = hash
            .finish()
            .as_ref()
            .iter()
            .take(8)
            .fold(0u64, |n, byte| n << 8 | u64::from(*byte));
        RunKey(first)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.campaign, self.run)
    }
}

/// A run's short name in records and commit strings, written as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RunKey(pub u64);

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl std::str::FromStr for RunKey {
    type Err = String;
    fn from_str(text: &str) -> Result<RunKey, String> {
        if text.len() != 16 {
            return Err(format!(
                "`{text}` is not a run key of 16 hexadecimal digits"
            ));
        }
        u64::from_str_radix(text, 16)
            .map(RunKey)
            .map_err(|_| format!("`{text}` is not a run key of 16 hexadecimal digits"))
    }
}

impl Serialize for RunKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<RunKey, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}
