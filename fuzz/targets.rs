//! What is fuzzed: each function takes bytes as they may arrive and checks what must hold for any. `tests/fuzz_corpus.rs`
//! runs them over `corpus/` and mutations of it, `cargo fuzz run NAME` without end.

use mailq::config::CampaignFile;
use mailq::domain::records::CampaignRecord;
use mailq::protocol::{Ledger, Progress};
use mailq::queue::Record;
use mailq::queue::chunk;
use mailq::recipients::{MAX_CELL_BYTES, Options, first_pass, rows};
use mailq::smtp::{RelayAddress, parse_reply};
use std::io::Write;
use std::path::PathBuf;

pub type Target = fn(&[u8]);

pub const ALL: [(&str, Target); 7] = [
    ("csv", csv),
    ("reply", reply),
    ("chunk", chunk),
    ("commit_text", commit_text),
    ("campaign_record", campaign_record),
    ("relay_url", relay_url),
    ("campaign_toml", campaign_toml),
];

/// A file of this thread that holds the bytes.
fn file(extension: &str, bytes: &[u8]) -> PathBuf {
    let thread = format!("{:?}", std::thread::current().id());
    let number: String = thread.chars().filter(char::is_ascii_digit).collect();
    let name = format!("mailq-fuzz-{}-{number}.{extension}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, bytes).expect("a temporary file");
    path
}

/// Both passes give the same rows, none with what no cell may hold.
pub fn csv(bytes: &[u8]) {
    let path = file("csv", bytes);
    let options = Options {
        header_columns: vec!["name".to_string()],
        skip_invalid: true,
        ..Options::default()
    };
    let mut rejected = 0;
    if let Ok(survey) = first_pass(&path, &options, |_, _| rejected += 1) {
        assert_eq!(survey.counts.invalid, rejected);
        let all = rows(&path, &options, &survey, 0..u64::MAX).expect("a second pass");
        let mut count = 0;
        for row in all {
            let row = row.expect("the rows of the first pass");
            assert!(row.address.to_string().contains('@'));
            for cell in &row.fields {
                assert!(cell.len() <= MAX_CELL_BYTES && !cell.contains('\0'));
            }
            count += 1;
        }
        assert_eq!(count, survey.counts.accepted);
    }
    let strict = Options {
        skip_invalid: false,
        ..options
    };
    let outcome = first_pass(&path, &strict, |_, _| {});
    assert!(rejected == 0 || outcome.is_err());
    let _ = std::fs::remove_file(path);
}

/// As `queue::chunk` makes it.
fn sum(headers: &[(String, String)], payload: &[u8]) -> String {
    let mut crc = crc32fast::Hasher::new();
    for part in headers
        .iter()
        .filter(|(name, _)| name != "sum")
        .flat_map(|(name, value)| [name, value])
    {
        crc.update(part.as_bytes());
        crc.update(&[0]);
    }
    crc.update(payload);
    format!("{:08x}", crc.finalize())
}

/// A reply in a file or on a command line.
pub fn reply(bytes: &[u8]) {
    let reply = parse_reply(bytes);
    assert!(reply.code == 0 || (100..=999).contains(&reply.code));
    assert!(
        !reply.text.contains(['\r', '\0', '\x1b']),
        "{:?}",
        reply.text
    );
}

/// Header lines `name: value`, an empty line, then what is compressed. The sum is made to fit, or nothing would ever
/// be looked at behind it.
pub fn chunk(bytes: &[u8]) {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = bytes.split_at(end.unwrap_or(bytes.len()));
    let head = String::from_utf8_lossy(head);
    let pairs = head.lines().filter_map(|line| line.split_once(": "));
    let mut headers: Vec<(String, String)> = pairs
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder
        .write_all(body.get(2..).unwrap_or_default())
        .expect("memory");
    let payload = encoder.finish().expect("memory");
    headers.push(("sum".to_string(), sum(&headers, &payload)));
    let record = Record {
        key: Some("k".to_string()),
        headers,
        payload: Some(payload.into()),
    };
    let head = chunk::head(&record);
    if let Ok(decoded) = chunk::decode(&record) {
        assert_eq!(Ok(&decoded.head), head.as_ref());
        assert_eq!(decoded.head.count as usize, decoded.messages.len());
    }
    // And as it is, the sum wrong or not there.
    let _ = chunk::decode(&Record {
        key: None,
        headers: record
            .headers
            .into_iter()
            .filter(|(name, _)| name != "sum")
            .collect(),
        payload: Some(bytes.to_vec().into()),
    });
}

/// What is read is written the same.
pub fn commit_text(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = Progress::without_base(&text);
    if let Ok(progress) = Progress::parse(&text, &()) {
        let written = progress.text();
        assert_eq!(
            Progress::parse(&written, &()).as_ref(),
            Ok(&progress),
            "{written}"
        );
        let _ = progress.uncommitted();
    }
}

/// Folded in, one record a line; what is read is written the same.
pub fn campaign_record(bytes: &[u8]) {
    let mut ledger = Ledger::with_letters();
    for (offset, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let _ = ledger.apply(offset as u64, "key", Some(line));
        if let Ok(record) = serde_json::from_slice::<CampaignRecord>(line) {
            let _ = record.key();
            let text = serde_json::to_vec(&record).expect("JSON");
            let again: CampaignRecord = serde_json::from_slice(&text).expect("what was written");
            assert_eq!(again, record);
        }
    }
    let now = std::time::SystemTime::UNIX_EPOCH;
    for run in ledger.runs() {
        let _ = (
            ledger.run_state(run.manifest.key, now),
            ledger.expires_at(run.manifest.key),
        );
        let _ = (
            ledger.counts_for(run.manifest.key),
            run.is_complete(),
            ledger.letters(run),
        );
    }
}

/// What is shown of a relay leads to the same place, and nothing shows a password.
pub fn relay_url(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match text.parse::<RelayAddress>() {
        Ok(address) => {
            let shown = address.to_string();
            match (shown.parse(), &address) {
                (Ok(RelayAddress::Server(again)), RelayAddress::Server(server)) => {
                    assert_eq!((&again.host, again.port), (&server.host, server.port));
                }
                (Ok(again), _) => assert_eq!(again, address),
                (Err(error), _) => panic!("`{shown}` is shown: {error}"),
            }
        }
        Err(error) => {
            // Behind the last `@` is the host, which errors name.
            let host = text.rsplit('@').next().unwrap_or_default();
            let is_named = host.contains("hunter2");
            assert!(is_named || !error.to_string().contains("hunter2"));
        }
    }
}

/// Errors say where, and never more than a line.
pub fn campaign_toml(bytes: &[u8]) {
    let path = file("toml", bytes);
    if let Err(error) = CampaignFile::read(&path) {
        let text = error.to_string();
        assert!(!text.is_empty() && !text.contains('\n'), "{text:?}");
        let _ = error.hint();
    }
    let _ = std::fs::remove_file(path);
}
