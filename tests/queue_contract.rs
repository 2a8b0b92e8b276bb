//! Does every backend keep the contract of `src/queue/mod.rs`? One suite, with an arm for each backend.

mod leases;
mod logs;

use mailq::domain::ids::{Offset, Partition};
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::queue::{Membership, Ownership, Queue, Record, Stored, Token};
#[cfg(feature = "kafka")]
use mailq_testkit::kafka::{NEWEST, OLDEST, shared, shared_without_offsets};
use mailq_testkit::memory::{Faults, MemoryLog};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// The handles of two processes on one queue, which has the topics of [`topics`] and no records.
pub struct Store {
    pub a: Rc<dyn Queue>,
    pub b: Rc<dyn Queue>,
    /// Compacts now, if the backend can be made to.
    pub compact: Box<dyn Fn()>,
}

/// The arms. Each opens a store of its backend and runs a test on it.
macro_rules! suite {
    ($arm:ident: $module:ident { $($test:ident),* $(,)? }) => {
        $(#[test] fn $test() { crate::queue_contract::$arm($module::$test) })*
    };
    (@log $arm:ident) => {
        mod log {
            use super::logs;
            suite!($arm: logs {
                topics_are_created_once_and_listed,
                a_missing_topic_is_named,
                offsets_grow_and_both_handles_read_in_order,
                appends_of_both_handles_take_turns,
                any_bytes_come_back,
                fetch_begins_in_the_middle_and_ends_at_the_end,
                fetch_gives_at_least_one_and_not_much_more_than_asked,
                nothing_is_read_below_the_low_watermark,
                dropping_is_idempotent,
                offsets_are_right_after_another_has_dropped_everything,
                partitions_are_logs_of_their_own,
                compaction_keeps_the_last_of_each_key,
            });
        }
    };
    (@buckets $arm:ident) => {
        mod buckets {
            use super::logs;
            suite!($arm: logs {
                slots_of_two_handles_keep_one_rate,
                a_burst_may_come_early_once,
                slots_beyond_the_horizon_are_left,
                buckets_do_not_share,
            });
        }
    };
    (@ownership $arm:ident) => {
        mod ownership {
            use super::leases;
            suite!($arm: leases {
                the_only_member_gains_everything,
                a_second_member_gains_its_share_after_the_release,
                commits_are_seen_by_everyone_at_once,
                a_stale_token_is_refused_and_the_old_text_stands,
                one_lost_partition_refuses_only_its_own_commit,
                a_stale_release_changes_nothing,
                leaving_gives_everything_back,
                tokens_never_repeat,
            });
        }
    };
    ($arm:ident { $($part:ident),* }) => {
        mod $arm {
            use crate::queue_contract::{leases, logs};
            $(suite!(@$part $arm);)*
        }
    };
}

suite!(memory {
    log,
    buckets,
    ownership
});
suite!(sqlite {
    log,
    buckets,
    ownership
});
// Kafka has no buckets: workers divide the rate among themselves.
#[cfg(feature = "kafka")]
suite!(kafka { log, ownership });
#[cfg(feature = "kafka")]
suite!(kafka_oldest { log, ownership });
// A proxy takes the offsets out of every second acknowledgement.
#[cfg(feature = "kafka")]
suite!(kafka_without_offsets { log, ownership });

fn memory(test: impl AsyncFnOnce(Store)) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let log = MemoryLog::new(1, PARTITIONS, Duration::from_secs(15), Faults::none());
        let store = Store {
            a: Rc::new(log.start_process()),
            b: Rc::new(log.start_process()),
            compact: Box::new(move || log.compact_all()),
        };
        store.a.create_topics(&topics()).await.unwrap();
        test(store).await;
    });
}

fn sqlite(test: impl AsyncFnOnce(Store)) {
    use mailq::queue::sqlite::{OpenOptions, SqliteQueue};
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("queue.db");
    let open = || {
        let options = OpenOptions {
            create: true,
            ..OpenOptions::new("fingerprint")
        };
        SqliteQueue::open(&path, options).unwrap()
    };
    runtime.block_on(async {
        let store = Store {
            a: open(),
            b: open(),
            compact: Box::new(|| {}),
        };
        store.a.create_topics(&topics()).await.unwrap();
        test(store).await;
    });
}

#[cfg(feature = "kafka")]
fn kafka(test: impl AsyncFnOnce(Store)) {
    kafka_at(|| shared(NEWEST).brokers(), test);
}

#[cfg(feature = "kafka")]
fn kafka_oldest(test: impl AsyncFnOnce(Store)) {
    kafka_at(|| shared(OLDEST).brokers(), test);
}

#[cfg(feature = "kafka")]
fn kafka_without_offsets(test: impl AsyncFnOnce(Store)) {
    kafka_at(shared_without_offsets, test);
}

#[cfg(feature = "kafka")]
fn kafka_at(brokers: impl FnOnce() -> String, test: impl AsyncFnOnce(Store)) {
    use crate::queue_kafka::{open, settings_at};
    let Some(settings) = settings_at(brokers) else {
        return;
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().build().unwrap();
    runtime.block_on(async {
        let store = Store {
            a: open(&settings),
            b: open(&settings),
            compact: Box::new(|| {}),
        };
        store.a.create_topics(&topics()).await.unwrap();
        test(store).await;
    });
}

/// As many as a new SQLite file has.
pub const PARTITIONS: Partition = 8;
pub const RETRY: Topic = Topic::Retry(Duration::from_secs(60));
pub const SEND_0: TopicPartition = TopicPartition::new(Topic::Send, 0);
pub const CAMPAIGN: TopicPartition = TopicPartition::new(Topic::Campaign, 0);
/// Longer than any answer takes. A test waits this long only if it fails.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// Enough for everything that a test appends.
pub const ALL_BYTES: usize = 1 << 24;

pub fn topics() -> Vec<Topic> {
    let kept = [
        Topic::Event,
        Topic::Dlq,
        Topic::Campaign,
        Topic::Suppression,
    ];
    [vec![Topic::Send, RETRY], kept.to_vec()].concat()
}

/// Everything that members own.
pub fn owned_partitions() -> Vec<TopicPartition> {
    let of = |topic| (0..PARTITIONS).map(move |partition| TopicPartition::new(topic, partition));
    of(Topic::Send).chain(of(RETRY)).collect()
}

pub fn record(key: &str, payload: &[u8]) -> Record {
    Record {
        key: Some(key.to_owned()),
        headers: vec![("source".to_owned(), "send/0".to_owned())],
        payload: Some(bytes::Bytes::copy_from_slice(payload)),
    }
}

/// A record for each number, its payload the number.
pub fn numbered(numbers: std::ops::Range<u32>) -> Vec<Record> {
    let one = |n: u32| record(&format!("k{n}"), n.to_string().as_bytes());
    numbers.map(one).collect()
}

pub fn offsets(stored: &[Stored]) -> Vec<Offset> {
    stored.iter().map(|s| s.offset).collect()
}

pub fn records(stored: &[Stored]) -> Vec<Record> {
    stored.iter().map(|s| s.record.clone()).collect()
}

/// All records from an offset on, in as many fetches as it takes.
pub async fn read_all(queue: &Rc<dyn Queue>, at: TopicPartition, from: Offset) -> Vec<Stored> {
    let mut next = from;
    let mut all = Vec::new();
    loop {
        let some = queue.fetch(at, next, ALL_BYTES).await.unwrap();
        let Some(last) = some.last() else {
            return all;
        };
        next = last.offset + 1;
        all.extend(some);
    }
}

/// Fails instead of waiting for ever.
pub async fn soon<T>(what: &str, waiting: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, waiting).await;
    done.unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}

/// A member that knows what it owns by the changes that it gets.
pub struct Owner {
    pub member: Rc<dyn Membership>,
    pub owned: BTreeMap<TopicPartition, Token>,
    /// Every ownership ever gained.
    pub gained: Vec<(TopicPartition, Token)>,
}

impl Owner {
    pub async fn join(queue: &Rc<dyn Queue>, name: &str) -> Owner {
        Owner {
            member: queue.join(name).await.unwrap(),
            owned: BTreeMap::new(),
            gained: Vec::new(),
        }
    }

    /// Waits for the next change and applies it.
    pub async fn next_change(&mut self) -> Ownership {
        let change = self.member.changed().await;
        match change {
            Ownership::Gained { at, token } => {
                assert_eq!(self.owned.insert(at, token), None, "{at} gained twice");
                self.gained.push((at, token));
            }
            Ownership::Losing { at, token } => assert_eq!(self.owned.get(&at), Some(&token)),
            // A commit in flight may have ended this ownership already.
            Ownership::Uncertain { at, token } => assert!(self.gained.contains(&(at, token))),
            Ownership::Lost { at, token } => assert_eq!(self.owned.remove(&at), Some(token)),
        }
        change
    }

    /// Applies changes until it owns so many partitions. Releases those that it loses.
    pub async fn own(&mut self, count: usize) {
        let waiting = async {
            while self.owned.len() != count {
                if let Ownership::Losing { at, .. } = self.next_change().await {
                    self.release(at).await;
                }
            }
        };
        soon(&format!("{count} partitions"), waiting).await;
    }

    pub async fn release(&mut self, at: TopicPartition) {
        let token = self.owned.remove(&at).unwrap();
        self.member.release(at, token).await;
    }
}
