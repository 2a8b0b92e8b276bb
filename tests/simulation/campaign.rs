//! Campaigns of the simulation: small lists, enqueued by the product and by another version of it.

use super::profile::Profile;
use mailq::domain::chunk::{ChunkHead, MessageLine};
use mailq::domain::ids::RunId;
use mailq::domain::project_key::ProjectKey;
use mailq::domain::recipient::RecipientRow;
use mailq::domain::records::{BatchState, CampaignRecord, InDoubtPolicy, Manifest, Seal, Tally};
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::engine::account::read_ledger;
use mailq::engine::enqueue::{
    Compose, EarlierRuns, EnqueueError, Job, QueueTimeout, Renaming, RunChoice,
};
use mailq::protocol::RunFacts;
use mailq::queue::chunk::{self, Origin};
use mailq::queue::{Queue, Record};
use mailq::recipients::{Options, columns};
use mailq::render::RenderError;
use mailq_testkit::memory::VirtualClock;
use ring::digest;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const CHUNK_ROWS: u64 = 4;

#[derive(Debug, Clone)]
pub struct Plan {
    pub id: RunId,
    pub rows: u64,
    /// The second campaign is enqueued while the first is sent.
    pub begins_after: Duration,
    pub in_doubt: InDoubtPolicy,
    /// Rows on the suppression list of the process that enqueues.
    pub suppressed: BTreeSet<u64>,
    pub not_before: Option<SystemTime>,
    pub expires_after: Option<Duration>,
    pub chunk_rows: u64,
    pub folder: Rc<tempfile::TempDir>,
}

pub fn project_key() -> ProjectKey {
    ProjectKey::new(&[1; 32])
}

pub fn address(row: u64) -> String {
    format!("r{row}@site{}.example", row % 3)
}

pub fn message_id(id: &RunId, row: u64) -> String {
    let token = project_key().message_token(id, &address(row));
    format!("{token}@example.org")
}

impl Plan {
    pub fn new(random: &mut fastrand::Rng, profile: Profile, number: u32, now: SystemTime) -> Plan {
        let is_some =
            |random: &mut fastrand::Rng, of: u32| profile.is_timed() && random.u32(..of) == 0;
        let hold = profile == Profile::Hold || profile == Profile::Faults && random.u32(..8) == 0;
        let (later, expires) = (random.u64(3..20), random.u64(4..40));
        let rows = profile.rows(random);
        let plan = Plan {
            id: RunId::new(format!("c{number}"), "r1"),
            rows,
            begins_after: Duration::from_secs(number.into()) * random.u32(..20),
            in_doubt: if hold {
                InDoubtPolicy::Hold
            } else {
                InDoubtPolicy::Resend
            },
            suppressed: profile.suppressed(random, rows),
            not_before: is_some(random, 5).then(|| now + Duration::from_secs(later)),
            expires_after: is_some(random, 5).then(|| Duration::from_secs(expires)),
            chunk_rows: match profile {
                Profile::Alone => rows,
                _ => CHUNK_ROWS,
            },
            folder: Rc::new(tempfile::tempdir().unwrap()),
        };
        plan.write_list();
        plan
    }

    pub fn write_list(&self) {
        let lines: String = (0..self.rows).map(|row| address(row) + "\n").collect();
        let path = self.folder.path().join("list.csv");
        std::fs::write(path, format!("email\n{lines}")).unwrap();
    }

    pub fn job(&self) -> Job {
        let (path, options) = (self.folder.path().join("list.csv"), Options::default());
        let suppressed: BTreeSet<String> =
            self.suppressed.iter().map(|row| address(*row)).collect();
        let listed = move |address: &mailq::domain::address::Address| {
            suppressed
                .contains(address.as_str())
                .then(|| "manual".to_string())
        };
        Job {
            campaign: self.id.campaign.clone(),
            run: RunChoice::Named(self.id.run.clone()),
            earlier: EarlierRuns::Forbid,
            renaming: Renaming::default(),
            content: Arc::new(Plain),
            columns: columns(&path, &options).unwrap(),
            recipients: path,
            options,
            inputs: BTreeMap::new(),
            batch_rows: self.chunk_rows,
            not_before: self.not_before,
            expires_after: self.expires_after,
            in_doubt: self.in_doubt,
            stream: false,
            key: project_key(),
            id_domain: "example.org".to_string(),
            return_path: "bounces@example.org".to_string(),
            suppressed: Arc::new(listed),
            source: "simulation/enqueue".to_string(),
            trace_id: "simulation".to_string(),
            queue_timeout: QueueTimeout(None),
            render_threads: 0,
            dry_run: false,
            scratch: std::env::temp_dir(),
        }
    }
}

struct Plain;

impl Compose for Plain {
    fn compose(&self, row: &RecipientRow, id: &str) -> Result<Vec<u8>, RenderError> {
        Ok(content(row.row, id))
    }
}

fn content(row: u64, id: &str) -> Vec<u8> {
    format!("Message-ID: <{id}>\r\nSubject: {row}\r\n\r\nhello\r\n").into_bytes()
}

/// One process that enqueues. After a kill at any await it is started again.
pub async fn enqueue(queue: &dyn Queue, clock: VirtualClock, plan: &Plan) {
    let job = plan.job();
    loop {
        match mailq::engine::enqueue::enqueue(queue, &job, &clock, &mut |_| ()).await {
            Err(error) if error.is_temporary() => tokio::time::sleep(Duration::from_secs(1)).await,
            Err(EnqueueError::Cancelled { .. } | EnqueueError::CancelledMeanwhile { .. })
            | Ok(_) => return,
            Err(error) => panic!("enqueue: {error}"),
        }
    }
}

/// Another version of mailq that enqueues the same run and divides it into other chunks, as it may if its rendering is
/// larger.
pub async fn enqueue_otherwise(queue: &dyn Queue, plan: &Plan, draws: &mut fastrand::Rng) {
    let run = loop {
        let ledger = read_ledger(queue, false).await.unwrap();
        match ledger.run(plan.id.key()) {
            Some(run) if run.cancel.is_some() || run.seal.is_some() => return,
            Some(run) => break run.clone(),
            None => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    let Some(last) = write_batches(queue, plan, &run).await else {
        return;
    };
    let suppressed = plan.suppressed.len() as u64;
    let tally = Tally {
        recipients: plan.rows,
        enqueued: plan.rows - suppressed,
        suppressed,
        ..Tally::default()
    };
    let seal = Seal {
        key: plan.id.key(),
        manifest: run.manifest.draw,
        draw: 0,
        last,
        tally,
        sealed_at: run.manifest.created_at.clone(),
        rows_below: None,
    };
    let mut draw = || draws.u64(..);
    append_until_durable(queue, || {
        CampaignRecord::Seal(Seal {
            draw: draw(),
            ..seal.clone()
        })
    })
    .await;
}

/// The highest offsets; `None`: another process has sealed or cancelled the run.
async fn write_batches(queue: &dyn Queue, plan: &Plan, run: &RunFacts) -> Option<Vec<Option<u64>>> {
    let partitions = u64::from(queue.partitions());
    let mut last: Vec<Option<u64>> = vec![None; partitions as usize];
    for batch in 0..plan.rows.div_ceil(CHUNK_ROWS) {
        let ledger = read_ledger(queue, false).await.unwrap();
        let run = ledger.run(plan.id.key())?;
        if run.seal.is_some() || run.cancel.is_some() {
            return None;
        }
        if let Some(done) = run.batches.get(&batch) {
            for (mine, theirs) in last.iter_mut().zip(&done.last) {
                *mine = (*mine).max(*theirs);
            }
            continue;
        }
        let partition = batch.wrapping_add(turn(&run.manifest) % partitions) % partitions;
        let rows: Vec<u64> =
            (batch * CHUNK_ROWS..((batch + 1) * CHUNK_ROWS).min(plan.rows)).collect();
        for piece in rows.chunks(3) {
            let at = TopicPartition::new(Topic::Send, partition as u32);
            let offset = append(queue, at, chunk_of(plan, run, piece)).await;
            let slot = &mut last[partition as usize];
            *slot = (*slot).max(Some(offset));
        }
        let end = rows.last().unwrap() + 1;
        let suppressed = plan.suppressed.range(..end).count() as u64;
        let tally = Tally {
            recipients: end,
            enqueued: end - suppressed,
            suppressed,
            ..Tally::default()
        };
        let state = BatchState {
            key: plan.id.key(),
            manifest: run.manifest.draw,
            batch,
            last: last.clone(),
            tally,
        };
        append_until_durable(queue, || CampaignRecord::Batch(state.clone())).await;
    }
    let _ = run;
    Some(last)
}

/// The hash that decides which partition has the first chunk.
fn turn(manifest: &Manifest) -> u64 {
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in [
        &manifest.id.campaign,
        &manifest.id.run,
        &manifest.fingerprint,
    ] {
        hash.update(part.as_bytes());
        hash.update(&[0]);
    }
    let digest = hash.finish();
    u64::from_be_bytes(digest.as_ref()[..8].try_into().unwrap())
}

fn chunk_of(plan: &Plan, run: &RunFacts, rows: &[u64]) -> Record {
    let head = ChunkHead {
        campaign: plan.id.campaign.clone(),
        run: plan.id.run.clone(),
        key: plan.id.key(),
        fingerprint: run.manifest.fingerprint.clone(),
        first_row: rows[0],
        last_row: rows[rows.len() - 1],
        count: rows.len() as u32,
        moved_from: None,
        trace_id: "simulation".into(),
    };
    let message = |row: &u64| {
        let is_suppressed = plan.suppressed.contains(row);
        let id = message_id(&plan.id, *row);
        let bytes = if is_suppressed {
            Vec::new()
        } else {
            content(*row, &id)
        };
        let line = MessageLine {
            row: *row,
            line: row + 2,
            address: address(*row),
            id,
            return_path: "bounces@example.org".into(),
            tries: 0,
            hop: 0,
            round: 0,
            suppressed: is_suppressed.then(|| "manual".to_string()),
            bytes: 0,
        };
        (line, bytes.into())
    };
    let messages: Vec<_> = rows.iter().map(message).collect();
    let origin = Origin {
        timestamp: "2026-01-01T00:00:00Z",
        source: "simulation",
    };
    chunk::encode(&head, origin, &messages).unwrap()
}

pub async fn append(queue: &dyn Queue, at: TopicPartition, record: Record) -> u64 {
    loop {
        match queue.append(at, vec![record.clone()]).await {
            Ok(offsets) => return offsets[0],
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Made anew for each append, because seals draw a number.
async fn append_until_durable(queue: &dyn Queue, mut record: impl FnMut() -> CampaignRecord) {
    let at = TopicPartition::new(Topic::Campaign, 0);
    loop {
        let record = record();
        let payload = Some(serde_json::to_vec(&record).unwrap().into());
        let record = Record {
            key: Some(record.key()),
            headers: Vec::new(),
            payload,
        };
        match queue.append(at, vec![record]).await {
            Ok(_) => return,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
