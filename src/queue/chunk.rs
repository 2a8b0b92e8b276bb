//! Chunks as bytes: one gzip member of text, and the record headers that describe it. Whatever is damaged, too large or
//! from another version is an error; nothing that is read is trusted.
//!
//! - `headers` what a record says of its chunk, and the sum
//! - `payload` the messages
//! - `sharing` finds what the messages of a run share, when they are written
//! - `texts` keeps what they share once, when they are read

mod headers;
mod payload;
mod sharing;
mod texts;

pub use headers::{EVENT_TYPE, EVENT_VERSION, head};
pub use sharing::Sharing;
pub use texts::Texts;

use super::record::Record;
use crate::domain::chunk::{
    Chunk, ChunkHead, MAX_COMPRESSED_BYTES, MAX_ROWS, MAX_STORED_BYTES, MessageLine,
};
use crate::domain::content::MessageContent;
use crate::domain::ids::Row;
use headers::{headers, message_id, sum, text, version};

/// Who wrote a chunk and when: there is no clock here.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// RFC 3339, UTC.
    pub timestamp: &'a str,
    /// Host and verb: `mail-1/enqueue`.
    pub source: &'a str,
}

/// Why a record is no chunk, or messages make none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    #[error("a chunk of no messages")]
    Empty,
    #[error("{0} rows in a chunk (at most {MAX_ROWS})")]
    TooManyRows(usize),
    #[error("row {row} does not come after row {before}")]
    RowOrder { before: Row, row: Row },
    #[error("{bytes} bytes from row {row} on (at most {MAX_STORED_BYTES} in a chunk)")]
    StoredTooLarge { row: Row, bytes: usize },
    #[error(
        "{bytes} bytes compressed from row {row} on (at most {MAX_COMPRESSED_BYTES} in a chunk)"
    )]
    CompressedTooLarge { row: Row, bytes: usize },
    #[error("header `{0}` is missing")]
    NoHeader(&'static str),
    #[error("header `{name}` is `{value}`")]
    BadHeader { name: &'static str, value: String },
    #[error("event version `{0}` is unknown (this mailq reads `1` and `{EVENT_VERSION}`)")]
    UnknownVersion(String),
    #[error("no payload")]
    NoPayload,
    #[error("checksum does not match")]
    Sum,
    #[error("gzip: {0}")]
    Gzip(String),
    #[error("message {position}: {what}")]
    BadMessage { position: usize, what: String },
    #[error("{0}")]
    Disagrees(&'static str),
}

impl ChunkError {
    fn is_too_large(&self) -> bool {
        matches!(
            self,
            ChunkError::StoredTooLarge { .. } | ChunkError::CompressedTooLarge { .. }
        )
    }
}

/// One record of these messages, whose rows must grow. Rows and count of the head, and `bytes` of the lines, are
/// taken from the messages.
pub fn encode(
    head: &ChunkHead,
    origin: Origin<'_>,
    messages: &[(MessageLine, MessageContent)],
) -> Result<Record, ChunkError> {
    let (first, last) = match (messages.first(), messages.last()) {
        (Some((first, _)), Some((last, _))) => (first.row, last.row),
        _ => return Err(ChunkError::Empty),
    };
    if messages.len() > MAX_ROWS {
        return Err(ChunkError::TooManyRows(messages.len()));
    }
    for pair in messages.windows(2) {
        if let [(before, _), (after, _)] = pair {
            in_order(before.row, after.row)?;
        }
    }
    let payload = payload::write(first, messages)?;
    let mut headers = headers(head, origin, (first, last), messages.len());
    headers.push(("sum".to_string(), sum(&headers, &payload)));
    Ok(Record {
        key: Some(message_id(head, first)),
        headers,
        payload: Some(payload),
    })
}

/// Messages of a range of rows as few records: split in halves, at a row, until each fits. The same messages always
/// make the same records. Errors: a single message over the limits, named by its row.
pub fn pack(
    head: &ChunkHead,
    origin: Origin<'_>,
    messages: &[(MessageLine, MessageContent)],
) -> Result<Vec<Record>, ChunkError> {
    let mut records = Vec::new();
    let mut ranges: Vec<&[(MessageLine, MessageContent)]> =
        messages.chunks(MAX_ROWS).rev().collect();
    while let Some(range) = ranges.pop() {
        match encode(head, origin, range) {
            Ok(record) => records.push(record),
            Err(error) if error.is_too_large() && range.len() > 1 => {
                let (left, right) = range.split_at(range.len() / 2);
                ranges.push(right);
                ranges.push(left);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(records)
}

/// A chunk's record with one more header, which its sum covers as it does the others.
pub fn with_header(mut record: Record, name: &str, value: String) -> Record {
    record.headers.retain(|(known, _)| known != "sum");
    record.headers.push((name.to_string(), value));
    let payload = record.payload.as_deref().unwrap_or_default();
    let sum = sum(&record.headers, payload);
    record.headers.push(("sum".to_string(), sum));
    record
}

/// The whole chunk, after every check.
pub fn decode(record: &Record) -> Result<Chunk, ChunkError> {
    decode_with(record, &Texts::default())
}

/// The same, with shared texts taken from among those that were read before.
pub fn decode_with(record: &Record, texts: &Texts) -> Result<Chunk, ChunkError> {
    let head = head(record)?;
    let payload = record.payload.as_ref().ok_or(ChunkError::NoPayload)?;
    if payload.len() > MAX_COMPRESSED_BYTES {
        return Err(ChunkError::CompressedTooLarge {
            row: head.first_row,
            bytes: payload.len(),
        });
    }
    if text(record, "sum")? != sum(&record.headers, payload) {
        return Err(ChunkError::Sum);
    }
    let messages = payload::read(head.first_row, version(record)?, payload, texts)?;
    if u32::try_from(messages.len()) != Ok(head.count) {
        return Err(ChunkError::Disagrees(
            "header `count` is not the number of messages",
        ));
    }
    let ends = (messages.first(), messages.last());
    if !matches!(ends, (Some(first), Some(last))
        if first.line.row == head.first_row && last.line.row == head.last_row)
    {
        return Err(ChunkError::Disagrees(
            "header `rows` are not the rows of the messages",
        ));
    }
    Ok(Chunk { head, messages })
}

fn in_order(before: Row, row: Row) -> Result<(), ChunkError> {
    if row > before {
        Ok(())
    } else {
        Err(ChunkError::RowOrder { before, row })
    }
}

#[cfg(test)]
mod tests;
