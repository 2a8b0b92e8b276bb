//! Killed at any moment, beside another process, with other suppression lists, over a queue that loses answers and
//! lands records late: every row is sent once all the same.

use super::world::{List, PARTITIONS, append, assert_all_rows_once, queue, run};
use mailq::domain::ids::RunId;
use mailq::domain::records::{CampaignRecord, FileReading, InDoubtPolicy, Manifest};
use mailq::engine::enqueue::{Job, QueueTimeout, RunChoice};
use mailq_testkit::memory::{Faults, MemoryLog, MemoryQueue};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

const ROWS: u64 = 150;

/// Small chunks and batches, so that there are many moments.
async fn small_manifest(queue: &MemoryQueue, job: &Job, batch_chunks: u64) {
    let inputs = job.all_inputs(&fingerprint_of(job), 0);
    let id = RunId::new("spring", "small");
    let manifest = Manifest {
        key: id.key(),
        id,
        draw: 1,
        fingerprint: mailq::engine::enqueue::fingerprint(&inputs),
        inputs,
        replay_of: None,
        first: vec![0; PARTITIONS as usize],
        chunk_rows: 7,
        batch_rows: 7 * batch_chunks,
        rows: ROWS,
        created_at: "2026-01-01T00:00:00Z".to_string(),
        not_before: None,
        expires_after_seconds: None,
        in_doubt: InDoubtPolicy::Resend,
        stream: job.stream,
        recipients: String::new(),
        reading: Box::new(FileReading::default()),
        rows_fingerprint: None,
        pieces: 0,
    };
    append(queue, CampaignRecord::Manifest(manifest)).await;
}

fn fingerprint_of(job: &Job) -> String {
    let survey = mailq::recipients::first_pass(&job.recipients, &job.options, |_, _| ()).unwrap();
    survey.fingerprint
}

/// Runs, is killed, and runs again as a new process, until it is done.
async fn until_done(log: &MemoryLog, job: &Job, random: &mut fastrand::Rng) -> u32 {
    for kills in 0.. {
        let process = log.start_process();
        let suppressed_row = random.u64(0..ROWS);
        let job = Job {
            queue_timeout: QueueTimeout(None),
            suppressed: Arc::new(move |address| {
                let is = address.as_str() == format!("anna{suppressed_row}@example.org");
                is.then(|| "manual".to_string())
            }),
            ..job.clone()
        };
        let longest = if kills < 30 { 4_000 } else { 600_000 };
        let killed_after = Duration::from_millis(random.u64(0..longest));
        tokio::select! {
            biased;
            () = tokio::time::sleep(killed_after) => {}
            done = run(log, &process, &job) => {
                done.unwrap();
                return kills;
            }
        }
    }
    unreachable!()
}

async fn one_world(seed: u64) -> u32 {
    let mut random = fastrand::Rng::with_seed(seed);
    let list = List::of_rows(ROWS);
    let job = Job {
        run: RunChoice::Named("small".to_string()),
        batch_rows: random.u64(5..20),
        stream: random.bool(),
        inputs: BTreeMap::new(),
        ..list.job()
    };
    let (log, first) = queue(seed, Faults::none()).await;
    if random.u8(0..4) > 0 {
        small_manifest(&first, &job, random.u64(1..12)).await;
    }
    log.set_faults(Faults::kafka());
    let is_over = Cell::new(false);
    let compaction = async {
        while !is_over.get() {
            tokio::time::sleep(Duration::from_millis(300)).await;
            log.compact_randomly();
        }
    };
    let mut other = random.fork();
    let is_alone = random.bool();
    let processes = async {
        let second = async {
            match is_alone {
                true => 0,
                false => until_done(&log, &job, &mut other).await,
            }
        };
        let (one, two) =
            futures_util::future::join(until_done(&log, &job, &mut random), second).await;
        is_over.set(true);
        one + two
    };
    let (kills, ()) = futures_util::future::join(processes, compaction).await;
    assert_all_rows_once(&log, ROWS);
    // What was still under way lands behind the seal, where nobody counts it.
    tokio::time::sleep(Duration::from_secs(60)).await;
    log.compact_all();
    assert_all_rows_once(&log, ROWS);
    kills
}

/// Says which world it was that failed.
struct NamedOnPanic(u64);

impl Drop for NamedOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "seed {}", self.0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_row_is_sent_once_whatever_is_killed_when() {
    let mut kills = 0;
    for seed in 0..100 {
        let _named = NamedOnPanic(seed);
        kills += one_world(seed).await;
    }
    assert!(kills > 200, "only {kills} kills: the test tests too little");
}
