//! A list on disk, a queue in memory, and a reader that goes by the rules of the send topic.

use bytes::Bytes;
use mailq::domain::ids::{Partition, Row};
use mailq::domain::project_key::ProjectKey;
use mailq::domain::recipient::RecipientRow;
use mailq::domain::records::{CampaignRecord, InDoubtPolicy};
use mailq::domain::topic::Topic;
use mailq::engine::enqueue::{
    Compose, EarlierRuns, EnqueueError, EnqueueProgress, EnqueueReport, Job, QueueTimeout,
    Renaming, RunChoice, enqueue,
};
use mailq::protocol::{Ledger, RunFacts};
use mailq::queue::chunk;
use mailq::queue::{Queue, Record, Stored};
use mailq::recipients::{Options, columns};
use mailq::render::{RenderError, RenderProblem};
use mailq_testkit::memory::{Faults, MemoryLog, MemoryQueue};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub const PARTITIONS: Partition = 3;

/// Writes the name; fails for `bad`, and is long for `long`.
pub struct Plain;

impl Compose for Plain {
    fn compose(&self, row: &RecipientRow, id: &str) -> Result<Vec<u8>, RenderError> {
        let name = row.fields.get(1).map_or("", String::as_str);
        match name {
            "bad" => Err(RenderError {
                at: "templates/plain.txt:1".to_string(),
                recipient_line: row.line,
                what: RenderProblem::Template("`x` is undefined".to_string()),
            }),
            "long" => {
                let mut random = fastrand::Rng::with_seed(row.row);
                Ok((0..40_000).map(|_| random.u8(..)).collect())
            }
            name => Ok(format!("Message-ID: <{id}>\r\n\r\nHello {name}\r\n").into_bytes()),
        }
    }
}

/// A list and the folder that it is in.
pub struct List {
    _folder: tempfile::TempDir,
    pub path: PathBuf,
}

impl List {
    pub fn new(text: &str) -> List {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.csv");
        std::fs::write(&path, text).unwrap();
        List {
            _folder: folder,
            path,
        }
    }

    pub fn of_rows(rows: u64) -> List {
        let lines: String = (0..rows)
            .map(|row| format!("anna{row}@example.org,Anna {row}\n"))
            .collect();
        List::new(&format!("email,name\n{lines}"))
    }

    pub fn job(&self) -> Job {
        let options = Options::default();
        Job {
            campaign: "spring".to_string(),
            run: RunChoice::Inputs,
            earlier: EarlierRuns::Forbid,
            renaming: Renaming::default(),
            content: Arc::new(Plain),
            recipients: self.path.clone(),
            columns: columns(&self.path, &options).unwrap(),
            options,
            inputs: BTreeMap::from([("campaign".to_string(), "c1".to_string())]),
            batch_rows: 1000,
            not_before: None,
            expires_after: None,
            in_doubt: InDoubtPolicy::Resend,
            stream: false,
            key: ProjectKey::new(&[7; ProjectKey::BYTES]),
            id_domain: "example.net".to_string(),
            return_path: "bounces@example.net".to_string(),
            suppressed: Arc::new(|_| None),
            source: "test/enqueue".to_string(),
            trace_id: "t1".to_string(),
            queue_timeout: QueueTimeout(Some(Duration::from_secs(60))),
            render_threads: 0,
            dry_run: false,
            scratch: std::env::temp_dir(),
        }
    }
}

pub async fn queue(seed: u64, faults: Faults) -> (MemoryLog, MemoryQueue) {
    let log = MemoryLog::new(seed, PARTITIONS, Duration::from_secs(15), faults);
    let queue = log.start_process();
    let topics = [Topic::Send, Topic::Campaign];
    queue.create_topics(&topics).await.unwrap();
    (log, queue)
}

pub async fn kind_queue() -> (MemoryLog, MemoryQueue) {
    queue(1, Faults::none()).await
}

pub async fn run(
    log: &MemoryLog,
    queue: &MemoryQueue,
    job: &Job,
) -> Result<EnqueueReport, EnqueueError> {
    enqueue(queue, job, &log.clock(), &mut |_: EnqueueProgress<'_>| ()).await
}

/// Appends to the campaign topic as another process would.
pub async fn append(queue: &MemoryQueue, record: CampaignRecord) {
    let at = mailq::domain::topic::TopicPartition::new(Topic::Campaign, 0);
    let payload = serde_json::to_vec(&record).unwrap();
    let record = Record {
        key: Some(record.key()),
        headers: Vec::new(),
        payload: Some(Bytes::from(payload)),
    };
    queue.append(at, vec![record]).await.unwrap();
}

pub fn ledger(log: &MemoryLog) -> Ledger {
    let mut ledger = Ledger::default();
    for (_, Stored { offset, record, .. }) in log.records(Topic::Campaign) {
        let key = record.key.unwrap();
        ledger
            .apply(offset, &key, record.payload.as_deref())
            .unwrap();
    }
    ledger
}

/// The only run of the ledger that stands.
pub fn standing(ledger: &Ledger) -> &RunFacts {
    let runs: Vec<&RunFacts> = ledger.runs().filter(|run| run.dropped.is_none()).collect();
    assert_eq!(runs.len(), 1, "{runs:#?}");
    runs[0]
}

/// What a reader makes of a sealed run: row to address and whether it is suppressed. Panics where a row comes twice.
pub fn read(log: &MemoryLog, run: &RunFacts) -> BTreeMap<Row, (String, bool)> {
    let mut found = BTreeMap::new();
    let mut last_rows: BTreeMap<Partition, Row> = BTreeMap::new();
    for (partition, stored) in log.records(Topic::Send) {
        let last = run.last(partition);
        let counts = stored.offset >= run.first(partition) && Some(stored.offset) <= last;
        let head = chunk::head(&stored.record).unwrap();
        let is_ours = head.key == run.manifest.key && head.fingerprint == run.manifest.fingerprint;
        if !counts || !is_ours {
            continue;
        }
        for message in chunk::decode(&stored.record).unwrap().messages {
            let line = message.line;
            if last_rows
                .get(&partition)
                .is_some_and(|last| line.row <= *last)
            {
                continue;
            }
            last_rows.insert(partition, line.row);
            assert_eq!(message.content.is_empty(), line.suppressed.is_some());
            let twice = found.insert(line.row, (line.address, line.suppressed.is_some()));
            assert_eq!(twice, None, "row {} twice", line.row);
        }
    }
    found
}

/// Every row of [`List::of_rows`] once, under its address.
pub fn assert_all_rows_once(log: &MemoryLog, rows: u64) {
    let ledger = ledger(log);
    let run = standing(&ledger);
    assert!(run.is_complete());
    let found = read(log, run);
    let missing: BTreeSet<Row> = (0..rows).filter(|row| !found.contains_key(row)).collect();
    assert_eq!(missing, BTreeSet::new(), "rows lost");
    assert_eq!(found.len() as u64, rows);
    for (row, (address, _)) in found {
        assert_eq!(address, format!("anna{row}@example.org"));
    }
    let tally = run.seal.as_ref().unwrap().tally;
    assert_eq!(tally.enqueued + tally.suppressed, rows);
}
