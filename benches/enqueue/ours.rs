//! The enqueue of mailq over its SQLite queue, first pass, duplicate check and seal included.

use super::sample::{FROM, SUBJECT};
use mailq::clock::SystemClock;
use mailq::domain::project_key::ProjectKey;
use mailq::domain::records::InDoubtPolicy;
use mailq::domain::topic::Topic;
use mailq::engine::enqueue::{
    EarlierRuns, Job, QueueTimeout, Renaming, RunChoice, composer, enqueue, suppression_check,
};
use mailq::queue::Queue;
use mailq::queue::sqlite::{OpenOptions, SqliteQueue};
use mailq::recipients::Options;
use mailq::render::{CampaignContent, Content};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub fn run(folder: &Path) -> u64 {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(fill(folder))
}

async fn fill(folder: &Path) -> u64 {
    let key = ProjectKey::new(&[7; ProjectKey::BYTES]);
    let options = OpenOptions {
        create: true,
        ..OpenOptions::new(key.fingerprint())
    };
    let queue = SqliteQueue::open(&folder.join("queue.db"), options).expect("a queue");
    let topics = [Topic::Send, Topic::Campaign, Topic::Suppression];
    queue.create_topics(&topics).await.expect("topics");
    let queue_timeout = QueueTimeout::default();
    let suppressed = suppression_check(&*queue, &key, queue_timeout, &mut |_| ())
        .await
        .expect("suppressions");
    let job = Job {
        suppressed,
        ..job(folder, key)
    };
    let report = enqueue(&*queue, &job, &SystemClock, &mut |_| ())
        .await
        .expect("a sealed run");
    report.tally.bytes_queued
}

fn job(folder: &Path, key: ProjectKey) -> Job {
    let given = CampaignContent {
        origin: "spring.toml".into(),
        from: FROM.into(),
        subject: SUBJECT.into(),
        html: Some("spring.html".into()),
        text: Some("spring.txt".into()),
        ..CampaignContent::default()
    };
    let content = Content::load(&given, folder).expect("templates");
    let recipients = folder.join("list.csv");
    let (composer, columns, options) =
        composer(content, &recipients, Options::default()).expect("columns");
    Job {
        campaign: "spring".into(),
        run: RunChoice::Inputs,
        earlier: EarlierRuns::Forbid,
        renaming: Renaming::default(),
        id_domain: composer.message_id_domain().into(),
        return_path: composer.return_path().into(),
        content: Arc::new(composer),
        recipients,
        columns,
        options,
        inputs: BTreeMap::new(),
        batch_rows: 50_000,
        not_before: None,
        expires_after: None,
        in_doubt: InDoubtPolicy::Resend,
        stream: false,
        key,
        suppressed: Arc::new(|_| None),
        source: "bench/enqueue".into(),
        trace_id: "bench".into(),
        queue_timeout: QueueTimeout::default(),
        render_threads: std::thread::available_parallelism().map_or(2, usize::from),
        dry_run: false,
        scratch: folder.to_path_buf(),
    }
}
