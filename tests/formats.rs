//! Does `docs/formats.md` say what the code reads and writes? Each of its examples is read, written again and compared.

use bytes::Bytes;
use mailq::domain::event::Event;
use mailq::domain::ids::RunId;
use mailq::domain::records::{CampaignRecord, Letter};
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::queue::Record;
use mailq::queue::sqlite::{OpenOptions, SqliteQueue};
use mailq::suppression::Entry;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const PAGE: &str = include_str!("../docs/formats.md");

/// The texts of the fenced blocks of one kind.
fn blocks(kind: &str) -> Vec<&'static str> {
    let fence = format!("```{kind}\n");
    let parts = PAGE.split(fence.as_str()).skip(1);
    let blocks: Vec<_> = parts
        .map(|part| part.split("```").next().unwrap())
        .collect();
    assert!(!blocks.is_empty(), "no example of `{kind}`");
    blocks
}

/// What the code reads from an example, which must be all that the example says.
fn read<T: DeserializeOwned + Serialize>(example: &str) -> T {
    let value: Value = serde_json::from_str(example).unwrap_or_else(|e| panic!("{e}: {example}"));
    let read: T = serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("{e}: {value}"));
    assert_eq!(serde_json::to_value(&read).unwrap(), value, "written again");
    read
}

/// The kind of a campaign record. A new one needs an example on the page, and its name here.
fn kind(record: &CampaignRecord) -> &'static str {
    match record {
        CampaignRecord::Manifest(_) => "manifest",
        CampaignRecord::Letters(_) => "letters",
        CampaignRecord::Purged(_) => "purged",
        CampaignRecord::Batch(_) => "batch",
        CampaignRecord::Seal(_) => "seal",
        CampaignRecord::Control(_) => "control",
        CampaignRecord::Cancel(_) => "cancel",
        CampaignRecord::Left(_) => "left",
        CampaignRecord::Rate(_) => "rate",
        CampaignRecord::Dropped(_) => "dropped",
        CampaignRecord::Checkpoint(_) => "checkpoint",
        CampaignRecord::Base(_) => "base",
        CampaignRecord::Key(_) => "key",
        CampaignRecord::Reservation(_) => "reservation",
    }
}

const KINDS: [&str; 14] = [
    "base",
    "batch",
    "cancel",
    "checkpoint",
    "control",
    "dropped",
    "key",
    "left",
    "letters",
    "manifest",
    "purged",
    "rate",
    "reservation",
    "seal",
];

#[test]
fn every_campaign_record_is_described() {
    let mut kinds = BTreeSet::new();
    for block in blocks("campaign") {
        let (key, json) = block.split_once('\n').unwrap();
        let record: CampaignRecord = read(json);
        assert_eq!(record.key(), key);
        assert!(kinds.insert(kind(&record)), "two examples of {key}");
        if let CampaignRecord::Manifest(manifest) = record {
            assert_eq!(manifest.id.key(), manifest.key);
            assert_eq!(manifest.id, RunId::new("spring-sale", "2026-11-21"));
        }
    }
    assert_eq!(kinds, BTreeSet::from(KINDS));
}

#[test]
fn events_letters_and_suppressions_are_described() {
    for block in blocks("event") {
        let (key, json) = block.split_once('\n').unwrap();
        let event: Event = read(json);
        assert_eq!(event.header.message_id, key);
    }
    for block in blocks("letter") {
        read::<Letter>(block);
    }
    for block in blocks("suppression") {
        read::<Entry>(block);
    }
}

/// The rows of the page's tables whose first cell is in backticks: that cell and the rest.
fn rows() -> Vec<(&'static str, Vec<&'static str>)> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.filter_map(|line| line.split_once("` |"));
    rows.map(|(first, rest)| (first, rest.trim_end_matches('|').split(" | ").collect()))
        .collect()
}

/// The words in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[tokio::test]
async fn the_tables_of_sqlite_are_described_and_the_queries_work() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let options = OpenOptions {
        create: true,
        ..OpenOptions::new("a94a8fe5ccb19ba6")
    };
    let queue = SqliteQueue::open(&path, options).unwrap();
    let queue: &dyn mailq::queue::Queue = queue.as_ref();
    let topics = [Topic::Send, Topic::Event];
    queue.create_topics(&topics).await.unwrap();
    for topic in topics {
        let record = Record {
            payload: Some(Bytes::from_static(b"payload")),
            ..Record::default()
        };
        let at = TopicPartition::new(topic, 0);
        queue.append(at, vec![record]).await.unwrap();
    }
    let sql = rusqlite::Connection::open(&path).unwrap();
    sql.execute_batch("INSERT INTO progress VALUES (1, 0, 'mq1;init')")
        .unwrap();
    let mut select = sql
        .prepare(
            "SELECT m.name, c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.cid",
        )
        .unwrap();
    let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let found = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    for column in found.unwrap() {
        let (table, column): (String, String) = column.unwrap();
        columns.entry(table).or_default().push(column);
    }
    let described = rows();
    for (table, columns) in &columns {
        let row = described.iter().find(|(first, _)| first == table);
        let row = row.unwrap_or_else(|| panic!("table `{table}` is not described"));
        // Behind a colon or in parentheses the page says what the values are.
        let names = row.1[0].split([':', '(']).next().unwrap();
        let all = quoted(row.1[0]);
        assert!(columns.iter().all(|c| all.contains(&c.as_str())), "{table}");
        assert!(
            quoted(names).iter().all(|n| columns.iter().any(|c| c == n)),
            "{table}"
        );
    }
    for query in blocks("sql") {
        let mut select = sql.prepare(query).unwrap();
        let mut rows = select.query([]).unwrap();
        assert!(rows.next().unwrap().is_some(), "nothing found: {query}");
    }
}

#[cfg(feature = "kafka")]
#[test]
fn the_settings_of_topics_are_described() {
    use mailq::queue::kafka::configuration;
    let described = rows();
    for (topic, column) in [(Topic::Send, 0), (Topic::Campaign, 1)] {
        for (key, value) in configuration(topic, 3) {
            let row = described.iter().find(|(first, _)| *first == key);
            let row = row.unwrap_or_else(|| panic!("`{key}` is not described"));
            assert_eq!(quoted(row.1[column]), [value.as_str()], "{key}");
        }
    }
}

#[test]
fn the_names_of_topics_are_described() {
    let rows = rows();
    let described: BTreeSet<&str> = rows.iter().map(|(first, _)| *first).collect();
    let retry = Topic::Retry(std::time::Duration::from_secs(60));
    let all = [
        Topic::Send,
        retry,
        Topic::Event,
        Topic::Dlq,
        Topic::Campaign,
        Topic::Suppression,
    ];
    for topic in all {
        assert!(described.contains(topic.to_string().as_str()), "{topic}");
    }
    assert_eq!(retry.name("prod"), "prod.mail.retry-60s.v1");
    assert!(PAGE.contains("`prod.mail.retry-60s.v1`"));
}

#[test]
fn commit_texts_are_described() {
    use mailq::protocol::progress::Progress;
    for block in blocks("commit") {
        let text = block.trim_end();
        assert_eq!(Progress::parse(text, &()).unwrap().text(), text);
    }
    let initial = mailq::domain::topic::INITIAL_COMMIT;
    assert!(PAGE.contains(&format!("`{initial}`")));
}

fn gzip(text: &[u8]) -> Bytes {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(text).unwrap();
    gzip.finish().unwrap().into()
}

fn gunzip(payload: &[u8]) -> String {
    use std::io::Read;
    let mut text = String::new();
    let mut gzip = flate2::read::GzDecoder::new(payload);
    gzip.read_to_string(&mut text).unwrap();
    text
}

/// As the page describes it.
fn sum(headers: &[(String, String)], payload: &[u8]) -> String {
    let mut crc = crc32fast::Hasher::new();
    for (name, value) in headers {
        crc.update(format!("{name}\0{value}\0").as_bytes());
    }
    crc.update(payload);
    format!("{:08x}", crc.finalize())
}

#[test]
fn chunks_are_described() {
    use mailq::queue::chunk::{Origin, decode, encode};
    let described: Vec<(String, String)> = blocks("headers")[0]
        .lines()
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let text = blocks("chunk")[0].replace('␍', "\r");
    let payload = gzip(text.as_bytes());
    let mut headers = described.clone();
    headers.push(("sum".to_owned(), sum(&described, &payload)));
    let record = Record {
        key: Some(described[0].1.clone()),
        headers,
        payload: Some(payload),
    };
    let chunk = decode(&record).unwrap();
    let messages: Vec<_> = chunk
        .messages
        .into_iter()
        .map(|message| (message.line, message.content))
        .collect();
    let origin = Origin {
        timestamp: record.header("timestamp").unwrap(),
        source: record.header("source").unwrap(),
    };
    let written = encode(&chunk.head, origin, &messages).unwrap();
    assert_eq!(written.key, record.key);
    let payload = written.payload.as_deref().unwrap();
    assert_eq!(gunzip(payload), text);
    let (last, others) = written.headers.split_last().unwrap();
    assert_eq!(others, described);
    assert_eq!(*last, ("sum".to_owned(), sum(&described, payload)));
}
