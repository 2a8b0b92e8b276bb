//! The headers of a chunk's record: what it holds, readable without its payload, and the sum over both.

use super::{ChunkError, Origin};
use crate::domain::chunk::{ChunkHead, MAX_ROWS};
use crate::domain::ids::Row;
use crate::domain::topic::TopicPartition;
use crate::queue::record::Record;

/// Header `eventType` of every chunk.
pub const EVENT_TYPE: &str = "mail.chunk";
/// Header `eventVersion` of the chunks that are written.
pub const EVENT_VERSION: &str = "2";
/// Version 1 had every message whole.
const FIRST_VERSION: &str = "1";

/// How the payload is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Whole,
    Shared,
}

pub fn message_id(head: &ChunkHead, first: Row) -> String {
    format!("{}/{first}", head.key)
}

pub fn headers(
    head: &ChunkHead,
    origin: Origin<'_>,
    (first, last): (Row, Row),
    count: usize,
) -> Vec<(String, String)> {
    let mut headers = vec![
        ("messageId", message_id(head, first)),
        ("eventType", EVENT_TYPE.to_string()),
        ("eventVersion", EVENT_VERSION.to_string()),
        ("timestamp", origin.timestamp.to_string()),
        ("source", origin.source.to_string()),
        ("traceId", head.trace_id.clone()),
        ("campaign", head.campaign.clone()),
        ("run", head.run.clone()),
        ("key", head.key.to_string()),
        ("fingerprint", head.fingerprint.clone()),
        ("rows", format!("{first}-{last}")),
        ("count", count.to_string()),
    ];
    if let Some((at, number)) = &head.moved_from {
        headers.push(("move", format!("{at}#{number}")));
    }
    let named = |(name, value): (&str, String)| (name.to_string(), value);
    headers.into_iter().map(named).collect()
}

/// What the headers say. The payload is not looked at, so neither is the sum.
pub fn head(record: &Record) -> Result<ChunkHead, ChunkError> {
    version(record)?;
    let kind = text(record, "eventType")?;
    if kind != EVENT_TYPE {
        return Err(bad("eventType", kind));
    }
    let rows = text(record, "rows")?;
    let (first_row, last_row) = rows
        .split_once('-')
        .and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)))
        .filter(|(first, last): &(Row, Row)| first <= last)
        .ok_or_else(|| bad("rows", rows))?;
    let count: u32 = parsed(record, "count")?;
    if count == 0 || usize::try_from(count).map_or(true, |count| count > MAX_ROWS) {
        return Err(bad("count", &count.to_string()));
    }
    Ok(ChunkHead {
        campaign: text(record, "campaign")?.to_string(),
        run: text(record, "run")?.to_string(),
        key: parsed(record, "key")?,
        fingerprint: text(record, "fingerprint")?.to_string(),
        first_row,
        last_row,
        count,
        moved_from: record.header("move").map(moved_from).transpose()?,
        trace_id: text(record, "traceId")?.to_string(),
    })
}

pub fn version(record: &Record) -> Result<Version, ChunkError> {
    match text(record, "eventVersion")? {
        FIRST_VERSION => Ok(Version::Whole),
        EVENT_VERSION => Ok(Version::Shared),
        other => Err(ChunkError::UnknownVersion(other.to_string())),
    }
}

/// CRC-32 over every header but `sum` itself, then the payload, in hexadecimal.
pub fn sum(headers: &[(String, String)], payload: &[u8]) -> String {
    let mut crc = crc32fast::Hasher::new();
    for (name, value) in headers.iter().filter(|(name, _)| name != "sum") {
        for part in [name, value] {
            crc.update(part.as_bytes());
            crc.update(&[0]);
        }
    }
    crc.update(payload);
    format!("{:08x}", crc.finalize())
}

fn moved_from(value: &str) -> Result<(TopicPartition, u64), ChunkError> {
    value
        .split_once('#')
        .and_then(|(at, number)| Some((at.parse().ok()?, number.parse().ok()?)))
        .ok_or_else(|| bad("move", value))
}

pub fn text<'a>(record: &'a Record, name: &'static str) -> Result<&'a str, ChunkError> {
    record.header(name).ok_or(ChunkError::NoHeader(name))
}

fn parsed<T: std::str::FromStr>(record: &Record, name: &'static str) -> Result<T, ChunkError> {
    let value = text(record, name)?;
    value.parse().map_err(|_| bad(name, value))
}

fn bad(name: &'static str, value: &str) -> ChunkError {
    // A hostile value must not flood a log.
    let value = value.chars().take(80).collect();
    ChunkError::BadHeader { name, value }
}
