//! Chunks as bytes: one gzip member of JSON lines and messages, and the record headers that describe it.
//! Whatever is damaged, too large or from another version is an error; nothing that is read is believed.

use super::record::Record;
use crate::domain::chunk::{
    Chunk, ChunkHead, MAX_COMPRESSED_BYTES, MAX_RENDERED_BYTES, MAX_ROWS, Message, MessageLine,
};
use crate::domain::ids::Row;
use crate::domain::topic::TopicPartition;
use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use std::io::{Read, Write};

/// Header `eventType` of every chunk.
pub const EVENT_TYPE: &str = "mail.chunk";
/// Header `eventVersion` of the chunks that are written, and the only one that is read.
pub const EVENT_VERSION: &str = "1";
/// Templated mail compresses well at any level; enqueue is bound by this step.
const LEVEL: u32 = 3;

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
    #[error("{bytes} bytes rendered from row {row} on (at most {MAX_RENDERED_BYTES} in a chunk)")]
    RenderedTooLarge { row: Row, bytes: usize },
    #[error(
        "{bytes} bytes compressed from row {row} on (at most {MAX_COMPRESSED_BYTES} in a chunk)"
    )]
    CompressedTooLarge { row: Row, bytes: usize },
    #[error("header `{0}` is missing")]
    NoHeader(&'static str),
    #[error("header `{name}` is `{value}`")]
    BadHeader { name: &'static str, value: String },
    #[error("event version `{0}` is unknown (this mailq reads `{EVENT_VERSION}`)")]
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
            ChunkError::RenderedTooLarge { .. } | ChunkError::CompressedTooLarge { .. }
        )
    }
}

/// One record of these messages, whose rows must grow. Rows and count of the head, and `bytes` of the lines, are
/// taken from the messages.
pub fn encode<B: AsRef<[u8]>>(
    head: &ChunkHead,
    origin: Origin<'_>,
    messages: &[(MessageLine, B)],
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
    let payload = compress(first, messages)?;
    let mut headers = headers(head, origin, (first, last), messages.len());
    headers.push(("sum".to_string(), sum(&headers, &payload)));
    Ok(Record {
        key: Some(message_id(head, first)),
        headers,
        payload: Some(payload),
    })
}

fn message_id(head: &ChunkHead, first: Row) -> String {
    format!("{}/{first}", head.key)
}

fn headers(
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

/// Messages of a range of rows as few records: split in halves, at a row, until each fits. The same messages always
/// make the same records. Errors: a single message over the limits, named by its row.
pub fn pack<B: AsRef<[u8]>>(
    head: &ChunkHead,
    origin: Origin<'_>,
    messages: &[(MessageLine, B)],
) -> Result<Vec<Record>, ChunkError> {
    let mut records = Vec::new();
    let mut ranges: Vec<&[(MessageLine, B)]> = messages.chunks(MAX_ROWS).rev().collect();
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

/// What the headers say. The payload is not looked at, so neither is the sum.
pub fn head(record: &Record) -> Result<ChunkHead, ChunkError> {
    let version = text(record, "eventVersion")?;
    if version != EVENT_VERSION {
        return Err(ChunkError::UnknownVersion(version.to_string()));
    }
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

/// The whole chunk, after every check. Contents are slices of one buffer.
pub fn decode(record: &Record) -> Result<Chunk, ChunkError> {
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
    let buffer = Bytes::from(inflate(head.first_row, payload)?);
    let messages = split(&buffer)?;
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

fn compress<B: AsRef<[u8]>>(
    first: Row,
    messages: &[(MessageLine, B)],
) -> Result<Bytes, ChunkError> {
    let contents: usize = messages.iter().map(|(_, body)| body.as_ref().len()).sum();
    let too_large = |bytes| ChunkError::RenderedTooLarge { row: first, bytes };
    if contents > MAX_RENDERED_BYTES {
        return Err(too_large(contents));
    }
    let failed = |error: std::io::Error| ChunkError::Gzip(error.to_string());
    let mut gzip = GzEncoder::new(Vec::new(), Compression::new(LEVEL));
    let mut rendered = 0usize;
    for (position, (line, content)) in messages.iter().enumerate() {
        let content = content.as_ref();
        let line = MessageLine {
            bytes: u32::try_from(content.len()).map_err(|_| too_large(contents))?,
            ..line.clone()
        };
        let json = serde_json::to_vec(&line).map_err(|error| ChunkError::BadMessage {
            position,
            what: error.to_string(),
        })?;
        rendered += json.len() + content.len() + 2;
        for part in [json.as_slice(), b"\n", content, b"\n"] {
            gzip.write_all(part).map_err(failed)?;
        }
    }
    if rendered > MAX_RENDERED_BYTES {
        return Err(too_large(rendered));
    }
    let payload = gzip.finish().map_err(failed)?;
    if payload.len() > MAX_COMPRESSED_BYTES {
        return Err(ChunkError::CompressedTooLarge {
            row: first,
            bytes: payload.len(),
        });
    }
    Ok(Bytes::from(payload))
}

/// Inflates one member, at most `MAX_RENDERED_BYTES` of it, and nothing may follow.
fn inflate(first: Row, payload: &[u8]) -> Result<Vec<u8>, ChunkError> {
    let limit = u64::try_from(MAX_RENDERED_BYTES).unwrap_or(u64::MAX);
    let mut gzip = GzDecoder::new(payload);
    let mut rendered = Vec::new();
    gzip.by_ref()
        .take(limit.saturating_add(1))
        .read_to_end(&mut rendered)
        .map_err(|error| ChunkError::Gzip(error.to_string()))?;
    if rendered.len() > MAX_RENDERED_BYTES {
        return Err(ChunkError::RenderedTooLarge {
            row: first,
            bytes: rendered.len(),
        });
    }
    if !gzip.into_inner().is_empty() {
        return Err(ChunkError::Gzip("bytes after the first member".to_string()));
    }
    Ok(rendered)
}

fn split(buffer: &Bytes) -> Result<Vec<Message>, ChunkError> {
    let mut messages: Vec<Message> = Vec::new();
    let mut rest: &[u8] = buffer;
    while !rest.is_empty() {
        let position = messages.len();
        if position == MAX_ROWS {
            return Err(ChunkError::TooManyRows(position + 1));
        }
        let wrong = |what: &str| ChunkError::BadMessage {
            position,
            what: what.to_string(),
        };
        let end = rest.iter().position(|byte| *byte == b'\n');
        let (json, after) = end
            .and_then(|end| rest.split_at_checked(end))
            .ok_or_else(|| wrong("no line"))?;
        let line: MessageLine =
            serde_json::from_slice(json).map_err(|error| wrong(&error.to_string()))?;
        let length = usize::try_from(line.bytes).map_err(|_| wrong("too long"))?;
        let (content, after) = after
            .split_first()
            .and_then(|(_, after)| after.split_at_checked(length))
            .ok_or_else(|| wrong("shorter than its line says"))?;
        rest = after
            .strip_prefix(b"\n")
            .ok_or_else(|| wrong("longer than its line says"))?;
        if let Some(before) = messages.last() {
            in_order(before.line.row, line.row)?;
        }
        messages.push(Message {
            line,
            content: buffer.slice_ref(content),
        });
    }
    Ok(messages)
}

fn in_order(before: Row, row: Row) -> Result<(), ChunkError> {
    if row > before {
        Ok(())
    } else {
        Err(ChunkError::RowOrder { before, row })
    }
}

/// CRC-32 over every header but `sum` itself, then the payload, in hexadecimal.
fn sum(headers: &[(String, String)], payload: &[u8]) -> String {
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

fn text<'a>(record: &'a Record, name: &'static str) -> Result<&'a str, ChunkError> {
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

#[cfg(test)]
mod tests;
