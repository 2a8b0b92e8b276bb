//! Records to Kafka's and back: key, headers and value one to one. A record without a value is a tombstone.

use crate::domain::ids::Offset;
use crate::queue::{Record, Stored};
use crate::threads;
use bytes::Bytes;
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a record takes in a batch beside its key, headers and value, at most.
const OVERHEAD_BYTES: usize = 100;

pub(super) fn headers(record: &Record) -> Option<OwnedHeaders> {
    if record.headers.is_empty() {
        return None;
    }
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
    for (key, value) in &record.headers {
        headers = headers.insert(Header {
            key,
            value: Some(value.as_str()),
        });
    }
    Some(headers)
}

/// The size of a record in a batch, at most.
pub(super) fn bytes(record: &Record) -> usize {
    let headers = record.headers.iter();
    let headers: usize = headers
        .map(|(key, value)| key.len() + value.len() + 10)
        .sum();
    let key = record.key.as_ref().map_or(0, String::len);
    let payload = record.payload.as_ref().map_or(0, Bytes::len);
    key + headers + payload + OVERHEAD_BYTES
}

/// Errors: why the record cannot be read. Anybody may write to a topic.
pub(super) fn stored(message: &BorrowedMessage<'_>) -> Result<Stored, String> {
    let key = message.key().map(|key| text("key", key)).transpose()?;
    let mut headers = Vec::new();
    if let Some(found) = message.headers() {
        for index in 0..found.count() {
            // The binding panics if the name is not UTF-8.
            let header = threads::catching(|| found.try_get(index));
            let header = header.ok_or("a header's name is not UTF-8")?;
            let header = header.ok_or("it has fewer headers than it says")?;
            let value = text("header", header.value.unwrap_or_default())?;
            headers.push((header.key.to_string(), value));
        }
    }
    Ok(Stored {
        offset: offset(message).ok_or("its offset is negative")?,
        appended_at: appended_at(message).ok_or("it has no time of its own")?,
        record: Record {
            key,
            headers,
            payload: message.payload().map(Bytes::copy_from_slice),
        },
    })
}

fn text(what: &str, bytes: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| format!("its {what} is not UTF-8"))?;
    Ok(text.to_string())
}

/// `None`: librdkafka gives a negative offset to what is not a record.
pub(super) fn offset(message: &BorrowedMessage<'_>) -> Option<Offset> {
    Offset::try_from(message.offset()).ok()
}

/// Retries are due by this time, so a record without one is not taken for one of 1970.
fn appended_at(message: &BorrowedMessage<'_>) -> Option<SystemTime> {
    let milliseconds = u64::try_from(message.timestamp().to_millis()?).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds))
}
