//! Records to Kafka's and back: key, headers and value one to one. A record without a value is a tombstone.

use crate::queue::{Record, Stored};
use bytes::Bytes;
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use std::panic::{AssertUnwindSafe, catch_unwind};
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
            let header = catch_unwind(AssertUnwindSafe(|| found.try_get(index)));
            let header = header.map_err(|_| "a header's name is not UTF-8".to_string())?;
            if let Some(header) = header {
                let value = text("header", header.value.unwrap_or_default())?;
                headers.push((header.key.to_string(), value));
            }
        }
    }
    let milliseconds = message.timestamp().to_millis().unwrap_or(0);
    Ok(Stored {
        offset: u64::try_from(message.offset()).unwrap_or(0),
        appended_at: instant(milliseconds),
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

fn instant(milliseconds: i64) -> SystemTime {
    let since = Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0));
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}
