//! A record of a log: key, headers and payload.

use crate::domain::ids::Offset;
use bytes::Bytes;
use std::time::SystemTime;

/// A record to be appended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Every record of a compacted topic has one.
    pub key: Option<String>,
    /// Names and values, in order. A name may occur more than once.
    pub headers: Vec<(String, String)>,
    /// `None`: a tombstone. In a compacted topic it takes back the earlier records of its key.
    pub payload: Option<Bytes>,
}

impl Record {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

/// A record in a log. `appended_at` is the log's own time, from which retries are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub offset: Offset,
    pub appended_at: SystemTime,
    pub record: Record,
}
