//! What stands in a log: key, headers, payload. A record without a payload is a tombstone in a compacted topic.

use crate::domain::ids::Offset;
use bytes::Bytes;
use std::time::SystemTime;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// In a compacted topic every record has one.
    pub key: Option<String>,
    /// UTF-8 names and values, in order.
    pub headers: Vec<(String, String)>,
    /// `None`: the key is void from here on.
    pub payload: Option<Bytes>,
}

impl Record {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

/// A record where it landed. `appended_at` is the log's own time: due times count from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub offset: Offset,
    pub appended_at: SystemTime,
    pub record: Record,
}
