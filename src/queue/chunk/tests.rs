//! Tests of `chunk`.

use super::headers::sum;
use super::payload::LEVEL;
use super::*;
use crate::domain::ids::RunId;
use crate::domain::topic::{Topic, TopicPartition};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::io::Write;

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

fn message(row: Row, content: &[u8]) -> (MessageLine, MessageContent) {
    (line(row), MessageContent::whole(content.to_vec()))
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
    let none: [(MessageLine, MessageContent); 0] = [];
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
    let long = [message(5, &vec![b'x'; MAX_STORED_BYTES])];
    assert!(matches!(
        pack(&template(), ORIGIN, &long),
        Err(ChunkError::StoredTooLarge { row: 5, .. })
    ));
}

#[test]
fn splits_at_rows_and_repeats_itself() {
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
    // The size before compression splits too: 90-fold compression keeps this far below the other limit.
    let plain: Vec<_> = (0..400).map(|row| message(row, &[b'x'; 40_000])).collect();
    assert_eq!(pack(&template(), ORIGIN, &plain).unwrap().len(), 2);
}

#[test]
fn every_disagreement_is_an_error() {
    let record = encode(&template(), ORIGIN, &[message(4, b"hello")]).unwrap();
    let version = set(&record, "eventVersion", "3");
    assert_eq!(
        decode(&version),
        Err(ChunkError::UnknownVersion("3".into()))
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
    let bomb = gzip(&vec![b'x'; MAX_STORED_BYTES + 1]);
    assert!(matches!(
        decode(&forged(&record, bomb)),
        Err(ChunkError::StoredTooLarge { .. })
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
    let none = r#"{"shared":[]}"#;
    let four = "{\"shared\":[4]}\nfour\n";
    for text in [
        "\n".to_string(),
        "{}\n".to_string(),
        "{\"shared\":[4]}\nfour".to_string(),
        "{\"shared\":[5]}\nfour\n".to_string(),
        format!("{none}\n{}\n\nhello", json(5)),
        format!("{none}\n{}\n\nhello\n", json(4)),
        format!("{none}\n{}\n\nhello\n", json(u32::MAX)),
        format!("{none}\n{}", json(5)),
        format!("{none}\n{{}}\n"),
        format!("{none}\n\n\n"),
        format!("{none}\n{}\n0:0+4+1\nx\n", json(5)),
        format!("{four}{}\n1:0+4+1\nx\n", json(5)),
        format!("{four}{}\n0:0+4+1\nx\n", json(6)),
        format!("{four}{}\n0:1+4+1\nx\n", json(5)),
        format!("{four}{}\n0:0+4+2\nx\n", json(6)),
        format!("{four}{}\n0:0+4\nx\n", json(5)),
        format!("{four}{}\n0:0+4+1,\nx\n", json(5)),
        format!("{four}{}\n0:0+4294967295+0\n\n", json(4)),
    ] {
        let read = decoded(&text);
        assert!(
            matches!(read, Err(ChunkError::BadMessage { position: 0, .. })),
            "{text}: {read:?}"
        );
    }
}

/// What is read of a payload with this text.
fn decoded(text: &str) -> Result<Chunk, ChunkError> {
    let record = encode(&template(), ORIGIN, &[message(0, b"hello")]).unwrap();
    decode(&forged(&record, gzip(text.as_bytes())))
}

fn json(bytes: u32) -> String {
    let line = MessageLine { bytes, ..line(0) };
    serde_json::to_string(&line).unwrap()
}

#[test]
fn reads_parts_in_order_and_rows_that_grow() {
    let none = r#"{"shared":[]}"#;
    let four = "{\"shared\":[4]}\nfour\n";
    let good = decoded(&format!("{four}{}\n0:0+4+1,2+2+0\nx\n", json(7))).unwrap();
    assert_eq!(good.messages[0].content.to_vec(), b"fourxur");
    let rows = format!("{none}\n{}", format!("{}\n\nhello\n", json(5)).repeat(2));
    assert_eq!(
        decoded(&rows),
        Err(ChunkError::RowOrder { before: 0, row: 0 })
    );
    let lines: String = (0..501)
        .map(|row| format!("{}\n\n\n", serde_json::to_string(&line(row)).unwrap()))
        .collect();
    assert_eq!(
        decoded(&format!("{none}\n{lines}")),
        Err(ChunkError::TooManyRows(501))
    );
}

#[test]
fn reads_chunks_of_version_1() {
    let record = encode(&template(), ORIGIN, &[message(0, b"hello")]).unwrap();
    let json = json(5);
    let old = set(&record, "eventVersion", "1");
    let old = forged(&old, gzip(format!("{json}\nhello\n").as_bytes()));
    let chunk = decode(&old).unwrap();
    assert_eq!(chunk.messages[0].content.to_vec(), b"hello");
    assert_eq!(chunk.head, super::head(&record).unwrap());
}

#[test]
fn stores_a_shared_text_once() {
    let sharing = Sharing::default();
    let newsletter = noise(1, 95_000);
    let messages: Vec<_> = (0..500)
        .map(|row| {
            let name = format!("\nDear customer {row},\n");
            let text = [&newsletter[..], name.as_bytes(), &newsletter[..]];
            (line(row), sharing.cut(text.concat()))
        })
        .collect();
    let records = pack(&template(), ORIGIN, &messages).unwrap();
    assert_eq!(records.len(), 1);
    let stored = records[0].payload.as_ref().unwrap().len();
    // Noise does not compress: the text itself, once, and some 50 bytes a message.
    assert!(stored < 190_000 + 500 * 60, "{stored} bytes");
    let texts = Texts::default();
    let chunk = decode_with(&records[0], &texts).unwrap();
    let again = decode_with(&records[0], &texts).unwrap();
    for (message, (_, content)) in chunk.messages.iter().zip(&messages) {
        assert_eq!(&message.content, content);
    }
    let buffer = |chunk: &Chunk| chunk.messages[7].content.shared().as_ptr();
    assert_eq!(buffer(&chunk), buffer(&again));
}

fn any_messages() -> impl Strategy<Value = Vec<(MessageLine, MessageContent)>> {
    let one = (
        1u64..50,
        proptest::collection::vec("[ab\n]{0,20}", 0..6)
            .prop_map(|parts| parts.concat().into_bytes()),
        ".{0,30}",
        proptest::option::of(".{0,9}"),
    );
    proptest::collection::vec(one, 1..20).prop_map(|ones| {
        let mut row = 0;
        let sharing = Sharing::default();
        ones.into_iter()
            .map(|(step, content, address, suppressed)| {
                row += step;
                let content = sharing.cut(content);
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
            prop_assert_eq!(&read.content, content);
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
