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
mod tests {
    use super::*;
    use crate::domain::ids::RunId;
    use crate::domain::topic::Topic;
    use proptest::prelude::*;

    const ORIGIN: Origin = Origin {
        timestamp: "2026-11-21T08:00:00Z",
        source: "test/enqueue",
    };

    fn template() -> ChunkHead {
        ChunkHead {
            campaign: "spring".into(),
            run: "2026-11".into(),
            key: RunId::new("spring", "2026-11").key(),
            fingerprint: "ab".repeat(32),
            first_row: 0,
            last_row: 0,
            count: 0,
            moved_from: None,
            trace_id: "t1".into(),
        }
    }

    fn line(row: Row) -> MessageLine {
        MessageLine {
            row,
            line: row + 2,
            address: format!("anna{row}@example.org"),
            id: format!("{row}@example.net"),
            return_path: "bounces@example.net".into(),
            tries: 0,
            hop: 0,
            round: 0,
            suppressed: None,
            bytes: 0,
        }
    }

    fn message(row: Row, content: &[u8]) -> (MessageLine, Vec<u8>) {
        (line(row), content.to_vec())
    }

    fn noise(seed: u64, bytes: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..bytes).map(|_| random.u8(..)).collect()
    }

    /// The record with its payload replaced and its sum made right again.
    fn forged(record: &Record, payload: Vec<u8>) -> Record {
        let mut forged = record.clone();
        forged.headers.pop();
        let sum = sum(&forged.headers, &payload);
        forged.headers.push(("sum".into(), sum));
        forged.payload = Some(Bytes::from(payload));
        forged
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::new(LEVEL));
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    fn set(record: &Record, name: &str, value: &str) -> Record {
        let mut changed = record.clone();
        for (n, v) in &mut changed.headers {
            if n == name {
                *v = value.to_string();
            }
        }
        changed
    }

    #[test]
    fn headers_say_what_is_inside() {
        let mut head = template();
        let source = TopicPartition::new(Topic::Send, 3);
        head.moved_from = Some((source, 17));
        let messages = [message(7, b"a\n\nb"), message(9, b"")];
        let record = encode(&head, ORIGIN, &messages).unwrap();
        assert_eq!(record.header("move"), Some("send/3#17"));
        assert_eq!(record.header("rows"), Some("7-9"));
        assert_eq!(record.header("count"), Some("2"));
        assert_eq!(record.key.as_deref(), record.header("messageId"));
        let read = super::head(&record).unwrap();
        assert_eq!((read.first_row, read.last_row, read.count), (7, 9, 2));
        assert_eq!(read.moved_from, Some((source, 17)));
        assert_eq!(decode(&record).unwrap().head, read);
    }

    #[test]
    fn limits_hold_when_written() {
        let none: [(MessageLine, Vec<u8>); 0] = [];
        assert_eq!(encode(&template(), ORIGIN, &none), Err(ChunkError::Empty));
        let swapped = [message(2, b"x"), message(2, b"y")];
        assert_eq!(
            encode(&template(), ORIGIN, &swapped),
            Err(ChunkError::RowOrder { before: 2, row: 2 })
        );
        let many: Vec<_> = (0..501).map(|row| message(row, b"x")).collect();
        assert_eq!(
            encode(&template(), ORIGIN, &many),
            Err(ChunkError::TooManyRows(501))
        );
        let huge = [message(1, b"x"), message(2, &noise(1, 600 * 1024))];
        assert!(matches!(
            pack(&template(), ORIGIN, &huge),
            Err(ChunkError::CompressedTooLarge { row: 2, .. })
        ));
        let long = [message(5, &vec![b'x'; MAX_RENDERED_BYTES])];
        assert!(matches!(
            pack(&template(), ORIGIN, &long),
            Err(ChunkError::RenderedTooLarge { row: 5, .. })
        ));
    }

    #[test]
    fn splits_at_rows_and_always_alike() {
        let messages: Vec<_> = (0..1_200u32)
            .map(|n| message(u64::from(n) * 3, &noise(u64::from(n), 4_000)))
            .collect();
        let records = pack(&template(), ORIGIN, &messages).unwrap();
        assert_eq!(records, pack(&template(), ORIGIN, &messages).unwrap());
        assert!(records.len() > 8);
        let rows: Vec<Row> = records
            .iter()
            .flat_map(|record| decode(record).unwrap().messages)
            .map(|message| message.line.row)
            .collect();
        let expected: Vec<Row> = messages.iter().map(|(line, _)| line.row).collect();
        assert_eq!(rows, expected);
        // Rendered size splits too: 90-fold compression keeps this far below the other limit.
        let plain: Vec<_> = (0..400).map(|row| message(row, &[b'x'; 40_000])).collect();
        assert_eq!(pack(&template(), ORIGIN, &plain).unwrap().len(), 2);
    }

    #[test]
    fn every_disagreement_is_an_error() {
        let record = encode(&template(), ORIGIN, &[message(4, b"hello")]).unwrap();
        let version = set(&record, "eventVersion", "2");
        assert_eq!(
            decode(&version),
            Err(ChunkError::UnknownVersion("2".into()))
        );
        for (name, value) in [
            ("eventType", "mail.event"),
            ("rows", "4"),
            ("rows", "5-4"),
            ("rows", "-1-4"),
            ("count", "0"),
            ("count", "501"),
            ("count", "x"),
            ("key", "12"),
        ] {
            let wrong = set(&record, name, value);
            assert!(
                matches!(super::head(&wrong), Err(ChunkError::BadHeader { .. })),
                "{name} {value}"
            );
        }
        assert_eq!(decode(&set(&record, "run", "x")), Err(ChunkError::Sum));
        let payload = record.payload.clone().unwrap().to_vec();
        let other_rows = forged(&set(&record, "rows", "4-5"), payload.clone());
        assert!(matches!(decode(&other_rows), Err(ChunkError::Disagrees(_))));
        let other_count = forged(&set(&record, "count", "2"), payload);
        assert!(matches!(
            decode(&other_count),
            Err(ChunkError::Disagrees(_))
        ));
        let mut empty = record.clone();
        empty.payload = None;
        assert_eq!(decode(&empty), Err(ChunkError::NoPayload));
        let mut bare = record;
        bare.headers.retain(|(name, _)| name != "sum");
        assert_eq!(decode(&bare), Err(ChunkError::NoHeader("sum")));
    }

    #[test]
    fn hostile_payloads_are_errors() {
        let record = encode(&template(), ORIGIN, &[message(0, b"hello")]).unwrap();
        let bomb = gzip(&vec![b'x'; MAX_RENDERED_BYTES + 1]);
        assert!(matches!(
            decode(&forged(&record, bomb)),
            Err(ChunkError::RenderedTooLarge { .. })
        ));
        let mut twice = record.payload.clone().unwrap().to_vec();
        twice.extend_from_slice(&twice.clone());
        assert!(matches!(
            decode(&forged(&record, twice)),
            Err(ChunkError::Gzip(_))
        ));
        let mut short = record.payload.clone().unwrap().to_vec();
        short.truncate(short.len() - 3);
        assert!(matches!(
            decode(&forged(&record, short)),
            Err(ChunkError::Gzip(_))
        ));
        let json = |bytes: u32| {
            let line = MessageLine { bytes, ..line(0) };
            serde_json::to_string(&line).unwrap()
        };
        for text in [
            format!("{}\nhello", json(5)),
            format!("{}\nhello\n", json(4)),
            format!("{}\nhello\n", json(u32::MAX)),
            json(5),
            "{}\n".to_string(),
            "\n\n".to_string(),
        ] {
            assert!(
                matches!(
                    decode(&forged(&record, gzip(text.as_bytes()))),
                    Err(ChunkError::BadMessage { position: 0, .. })
                ),
                "{text}"
            );
        }
        let rows = format!("{}\nhello\n", json(5)).repeat(2);
        assert_eq!(
            decode(&forged(&record, gzip(rows.as_bytes()))),
            Err(ChunkError::RowOrder { before: 0, row: 0 })
        );
        let lines: String = (0..501)
            .map(|row| format!("{}\n\n", serde_json::to_string(&line(row)).unwrap()))
            .collect();
        assert_eq!(
            decode(&forged(&record, gzip(lines.as_bytes()))),
            Err(ChunkError::TooManyRows(501))
        );
    }

    fn any_messages() -> impl Strategy<Value = Vec<(MessageLine, Vec<u8>)>> {
        let one = (
            1u64..50,
            any::<Vec<u8>>(),
            ".{0,30}",
            proptest::option::of(".{0,9}"),
        );
        proptest::collection::vec(one, 1..20).prop_map(|ones| {
            let mut row = 0;
            ones.into_iter()
                .map(|(step, content, address, suppressed)| {
                    row += step;
                    let line = MessageLine {
                        address,
                        suppressed,
                        tries: u32::try_from(step).unwrap(),
                        ..line(row)
                    };
                    (line, content)
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(messages in any_messages(), run in ".{0,20}") {
            let head = ChunkHead { run, ..template() };
            let record = encode(&head, ORIGIN, &messages).unwrap();
            let chunk = decode(&record).unwrap();
            prop_assert_eq!(&chunk.head.run, &head.run);
            prop_assert_eq!(chunk.messages.len(), messages.len());
            for (read, (line, content)) in chunk.messages.iter().zip(&messages) {
                let bytes = u32::try_from(content.len()).unwrap();
                prop_assert_eq!(&read.line, &MessageLine { bytes, ..line.clone() });
                prop_assert_eq!(&read.content[..], &content[..]);
            }
        }

        #[test]
        fn damage_never_passes(messages in any_messages(), at in any::<prop::sample::Index>(), flip in 1u8..) {
            let record = encode(&template(), ORIGIN, &messages).unwrap();
            let mut payload = record.payload.clone().unwrap().to_vec();
            let at = at.index(payload.len());
            payload[at] ^= flip;
            let mut damaged = record.clone();
            damaged.payload = Some(Bytes::from(payload.clone()));
            prop_assert_eq!(decode(&damaged), Err(ChunkError::Sum));
            // Somebody who knows the sum: anything but a panic, and never more than the limits.
            if let Ok(chunk) = decode(&forged(&record, payload)) {
                prop_assert!(chunk.messages.len() <= MAX_ROWS);
            }
        }

        #[test]
        fn damaged_headers_never_pass(which in 0usize..12, at in any::<prop::sample::Index>()) {
            let record = encode(&template(), ORIGIN, &[message(1, b"x")]).unwrap();
            let mut damaged = record.clone();
            let value = &mut damaged.headers[which].1;
            let mut letters: Vec<char> = value.chars().collect();
            let at = at.index(letters.len());
            letters[at] = if letters[at] == 'q' { 'z' } else { 'q' };
            *value = letters.into_iter().collect();
            prop_assert!(decode(&damaged).is_err());
        }

        #[test]
        fn noise_is_an_error(bytes in any::<Vec<u8>>()) {
            let record = encode(&template(), ORIGIN, &[message(0, b"hello")]).unwrap();
            prop_assert!(decode(&forged(&record, bytes.clone())).is_err());
            prop_assert!(decode(&forged(&record, gzip(&bytes))).is_err());
        }
    }
}
