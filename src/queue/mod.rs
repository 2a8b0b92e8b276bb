//! The queue's contract: a small partitioned log in the shape of Kafka's. What every backend promises is written here,
//! and `tests/queue_contract.rs` holds each of them to it.
//!
//! A backend is a [`Queue`], whose partitions are logs of [`Record`]s, and a [`Membership`], which shares the owned
//! partitions out among the processes that have joined: those of the send topic and of the retry tiers. Three promises
//! carry the engine:
//!
//! - a record is durable when [`Queue::append`] resolves, and appended records are read in the order of their offsets;
//! - a commit replaces a partition's offset and text at once, and is refused when another process owns the partition
//!   (fencing by token or generation), however long this process was stopped;
//! - a result that is not known is reported as unknown, never as refused.
//!
//! To add a backend: a folder here; a function that opens two handles in `tests/queue_contract.rs`, whose tests say what
//! is missing; its URL in `config/queue_url.rs`; and the places in `commands/` that match on that type. Its own files
//! and topics belong into `docs/formats.md`. The payloads are not its business: chunks are encoded in `chunk`, the other
//! records where they are defined. The contract's tests kill nothing: what a backend does when its process is killed,
//! stopped for longer than a lease, or gets no answer, is tested beside it, as in `tests/queue_sqlite.rs`.

pub mod chunk;
mod error;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod metric;
pub mod record;
pub mod slots;
pub mod sqlite;

use crate::domain::ids::{Offset, Partition};
use crate::domain::topic::{Topic, TopicPartition};
use async_trait::async_trait;
pub use error::QueueError;
pub use metric::Metric;
pub use record::{Record, Stored};
use std::rc::Rc;
use std::time::Duration;

/// A handle on a queue: one for each process. Futures may be dropped at any await; what they have begun may be done all
/// the same.
#[async_trait(?Send)]
pub trait Queue {
    /// The queue's name in messages, such as `sqlite:/path/queue.db`.
    fn url(&self) -> String;

    /// How many partitions the send topic has. Other topics: [`Topic::partitions`].
    fn partitions(&self) -> Partition;

    /// Creates those of these topics that do not exist.
    async fn create_topics(&self, topics: &[Topic]) -> Result<(), QueueError>;

    /// All existing topics, retry tiers that the configuration no longer names among them.
    async fn topics(&self) -> Result<Vec<Topic>, QueueError>;

    /// All existing topics, their configuration, and where it differs from the one that mailq needs.
    async fn describe_topics(&self) -> Result<Vec<TopicState>, QueueError> {
        let topics = self.topics().await?.into_iter();
        let partitions = self.partitions();
        Ok(topics
            .map(|topic| TopicState {
                topic,
                partitions: topic.partitions(partitions),
                replication: 1,
                drift: Vec::new(),
            })
            .collect())
    }

    /// Appends records in order and resolves when all of them are durable: the offset of each, ascending. Each record is
    /// then in the log once. Of no records it is `Ok` at once.
    ///
    /// Errors: after any of them some of the records may be in the log. After `Unknown`, and after the future was
    /// dropped, the others may still land, once each and at any later time, also behind records that are appended later.
    /// So repeating an append leaves copies. A reader must be able to tell them from new records: by a row, a move
    /// number or a rank. Where the first record of a key counts, each attempt needs a key of its own.
    async fn append(
        &self,
        at: TopicPartition,
        records: Vec<Record>,
    ) -> Result<Vec<Offset>, QueueError>;

    /// Records at or above `from`, in order: at least one if there is one, up to about `max_bytes`. All records that were
    /// appended before the call are seen. An empty list: only at the end of the log. Compaction and dropping leave gaps in the
    /// offsets. Errors: `BelowLowWatermark`, except for compacted topics, where reading starts at the first record that
    /// is left.
    async fn fetch(
        &self,
        at: TopicPartition,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, QueueError>;

    /// The bounds of a log now: what was appended before the call lies below its end.
    async fn bounds(&self, at: TopicPartition) -> Result<Bounds, QueueError>;

    /// The last commits of partitions, also of those that other members own.
    async fn committed(&self, at: &[TopicPartition]) -> Result<Vec<Option<Committed>>, QueueError>;

    /// Whether the backend forgets commits some time after the last member has left, as Kafka does. If not, a partition
    /// without a commit was never owned.
    fn commits_expire(&self) -> bool;

    /// Drops all records below an offset and raises the low watermark, in steps so short that no other request waits for
    /// long. An offset below the low watermark changes nothing; one above the end counts as the end.
    async fn drop_below(&self, at: TopicPartition, offset: Offset) -> Result<(), QueueError>;

    /// Becomes a member, to which partitions are assigned from now on. No other running member may have this name.
    async fn join(&self, name: &str) -> Result<Rc<dyn Membership>, QueueError>;

    /// Members that are alive, and what they own.
    async fn members(&self) -> Result<Vec<Member>, QueueError>;

    /// Whether this handle still works on what other processes see under its name. Cheap, and never blocks for long: it
    /// is asked before every final dot. Errors: `Gone`.
    fn check(&self) -> Result<(), QueueError> {
        Ok(())
    }

    /// Token buckets that all processes share. `None`: there are none, and workers divide every limit among themselves.
    fn buckets(&self) -> Option<&dyn Buckets> {
        None
    }

    /// Replaces what a member says of itself, for people. It goes with the member.
    async fn publish_state(&self, _member: &str, _text: String) -> Result<(), QueueError> {
        Ok(())
    }

    /// What running members say of themselves, with their names. `None`: the backend has no place for it.
    async fn states(&self) -> Result<Option<Vec<(String, String)>>, QueueError> {
        Ok(None)
    }

    /// The backend's own metrics.
    fn metrics(&self) -> Vec<Metric> {
        Vec::new()
    }
}

/// The state of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicState {
    pub topic: Topic,
    pub partitions: Partition,
    /// The replication factor.
    pub replication: usize,
    pub drift: Vec<Drift>,
}

/// A setting of a topic that differs from the one that mailq needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    pub key: String,
    pub wanted: String,
    pub found: String,
}

/// A member of those processes that share the owned partitions. Partitions of one index go together: the member that
/// owns `send/3` also owns `retry-60s/3`. Dropping it is as if the process had died: nothing is released.
#[async_trait(?Send)]
pub trait Membership {
    /// How long ownership lasts without contact. Claims are valid for two thirds of it.
    fn lease(&self) -> Duration;

    /// Waits for the next change of ownership.
    async fn changed(&self) -> Ownership;

    /// Replaces the commits of owned partitions, each atomically, and resolves when they are durable: one outcome for each,
    /// in the order given. Ownership is checked where the commit is written, not where it is sent from. A partition may
    /// be named twice; the second commit is then written after the first.
    async fn commit(&self, commits: Vec<Commit>) -> Vec<CommitOutcome>;

    /// Ends the ownership of a partition, after its last commit; also in answer to `Losing`. A token of an earlier
    /// ownership changes nothing.
    async fn release(&self, at: TopicPartition, token: Token);

    /// Releases everything and stops being a member.
    async fn leave(&self);
}

/// Identifies one ownership of one partition by one member. A partition that is lost and gained again has a new one.
pub type Token = u64;

/// A change of ownership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// Owned from now on. What its last owner has committed can be read.
    Gained { at: TopicPartition, token: Token },
    /// Another member should have it: stop claiming, drain for 10 s at most, commit, release.
    Losing { at: TopicPartition, token: Token },
    /// Perhaps lost: nothing may be begun for it until a commit of it is acknowledged again.
    Uncertain { at: TopicPartition, token: Token },
    /// Lost already: nothing may be committed or begun for it.
    Lost { at: TopicPartition, token: Token },
}

/// A commit to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub at: TopicPartition,
    pub token: Token,
    /// Records below this are not needed any more.
    pub offset: Offset,
    /// ASCII, at most [`MAX_COMMIT_TEXT`] bytes.
    pub text: String,
}

/// Kafka's brokers accept 4,096 bytes of offset metadata by default.
pub const MAX_COMMIT_TEXT: usize = 3_500;

/// A commit that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub offset: Offset,
    pub text: String,
}

/// The result of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Written and durable.
    Done,
    /// Not written: the ownership has ended. A `Lost` for it may or may not follow.
    Refused,
    /// Perhaps written, now or later. Release the partition, and read its commit when it is gained again.
    Unknown(String),
}

/// The bounds of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The lowest offset that is not dropped.
    pub low_watermark: Offset,
    /// The offset that the next record will have: the log end offset.
    pub end: Offset,
}

/// A running process that has joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    pub owned: Vec<TopicPartition>,
}

/// Token buckets that all processes share, so that they keep a rate together exactly.
#[async_trait(?Send)]
pub trait Buckets {
    /// Takes up to `want` slots of each bucket that begin before now + `horizon`. A slot is an instant on the boot-time
    /// clock; no other request gets it. One answer for each request, in their order; all requests at once cost about as
    /// much as one.
    async fn take_slots(&self, requests: Vec<SlotRequest>) -> Result<Vec<Slots>, QueueError>;
}

/// A request to a token bucket (GCRA). Slots are at least `interval` apart, except that up to `burst - 1` may come early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotRequest {
    /// The bucket's name: `rate` for the whole queue, `relay/…`, `site/…`.
    pub bucket: String,
    pub want: u32,
    pub interval: Duration,
    pub burst: u32,
    /// Slots that begin later than this from now are not taken.
    pub horizon: Duration,
    /// Slots of earlier requests that nobody used, ascending. They are free again if no later one was taken.
    pub unused: Vec<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slots {
    /// Boot-time instants, ascending.
    pub at: Vec<Duration>,
    /// When the next free slot begins. A request earlier than `horizon` before it gets none.
    pub next: Duration,
}
