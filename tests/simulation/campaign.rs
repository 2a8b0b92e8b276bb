//! Campaigns of the simulation: small runs, enqueued by the rules of the queue.

use bytes::Bytes;
use mailq::domain::chunk::{ChunkHead, MessageLine};
use mailq::domain::ids::RunId;
use mailq::domain::records::{BatchState, Cancel, Control};
use mailq::domain::records::{CampaignRecord, FileReading, InDoubtPolicy, Manifest, Seal, Tally};
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::protocol::Ledger;
use mailq::queue::chunk::{self, Origin};
use mailq::queue::{Queue, Record};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub const ROWS: u64 = 24;
const CHUNK_ROWS: u64 = 4;
const BATCH_CHUNKS: u64 = 2;
const CAMPAIGN: TopicPartition = TopicPartition::new(Topic::Campaign, 0);

#[derive(Debug, Clone)]
pub struct Plan {
    pub id: RunId,
    pub in_doubt: InDoubtPolicy,
    pub suppressed: BTreeSet<u64>,
    /// Manifests and seals take their numbers from here.
    pub draws: RefCell<fastrand::Rng>,
    /// Where this process splits a chunk: rows decide which, not the reader.
    pub split: bool,
}

pub fn message_id(id: &RunId, row: u64) -> String {
    format!("{}.{}.{row}@example.org", id.campaign, id.run)
}

pub async fn append(queue: &dyn Queue, at: TopicPartition, record: Record) -> u64 {
    loop {
        match queue.append(at, vec![record.clone()]).await {
            Ok(offsets) => return offsets[0],
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

pub async fn read_ledger(queue: &dyn Queue) -> Ledger {
    let mut ledger = Ledger::with_letters();
    loop {
        let records = queue
            .fetch(CAMPAIGN, ledger.position(), 1 << 20)
            .await
            .unwrap();
        if records.is_empty() {
            return ledger;
        }
        for stored in records {
            let key = stored.record.key.unwrap_or_default();
            ledger
                .apply(stored.offset, &key, stored.record.payload.as_deref())
                .unwrap();
        }
    }
}

/// What is repeated after an answer that did not come is made anew: manifests and seals draw a number for each append.
async fn tell(queue: &dyn Queue, mut record: impl FnMut() -> CampaignRecord) {
    loop {
        let record = record();
        let payload = Some(Bytes::from(serde_json::to_vec(&record).unwrap()));
        let record = Record {
            key: Some(record.key()),
            headers: Vec::new(),
            payload,
        };
        match queue.append(CAMPAIGN, vec![record]).await {
            Ok(_) => return,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

fn draw(plan: &Plan) -> u64 {
    plan.draws.borrow_mut().u64(..)
}

pub async fn control(queue: &dyn Queue, id: &RunId, paused: bool) {
    let control = Control {
        key: id.key(),
        paused,
        at: String::new(),
        by: "simulation".into(),
    };
    tell(queue, || CampaignRecord::Control(control.clone())).await;
}

pub async fn cancel(queue: &dyn Queue, id: &RunId) {
    let cancel = Cancel {
        key: id.key(),
        at: String::new(),
        by: "simulation".into(),
    };
    tell(queue, || CampaignRecord::Cancel(cancel.clone())).await;
}

/// One process that enqueues; killed at any await it is simply begun again.
pub async fn enqueue(queue: &dyn Queue, plan: &Plan) {
    let key = plan.id.key();
    let mut ledger = read_ledger(queue).await;
    let partitions = queue.partitions();
    if ledger.run(key).is_none() {
        let mut first = Vec::new();
        for partition in 0..partitions {
            first.push(
                queue
                    .bounds(TopicPartition::new(Topic::Send, partition))
                    .await
                    .unwrap()
                    .end,
            );
        }
        tell(queue, || {
            CampaignRecord::Manifest(manifest(plan, first.clone()))
        })
        .await;
        ledger = read_ledger(queue).await;
    }
    let run = ledger.run(key).expect("the manifest is there").clone();
    if run.seal.is_some() {
        return;
    }
    let mut last: Vec<Option<u64>> = vec![None; partitions as usize];
    for batch in 0..ROWS.div_ceil(CHUNK_ROWS * BATCH_CHUNKS) {
        if let Some(done) = run.batches.get(&batch) {
            for (mine, theirs) in last.iter_mut().zip(&done.last) {
                *mine = (*mine).max(*theirs);
            }
            continue;
        }
        for number in batch * BATCH_CHUNKS..(batch + 1) * BATCH_CHUNKS {
            let partition = ((number + 1) % u64::from(partitions)) as u32;
            let rows: Vec<u64> =
                (number * CHUNK_ROWS..((number + 1) * CHUNK_ROWS).min(ROWS)).collect();
            let pieces: Vec<&[u64]> = if plan.split {
                rows.chunks(3).collect()
            } else {
                vec![&rows]
            };
            for piece in pieces {
                let record = chunk_of(plan, piece);
                let offset =
                    append(queue, TopicPartition::new(Topic::Send, partition), record).await;
                last[partition as usize] = last[partition as usize].max(Some(offset));
            }
        }
        let state = BatchState {
            key,
            manifest: run.manifest.draw,
            batch,
            last: last.clone(),
            tally: Tally::default(),
        };
        tell(queue, || CampaignRecord::Batch(state.clone())).await;
    }
    let tally = Tally {
        recipients: ROWS,
        enqueued: ROWS,
        ..Tally::default()
    };
    let seal = Seal {
        key,
        manifest: run.manifest.draw,
        draw: 0,
        last,
        tally,
        sealed_at: "2026-01-01T00:00:00Z".into(),
        rows_below: None,
    };
    tell(queue, || {
        CampaignRecord::Seal(Seal {
            draw: draw(plan),
            ..seal.clone()
        })
    })
    .await;
}

fn manifest(plan: &Plan, first: Vec<u64>) -> Manifest {
    Manifest {
        id: plan.id.clone(),
        key: plan.id.key(),
        draw: draw(plan),
        fingerprint: "f".into(),
        inputs: BTreeMap::new(),
        replay_of: None,
        first,
        chunk_rows: CHUNK_ROWS,
        batch_rows: CHUNK_ROWS * BATCH_CHUNKS,
        rows: ROWS,
        created_at: "2026-01-01T00:00:00Z".into(),
        not_before: None,
        expires_after_seconds: None,
        in_doubt: plan.in_doubt,
        stream: false,
        recipients: String::new(),
        reading: FileReading::default(),
        pieces: 0,
    }
}

fn chunk_of(plan: &Plan, rows: &[u64]) -> Record {
    let head = ChunkHead {
        campaign: plan.id.campaign.clone(),
        run: plan.id.run.clone(),
        key: plan.id.key(),
        fingerprint: "f".into(),
        first_row: rows[0],
        last_row: rows[rows.len() - 1],
        count: rows.len() as u32,
        moved_from: None,
        trace_id: "simulation".into(),
    };
    let messages: Vec<(MessageLine, Vec<u8>)> = rows
        .iter()
        .map(|row| (line(plan, *row), content(plan, *row)))
        .collect();
    chunk::encode(
        &head,
        Origin {
            timestamp: "2026-01-01T00:00:00Z",
            source: "simulation",
        },
        &messages,
    )
    .unwrap()
}

fn content(plan: &Plan, row: u64) -> Vec<u8> {
    if plan.suppressed.contains(&row) {
        Vec::new()
    } else {
        format!("Subject: {row}\r\n\r\nhello\r\n").into_bytes()
    }
}

fn line(plan: &Plan, row: u64) -> MessageLine {
    MessageLine {
        row,
        line: row + 2,
        address: format!("r{row}@site{}.example", row % 3),
        id: message_id(&plan.id, row),
        return_path: "bounces@example.org".into(),
        tries: 0,
        hop: 0,
        round: 0,
        suppressed: plan.suppressed.contains(&row).then(|| "manual".to_string()),
        bytes: 0,
    }
}
