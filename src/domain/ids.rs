//! Identifiers: offsets, partitions, rows, runs, and the short key that stands for a run in the queue.

use super::digest::leading_64_bits;
use ring::digest;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Position of a record in a partition's log. Ranges of offsets exclude their end.
pub type Offset = u64;
/// Index of a partition, from 0.
pub type Partition = u32;
/// Number of an accepted recipient within its run, from 0, in file order.
pub type Row = u64;

/// The number of a row for people and in JSON that is printed: from 1.
pub fn shown_row(row: Row) -> u64 {
    row.saturating_add(1)
}

/// For fields of JSON that is printed. What is stored counts from 0.
pub fn serialize_shown_row<S: serde::Serializer>(row: &Row, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_u64(shown_row(*row))
}

/// Campaign and run. The pair is never enqueued twice.
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

    /// The first 64 bits of SHA-256 over both names: short enough for a commit string, long enough for runs of one
    /// queue not to collide.
    pub fn key(&self) -> RunKey {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(self.campaign.as_bytes());
        hash.update(&[0]);
        hash.update(self.run.as_bytes());
        RunKey(leading_64_bits(hash.finish().as_ref()))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.campaign, self.run)
    }
}

/// A run's key in records and commit strings, written as 16 hexadecimal digits.
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
