//! Is a campaign sent once over Kafka? Two workers send it, one of which joins late and leaves early; `verify` proves it.

use super::{open, settings, settings_at};
use crate::queue_contract::topics;
use mailq::clock::{Clock, SystemClock};
use mailq::domain::project_key::ProjectKey;
use mailq::domain::rate::Rate;
use mailq::domain::recipient::RecipientRow;
use mailq::domain::records::{InDoubtPolicy, RateInForce};
use mailq::domain::send_windows::SendWindows;
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::engine::account::{VerifyRequest, verify};
use mailq::engine::enqueue::{
    Compose, EarlierRuns, Job, QueueTimeout, Renaming, RunChoice, enqueue,
};
use mailq::engine::policy::{RetrySchedule, Schedule};
use mailq::engine::worker::{self, Goal, Notice, Observer, RelayLane, Setup, Stop, Summary};
use mailq::queue::Queue;
use mailq::queue::kafka::KafkaSettings;
use mailq::recipients::{Options, columns};
use mailq::render::RenderError;
use mailq::smtp::RelaySettings;
use mailq_testkit::kafka::{NEWEST, shared_without_offsets};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ROWS: u32 = 2_000;
/// The second worker leaves after this, even if it had no share.
const LEAVES_WITHIN: Duration = Duration::from_secs(60);

struct Plain;

impl Compose for Plain {
    fn compose(&self, row: &RecipientRow, id: &str) -> Result<Vec<u8>, RenderError> {
        let text = format!(
            "Message-ID: <{id}>\r\nSubject: {}\r\n\r\nhello\r\n",
            row.row
        );
        Ok(text.into_bytes())
    }
}

/// How many messages were tried so far.
#[derive(Default)]
struct Watcher(Cell<u64>);

impl Observer for Watcher {
    fn notice(&self, notice: Notice) {
        if let Notice::PartitionStopped { partition, why } = notice {
            panic!("partition {partition} is stopped: {why}");
        }
    }
    fn progress(&self, summary: &Summary) {
        self.0.set(summary.attempts);
    }
}

fn key() -> ProjectKey {
    ProjectKey::new(&[1; 32])
}

fn schedule() -> RetrySchedule {
    RetrySchedule {
        initial: Duration::from_secs(1),
        factor: 2.0,
        max: Duration::from_secs(4),
        jitter: 0.1,
        tries: 2,
        soft_interval: Duration::from_secs(2),
    }
}

fn job(folder: &Path) -> Job {
    let path = folder.join("list.csv");
    let lines: String = (0..ROWS).map(|n| format!("r{n}@example.org\n")).collect();
    std::fs::write(&path, format!("email\n{lines}")).unwrap();
    let options = Options::default();
    Job {
        campaign: "spring".to_owned(),
        run: RunChoice::Named("r1".to_owned()),
        earlier: EarlierRuns::Forbid,
        renaming: Renaming::default(),
        content: Arc::new(Plain),
        columns: columns(&path, &options).unwrap(),
        recipients: path,
        options,
        inputs: BTreeMap::new(),
        batch_rows: 1_000,
        not_before: None,
        expires_after: None,
        in_doubt: InDoubtPolicy::Resend,
        stream: false,
        key: key(),
        id_domain: "example.org".to_owned(),
        return_path: "bounces@example.org".to_owned(),
        suppressed: Arc::new(|_: &mailq::domain::address::Address| None),
        source: "test/enqueue".to_owned(),
        trace_id: "test".to_owned(),
        queue_timeout: QueueTimeout(None),
        render_threads: 1,
        dry_run: false,
        scratch: std::env::temp_dir(),
    }
}

fn setup(settings: &KafkaSettings, queue: Rc<dyn Queue>, name: &str, outbox: &Path) -> Setup {
    let address = format!("maildir:{}", outbox.display()).parse().unwrap();
    Setup {
        queue,
        clock: Rc::new(SystemClock),
        relays: vec![RelayLane {
            relay: mailq::smtp::open(RelaySettings::new(address)).unwrap(),
            connections: 3,
            most_connections: 3,
            weight: 1,
            rate: Rate::Unlimited,
            quota: None,
        }],
        groups: Rc::default(),
        windows: SendWindows::default(),
        sites: BTreeMap::new(),
        retry: schedule(),
        max_uncommitted: 64,
        name: name.to_owned(),
        trace_id: "test".to_owned(),
        key: key(),
        rate: RateInForce {
            // So slow that the second worker gets a share before the first is done.
            rate: "80/s".parse().unwrap(),
            burst: 1,
            host: "test".to_owned(),
            source: "default".to_owned(),
            at: String::new(),
        },
        publish_rate: false,
        env: settings.env.clone(),
        decode_on_threads: true,
        max_text: mailq::queue::MAX_COMMIT_TEXT,
        base_after: usize::MAX,
        goal: Goal::Drain { max_wait: None },
    }
}

#[test]
fn two_workers_send_a_campaign_once() {
    if let Some(settings) = settings(NEWEST) {
        send_with_two_workers(&settings);
    }
}

/// A proxy takes the offsets out of every second acknowledgement.
#[test]
fn two_workers_send_a_campaign_once_without_offsets() {
    if let Some(settings) = settings_at(shared_without_offsets) {
        send_with_two_workers(&settings);
    }
}

fn send_with_two_workers(settings: &KafkaSettings) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let queue = open(settings);
        let tiers = Schedule::from(&schedule()).tiers();
        let all = [topics(), tiers.into_iter().map(Topic::Retry).collect()].concat();
        queue.create_topics(&all).await.unwrap();
        let begun = Instant::now();
        let job = job(folder.path());
        enqueue(queue.as_ref(), &job, &SystemClock, &mut |_| ())
            .await
            .unwrap();
        println!("enqueued {ROWS} in {:?}", begun.elapsed());
        let mut chunks = 0;
        for partition in 0..queue.partitions() {
            let at = TopicPartition::new(Topic::Send, partition);
            chunks += queue.bounds(at).await.unwrap().end;
        }
        assert_eq!(chunks, u64::from(ROWS.div_ceil(500)), "chunks in the log");

        let outbox = folder.path().join("outbox");
        let begun = Instant::now();
        let first = setup(settings, queue.clone(), "first", &outbox);
        let other = open(settings);
        let second = setup(settings, other, "second", &outbox);
        let (stay, go) = (Rc::new(Stop::default()), Rc::new(Stop::default()));
        let asked = go.clone();
        let (one, other) = (Rc::new(Watcher::default()), Rc::new(Watcher::default()));
        let watched = other.clone();
        let leaving = async {
            while watched.0.get() < 20 && begun.elapsed() < LEAVES_WITHIN {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            asked.ask();
        };
        let (first, second, ()) = futures_util::future::join3(
            worker::run(first, stay, one),
            worker::run(second, go, other),
            leaving,
        )
        .await;
        let (first, second) = (first.unwrap(), second.unwrap());
        println!(
            "sent {} and {} in {:?}",
            first.attempts,
            second.attempts,
            begun.elapsed()
        );

        let begun = Instant::now();
        let request = VerifyRequest {
            now: SystemClock.now(),
            campaign: None,
            folder: &std::env::temp_dir(),
        };
        let proof = verify(queue.as_ref(), request, &mut |_, _| ())
            .await
            .unwrap();
        println!("proved in {:?}", begun.elapsed());
        assert!(proof.ok, "{:?}", proof.findings);
        assert!(second.attempts > 0, "the second had no share");
        assert_eq!(first.attempts + second.attempts, u64::from(ROWS));
        let mails = std::fs::read_dir(outbox.join("new")).unwrap().count();
        assert_eq!(mails, ROWS as usize);
    });
}
