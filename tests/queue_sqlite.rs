//! The embedded queue beyond the contract: several processes (here: handles) on one file, leases, space and errors.

use bytes::Bytes;
use futures_util::future::join_all;
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::queue::sqlite::{OpenOptions, SqliteQueue};
use mailq::queue::{
    Commit, CommitOutcome, Membership, Ownership, Queue, QueueError, Record, SlotRequest, Token,
};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SEND: TopicPartition = TopicPartition::new(Topic::Send, 0);
const CAMPAIGN: TopicPartition = TopicPartition::new(Topic::Campaign, 0);
const EVENT: TopicPartition = TopicPartition::new(Topic::Event, 3);
const TIER: Topic = Topic::Retry(Duration::from_secs(60));
/// Longer than any test, so that no lease expires.
const LONG: Duration = Duration::from_secs(600);

struct File {
    _directory: TempDir,
    path: PathBuf,
}

fn file() -> File {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("queue.db");
    File {
        _directory: directory,
        path,
    }
}

fn open(path: &Path, lease: Duration) -> Rc<SqliteQueue> {
    let options = OpenOptions {
        create: true,
        lease,
        ..OpenOptions::new("key")
    };
    SqliteQueue::open(path, options).unwrap()
}

async fn with_topics(path: &Path, lease: Duration) -> Rc<SqliteQueue> {
    let queue = open(path, lease);
    let topics = [Topic::Send, Topic::Event, Topic::Campaign, Topic::Dlq];
    queue.create_topics(&topics).await.unwrap();
    queue
}

fn record(text: &str) -> Record {
    Record {
        key: None,
        headers: vec![("n".into(), text.into())],
        payload: Some(Bytes::from(text.to_string())),
    }
}

fn keyed(key: &str, text: Option<&str>) -> Record {
    Record {
        key: Some(key.into()),
        headers: Vec::new(),
        payload: text.map(|text| Bytes::from(text.to_string())),
    }
}

fn large(kilobytes: usize) -> Record {
    Record {
        payload: Some(Bytes::from(vec![b'x'; kilobytes * 1024])),
        ..Record::default()
    }
}

async fn texts(queue: &SqliteQueue, at: TopicPartition, from: u64) -> Vec<(u64, Option<String>)> {
    let found = queue.fetch(at, from, usize::MAX).await.unwrap();
    let text = |payload: Bytes| String::from_utf8(payload.to_vec()).unwrap();
    found
        .into_iter()
        .map(|stored| (stored.offset, stored.record.payload.map(text)))
        .collect()
}

#[tokio::test]
async fn appended_records_come_back_in_order() {
    let file = file();
    let queue = with_topics(&file.path, LONG).await;
    let other = open(&file.path, LONG);
    assert_eq!(queue.partitions(), 8);
    assert_eq!(queue.url(), format!("sqlite:{}", file.path.display()));
    let strange = Record {
        key: Some("käse\0\n".into()),
        headers: vec![("a".into(), "\"\\\u{0}ü".into()), ("a".into(), "".into())],
        payload: Some(Bytes::new()),
    };
    let first = queue.append(EVENT, vec![record("a"), strange.clone()]);
    assert_eq!(first.await, Ok(vec![0, 1]));
    assert_eq!(other.append(EVENT, vec![record("c")]).await, Ok(vec![2]));
    let found = other.fetch(EVENT, 1, usize::MAX).await.unwrap();
    assert_eq!(found[0].record, strange);
    assert_eq!(found.len(), 2);
    assert!(found[0].appended_at.elapsed().unwrap() < Duration::from_secs(60));
    // At least one, however small the limit.
    assert_eq!(queue.fetch(EVENT, 0, 0).await.unwrap().len(), 1);
    assert_eq!(queue.fetch(EVENT, 3, 9).await, Ok(vec![]));
    assert_eq!(queue.fetch(EVENT, u64::MAX, 9).await, Ok(vec![]));
    assert_eq!(queue.fetch(SEND, 0, 9).await, Ok(vec![]));
    let topics = [Topic::Send, Topic::Dlq, Topic::Event, Topic::Campaign];
    assert_eq!(queue.topics().await.unwrap(), topics);
}

#[tokio::test]
async fn a_failed_append_does_not_fail_others() {
    let file = file();
    let queue = with_topics(&file.path, LONG).await;
    let missing = TopicPartition::new(TIER, 0);
    let beyond = TopicPartition::new(Topic::Send, 8);
    let appends = (0..60).map(|n| {
        let at = match n % 3 {
            0 => SEND,
            1 => missing,
            _ => beyond,
        };
        queue.append(at, vec![record(&n.to_string())])
    });
    for (n, result) in join_all(appends).await.into_iter().enumerate() {
        match n % 3 {
            0 => assert_eq!(result, Ok(vec![n as u64 / 3])),
            1 => assert_eq!(result, Err(QueueError::NoTopic(TIER))),
            _ => assert_eq!(result, Err(QueueError::NoTopic(Topic::Send))),
        }
    }
    let expected: Vec<_> = (0..20).map(|n| (n, Some((n * 3).to_string()))).collect();
    assert_eq!(texts(&queue, SEND, 0).await, expected);
}

/// Far below the wait of a handle that waits for the write lock as long as a worker does.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_locked_file_is_waited_for_no_longer_than_was_asked() {
    let file = file();
    with_topics(&file.path, LONG).await;
    let wait = Duration::from_millis(50);
    let options = || OpenOptions {
        open_wait: wait,
        write_wait: wait,
        ..OpenOptions::new("key")
    };
    let queue = SqliteQueue::open(&file.path, options()).unwrap();
    let lock = rusqlite::Connection::open(&file.path).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let since = Instant::now();
    let is_away = |error: &QueueError| matches!(error, QueueError::Away { .. });
    let append = queue.append(SEND, vec![record("a")]).await;
    assert!(append.is_err_and(|error| is_away(&error)));
    let opened = SqliteQueue::open(&file.path, options());
    assert!(opened.is_err_and(|error| is_away(&error)));
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());

    // A member waits for the lock longer, because a commit that fails costs it the partition.
    lock.execute_batch("COMMIT").unwrap();
    let member = queue.join("a").await.unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let unlocked = async {
        tokio::time::sleep(10 * wait).await;
        lock.execute_batch("COMMIT").unwrap();
    };
    let append = queue.append(SEND, vec![record("a")]);
    let (append, ()) = futures_util::future::join(append, unlocked).await;
    assert_eq!(append, Ok(vec![0]));
    member.leave().await;
}

#[tokio::test]
async fn a_large_append_is_split_and_complete() {
    let file = file();
    let queue = with_topics(&file.path, LONG).await;
    let offsets = queue.append(SEND, vec![large(512); 40]).await.unwrap();
    assert_eq!(offsets, (0..40).collect::<Vec<_>>());
    let found = queue.fetch(SEND, 0, 3 * 512 * 1024).await.unwrap();
    assert_eq!(found.len(), 3);
    let too_large = queue.append(SEND, vec![record("x"), large(17 * 1024)]);
    assert!(matches!(
        too_large.await,
        Err(QueueError::TooLarge {
            topic: Topic::Send,
            ..
        })
    ));
    assert_eq!(queue.bounds(SEND).await.unwrap().end, 40);
}

#[tokio::test]
async fn offsets_are_never_used_again() {
    let file = file();
    let queue = with_topics(&file.path, LONG).await;
    queue.append(SEND, vec![record("x"); 1_300]).await.unwrap();
    queue.drop_below(SEND, 1_200).await.unwrap();
    let low = queue.bounds(SEND).await.unwrap();
    assert_eq!((low.low_watermark, low.end), (1_200, 1_300));
    assert_eq!(
        queue.fetch(SEND, 1_199, 9).await,
        Err(QueueError::BelowLowWatermark {
            at: SEND,
            offset: 1_199,
            low_watermark: 1_200
        })
    );
    assert_eq!(texts(&queue, SEND, 1_200).await.len(), 100);
    let sql = rusqlite::Connection::open(&file.path).unwrap();
    let left: i64 = sql
        .query_row("SELECT count(*) FROM record", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 100);
    drop(sql);
    // A lower offset changes nothing; one beyond the end counts as the end.
    queue.drop_below(SEND, 5).await.unwrap();
    assert_eq!(queue.bounds(SEND).await.unwrap().low_watermark, 1_200);
    queue.drop_below(SEND, u64::MAX).await.unwrap();
    drop(queue);
    let queue = open(&file.path, LONG);
    let bounds = queue.bounds(SEND).await.unwrap();
    assert_eq!((bounds.low_watermark, bounds.end), (1_300, 1_300));
    assert_eq!(queue.append(SEND, vec![record("y")]).await, Ok(vec![1_300]));
    assert_eq!(texts(&queue, SEND, 1_300).await.len(), 1);
}

#[tokio::test]
async fn a_key_has_one_record() {
    let file = file();
    let queue = with_topics(&file.path, LONG).await;
    let records = vec![
        keyed("a", Some("1")),
        keyed("b", Some("2")),
        keyed("a", Some("3")),
        Record::default(),
    ];
    queue.append(CAMPAIGN, records).await.unwrap();
    let some = |text: &str| Some(text.to_string());
    assert_eq!(
        texts(&queue, CAMPAIGN, 0).await,
        [(1, some("2")), (2, some("3")), (3, None)]
    );
    queue
        .append(CAMPAIGN, vec![keyed("a", None)])
        .await
        .unwrap();
    // A reader that goes on from 3 must see that `a` was taken back.
    assert_eq!(texts(&queue, CAMPAIGN, 4).await, [(4, None)]);
    assert_eq!(texts(&queue, CAMPAIGN, 0).await.len(), 3);
    // Dropping also removes the key from `latest`: its next record must not delete another one.
    queue.drop_below(CAMPAIGN, 5).await.unwrap();
    queue
        .append(CAMPAIGN, vec![keyed("b", Some("6")), keyed("a", Some("7"))])
        .await
        .unwrap();
    assert_eq!(
        texts(&queue, CAMPAIGN, 0).await,
        [(5, some("6")), (6, some("7"))]
    );
    // Topics that are not compacted keep all records of a key.
    let twice = vec![keyed("a", Some("1")), keyed("a", Some("2"))];
    queue.append(EVENT, twice).await.unwrap();
    assert_eq!(texts(&queue, EVENT, 0).await.len(), 2);
}

#[tokio::test]
async fn dropped_space_is_given_back() {
    let file = file();
    let queue = with_topics(&file.path, LONG).await;
    for _ in 0..15 {
        queue.append(SEND, vec![large(512); 4]).await.unwrap();
    }
    queue.append(EVENT, vec![record("kept")]).await.unwrap();
    let before = std::fs::metadata(&file.path).unwrap().len();
    assert!(before > 20 << 20, "{before}");
    queue.drop_below(SEND, 60).await.unwrap();
    let after = std::fs::metadata(&file.path).unwrap().len();
    assert!(after < 6 << 20, "{after}");
    assert_eq!(texts(&queue, EVENT, 0).await.len(), 1);
}

#[tokio::test]
async fn a_slow_reader_delays_no_writer() {
    let file = file();
    let queue = with_topics(&file.path, LONG).await;
    for _ in 0..15 {
        queue.append(SEND, vec![large(512); 4]).await.unwrap();
    }
    let slow = rusqlite::Connection::open(&file.path).unwrap();
    slow.execute_batch("BEGIN").unwrap();
    let count = |sql: &rusqlite::Connection| -> i64 {
        sql.query_row("SELECT count(*) FROM record", [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(count(&slow), 60);
    let begun = Instant::now();
    queue.drop_below(SEND, 60).await.unwrap();
    queue.append(SEND, vec![record("x")]).await.unwrap();
    assert_eq!(count(&slow), 60, "its own moment");
    // Waiting for the reader would have taken 30 s.
    assert!(begun.elapsed() < Duration::from_secs(20));
}

/// A worker that releases a partition as soon as it is losing it.
struct Worker {
    membership: Rc<dyn Membership>,
    owned: BTreeMap<TopicPartition, Token>,
}

impl Worker {
    async fn join(queue: &SqliteQueue, name: &str) -> Worker {
        Worker {
            membership: queue.join(name).await.unwrap(),
            owned: BTreeMap::new(),
        }
    }

    async fn next(&mut self, wait: Duration) -> Option<Ownership> {
        let change = tokio::time::timeout(wait, self.membership.changed())
            .await
            .ok()?;
        match &change {
            Ownership::Gained { at, token } => {
                assert_eq!(self.owned.insert(*at, *token), None, "gained twice");
            }
            Ownership::Losing { at, token } | Ownership::Uncertain { at, token } => {
                assert_eq!(self.owned.remove(at), Some(*token));
                self.membership.release(*at, *token).await;
            }
            Ownership::Lost { at, token } => assert_eq!(self.owned.remove(at), Some(*token)),
        }
        Some(change)
    }

    fn count(&self, topic: Topic) -> usize {
        self.owned.keys().filter(|at| at.topic == topic).count()
    }

    async fn commit(&self, at: TopicPartition, token: Token, text: &str) -> CommitOutcome {
        let commit = Commit {
            at,
            token,
            offset: 1,
            text: text.into(),
        };
        self.membership.commit(vec![commit]).await.remove(0)
    }
}

/// Lets the workers act until each owns so many partitions of send. Two must never own the same one.
async fn until(workers: &mut [&mut Worker], counts: &[usize]) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        for worker in workers.iter_mut() {
            while worker.next(Duration::from_millis(5)).await.is_some() {}
        }
        let mut owners = BTreeMap::new();
        for worker in workers.iter() {
            for at in worker.owned.keys() {
                assert_eq!(owners.insert(*at, ()), None, "{at} has two owners");
            }
        }
        let now: Vec<_> = workers.iter().map(|w| w.count(Topic::Send)).collect();
        if now == counts {
            return;
        }
        assert!(Instant::now() < deadline, "{now:?} instead of {counts:?}");
    }
}

#[tokio::test]
async fn partitions_are_shared_fairly_as_members_come_and_go() {
    let file = file();
    let queue = with_topics(&file.path, LONG).await;
    let other = open(&file.path, LONG);
    let mut a = Worker::join(&queue, "a").await;
    until(&mut [&mut a], &[8]).await;
    let mut b = Worker::join(&other, "b").await;
    until(&mut [&mut a, &mut b], &[4, 4]).await;
    let mut c = Worker::join(&other, "c").await;
    until(&mut [&mut a, &mut b, &mut c], &[3, 3, 2]).await;
    let members = queue.members().await.unwrap();
    let owned: Vec<_> = members
        .iter()
        .map(|m| (m.name.as_str(), m.owned.len()))
        .collect();
    assert_eq!(owned, [("a", 3), ("b", 3), ("c", 2)]);
    a.membership.leave().await;
    until(&mut [&mut b, &mut c], &[4, 4]).await;
    let (at, token) = a.owned.pop_first().unwrap();
    assert_eq!(a.commit(at, token, "late").await, CommitOutcome::Refused);
    c.membership.leave().await;
    until(&mut [&mut b], &[8]).await;
    assert_eq!(queue.members().await.unwrap().len(), 1);
    b.membership.leave().await;
    assert_eq!(queue.members().await, Ok(vec![]));
    // A name is free again after leaving.
    let mut again = Worker::join(&queue, "b").await;
    until(&mut [&mut again], &[8]).await;
}

#[tokio::test]
async fn a_new_tier_goes_with_send() {
    let file = file();
    let queue = with_topics(&file.path, LONG).await;
    let mut a = Worker::join(&queue, "a").await;
    let mut b = Worker::join(&queue, "b").await;
    until(&mut [&mut a, &mut b], &[4, 4]).await;
    queue.create_topics(&[TIER]).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while a.count(TIER) + b.count(TIER) < 8 && Instant::now() < deadline {
        until(&mut [&mut a, &mut b], &[4, 4]).await;
    }
    for worker in [&a, &b] {
        let indexes = |topic| -> Vec<u32> {
            let of_topic = worker.owned.keys().filter(|at| at.topic == topic);
            of_topic.map(|at| at.partition).collect()
        };
        assert_eq!(indexes(TIER), indexes(Topic::Send));
        assert_eq!(indexes(TIER).len(), 4);
    }
    // A partition that is released without need comes back under a new token; others of its index stay.
    let at = *a.owned.keys().next().unwrap();
    let token = a.owned.remove(&at).unwrap();
    a.membership.release(at, token).await;
    assert_eq!(a.commit(at, token, "x").await, CommitOutcome::Refused);
    let change = a.next(Duration::from_secs(20)).await;
    assert!(
        matches!(change, Some(Ownership::Gained { at: new, token: t }) if new == at && t > token)
    );
}

#[tokio::test]
async fn a_dead_owner_is_noticed_long_before_its_lease_expires() {
    let file = file();
    let queue = with_topics(&file.path, LONG).await;
    let mut a = Worker::join(&queue, "a").await;
    until(&mut [&mut a], &[8]).await;
    let other = open(&file.path, LONG);
    let taken = other.join("a").await.err();
    assert!(matches!(taken, Some(QueueError::Away { .. })), "{taken:?}");
    // As if its process was killed: nothing is written, and the lock file is free.
    drop(a);
    assert_eq!(other.members().await, Ok(vec![]));
    let mut b = Worker::join(&other, "b").await;
    until(&mut [&mut b], &[8]).await;
    let mut again = Worker::join(&queue, "a").await;
    until(&mut [&mut again, &mut b], &[4, 4]).await;
}

fn failure(path: &Path, options: OpenOptions<'_>) -> QueueError {
    SqliteQueue::open(path, options).err().unwrap()
}

/// SQLite would go on in the file that nobody else sees.
#[tokio::test]
async fn a_file_that_was_replaced_takes_and_gives_nothing() {
    let file = file();
    let queue = with_topics(&file.path, LONG).await;
    let member = queue.join("a").await.unwrap();
    let Ownership::Gained { at, token } = member.changed().await else {
        panic!("the only member gains all partitions");
    };
    queue.append(SEND, vec![record("before")]).await.unwrap();
    std::fs::rename(&file.path, file.path.with_extension("old")).unwrap();
    let is_gone = |error: &QueueError| matches!(error, QueueError::Gone { .. });
    for _ in 0..2 {
        assert!(queue.check().is_err_and(|error| is_gone(&error)));
        let appended = queue.append(SEND, vec![record("after")]).await;
        assert!(appended.is_err_and(|error| is_gone(&error)));
        let fetched = queue.fetch(SEND, 0, 1).await;
        assert!(fetched.is_err_and(|error| is_gone(&error)));
        let commit = Commit {
            at,
            token,
            offset: 1,
            text: "after".to_string(),
        };
        assert_eq!(member.commit(vec![commit]).await, [CommitOutcome::Refused]);
        std::fs::write(&file.path, "another one").unwrap();
    }
    std::fs::rename(file.path.with_extension("old"), &file.path).unwrap();
    assert_eq!(texts(&queue, SEND, 0).await.len(), 1);
}

#[tokio::test]
async fn files_of_others_are_refused() {
    let file = file();
    let path = file.path.display().to_string();
    let expected = OpenOptions::new("key");
    let missing = QueueError::Missing(path.clone());
    assert_eq!(failure(&file.path, expected.clone()), missing);
    assert!(!SqliteQueue::exists(&file.path));
    assert_eq!(SqliteQueue::fingerprint(&file.path), Ok(None));
    // A process that was killed right after it created the file leaves it empty.
    std::fs::write(&file.path, b"").unwrap();
    assert_eq!(failure(&file.path, expected.clone()), missing);
    std::fs::remove_file(&file.path).unwrap();

    drop(open(&file.path, LONG));
    let mode = std::fs::metadata(&file.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        SqliteQueue::fingerprint(&file.path),
        Ok(Some("key".to_string()))
    );
    assert_eq!(
        failure(&file.path, OpenOptions::new("other")),
        QueueError::OtherKey {
            path: path.clone(),
            found: "key".into(),
            expected: "other".into()
        }
    );
    let sql = rusqlite::Connection::open(&file.path).unwrap();
    sql.execute_batch("UPDATE meta SET value = 7 WHERE name = 'format'")
        .unwrap();
    assert_eq!(
        failure(&file.path, expected.clone()),
        QueueError::Newer {
            path,
            found: 7,
            known: 1
        }
    );
    sql.execute_batch("UPDATE meta SET value = 'x' WHERE name = 'format'")
        .unwrap();
    let strange = failure(&file.path, expected.clone());
    assert!(matches!(strange, QueueError::Damaged { .. }), "{strange}");
    drop(sql);

    let foreign = file.path.with_file_name("foreign.db");
    let sql = rusqlite::Connection::open(&foreign).unwrap();
    sql.execute_batch("CREATE TABLE theirs (x)").unwrap();
    let noise = file.path.with_file_name("noise.db");
    std::fs::write(&noise, "not a database".repeat(1_000)).unwrap();
    for damaged in [&foreign, &noise] {
        let error = failure(damaged, expected.clone());
        assert!(matches!(error, QueueError::Damaged { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_damaged_record_is_an_error_of_its_partition_only() {
    let file = file();
    let queue = with_topics(&file.path, LONG).await;
    queue.append(SEND, vec![record("a")]).await.unwrap();
    queue.append(EVENT, vec![record("b")]).await.unwrap();
    let sql = rusqlite::Connection::open(&file.path).unwrap();
    sql.execute_batch("UPDATE record SET headers = '{' WHERE payload = x'61'")
        .unwrap();
    let error = queue.fetch(SEND, 0, 9).await.unwrap_err();
    assert!(
        matches!(
            error,
            QueueError::BadRecord {
                at: SEND,
                offset: 0,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(texts(&queue, EVENT, 0).await.len(), 1);
}

#[tokio::test]
async fn all_processes_share_one_bucket() {
    let file = file();
    let queues = [open(&file.path, LONG), open(&file.path, LONG)];
    let interval = Duration::from_millis(10);
    let request = SlotRequest {
        bucket: "rate".into(),
        want: 3,
        interval,
        burst: 1,
        horizon: Duration::from_secs(60),
        unused: Vec::new(),
    };
    let taken = (0..40).map(|n| {
        queues[n % 2]
            .buckets()
            .unwrap()
            .take_slots(vec![request.clone()])
    });
    let mut all = Vec::new();
    for slots in join_all(taken).await {
        let slots = slots.unwrap().remove(0);
        assert_eq!(slots.at.len(), 3);
        all.extend(slots.at);
    }
    all.sort_unstable();
    assert!(all.windows(2).all(|pair| pair[1] - pair[0] >= interval));
    let other = SlotRequest {
        bucket: "site/example.org".into(),
        ..request
    };
    assert!(
        queues[0]
            .buckets()
            .unwrap()
            .take_slots(vec![other])
            .await
            .unwrap()
            .remove(0)
            .at[0]
            < all[20]
    );
}

#[tokio::test]
async fn two_handles_write_side_by_side() {
    let file = file();
    let queues = [with_topics(&file.path, LONG).await, open(&file.path, LONG)];
    let appends = (0..200).map(|n| queues[n % 2].append(SEND, vec![record("x"); 5]));
    let mut offsets: Vec<u64> = Vec::new();
    for result in join_all(appends).await {
        let five = result.unwrap();
        assert!(five.windows(2).all(|pair| pair[1] == pair[0] + 1));
        offsets.extend(five);
    }
    offsets.sort_unstable();
    assert_eq!(offsets, (0..1_000).collect::<Vec<_>>());
}

/// Prints a figure: `cargo test --release -- --ignored appends_per_second --nocapture`.
#[tokio::test]
#[ignore = "a measurement"]
async fn appends_per_second() {
    let file = file();
    let queue = with_topics(&file.path, LONG).await;
    let event = Record {
        key: Some("0123456789abcdef0123456789abcdef@example.net".into()),
        headers: vec![("eventType".into(), "mail.delivered".into())],
        payload: Some(Bytes::from(vec![b'e'; 220])),
    };
    let begun = Instant::now();
    for _ in 0..100 {
        let batches = (0..8).map(|partition| {
            let at = TopicPartition::new(Topic::Event, partition);
            queue.append(at, vec![event.clone(); 500])
        });
        for result in join_all(batches).await {
            result.unwrap();
        }
    }
    let rate = 400_000.0 / begun.elapsed().as_secs_f64();
    println!("{rate:.0} records a second");
}

#[test]
fn processes_that_create_a_queue_at_once_share_it() {
    for _ in 0..10 {
        let file = file();
        let together = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    together.wait();
                    drop(open(&file.path, LONG));
                });
            }
        });
        let fingerprint = SqliteQueue::fingerprint(&file.path);
        assert_eq!(fingerprint, Ok(Some("key".to_string())));
    }
}
