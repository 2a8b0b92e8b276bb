//! The queue's contract: a small partitioned log in the shape of Kafka's. What every implementation promises is
//! written here and nowhere else, and `tests/queue_contract.rs` holds each of them to it.

pub mod chunk;
#[cfg(feature = "kafka")]
pub mod kafka;
mod metric;
pub mod record;
pub mod slots;
pub mod sqlite;

use crate::domain::ids::{Offset, Partition};
use crate::domain::topic::{Topic, TopicPartition};
use async_trait::async_trait;
pub use metric::Metric;
pub use record::{Record, Stored};
use std::rc::Rc;
use std::time::Duration;

/// A handle on a queue. One per process; cheap to clone behind its `Rc`.
#[async_trait(?Send)]
pub trait Queue {
    /// For messages: `sqlite:/path/queue.db`.
    fn url(&self) -> String;

    /// Partitions of send and of every retry tier; the event and dlq topics have as many, campaign and suppression one.
    fn partitions(&self) -> Partition;

    /// Creates what is missing of these topics. Idempotent.
    async fn create_topics(&self, topics: &[Topic]) -> Result<(), QueueError>;

    /// Topics that exist, among them retry tiers that the configuration no longer names.
    async fn topics(&self) -> Result<Vec<Topic>, QueueError>;

    /// The same with how they are kept, and what is not as it must be.
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
    /// then in the log once. Dropping the future is an error of unknown result.
    ///
    /// Errors: after any of them some of the records may be in the log. After `Unknown` the others may still land, once
    /// each and at any later time, also after records that are appended later. So an append that is repeated leaves
    /// copies, and whoever repeats one must be able to tell a copy from a new record: by a row, a move number, a rank,
    /// or a key that is drawn anew for each attempt where the first record of a key counts.
    async fn append(
        &self,
        at: TopicPartition,
        records: Vec<Record>,
    ) -> Result<Vec<Offset>, QueueError>;

    /// Records at or above `from`, in order, at least one if there is one, up to about `max_bytes`.
    /// Compaction and dropping leave gaps in offsets. Below the low watermark: `QueueError::BelowLowWatermark`, except for
    /// compacted topics, where reading starts at what there is.
    async fn fetch(
        &self,
        at: TopicPartition,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, QueueError>;

    /// The lowest offset not dropped, and the offset that the next append will have.
    async fn bounds(&self, at: TopicPartition) -> Result<Bounds, QueueError>;

    /// Any partition's last commit, whoever owns it, in one request.
    async fn committed(&self, at: &[TopicPartition]) -> Result<Vec<Option<Committed>>, QueueError>;

    /// Whether commits are forgotten some time after the last member left. A partition without a commit may then have
    /// had one; of those that keep commits it was never owned.
    fn commits_expire(&self) -> bool;

    /// Drops everything below an offset, in steps short enough that nobody waits for it. Idempotent.
    async fn drop_below(&self, at: TopicPartition, offset: Offset) -> Result<(), QueueError>;

    /// Becomes a member: from now on partitions are given to this process. `name` is unique among the living.
    async fn join(&self, name: &str) -> Result<Rc<dyn Membership>, QueueError>;

    /// Members that are alive, for `status`.
    async fn members(&self) -> Result<Vec<Member>, QueueError>;

    /// `None`: there are no buckets for all processes, and workers share every limit out among themselves.
    fn buckets(&self) -> Option<&dyn Buckets> {
        None
    }

    /// What it tells of itself, for metrics.
    fn metrics(&self) -> Vec<Metric> {
        Vec::new()
    }
}

/// How a topic is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicState {
    pub topic: Topic,
    pub partitions: Partition,
    /// Copies on different brokers.
    pub replication: usize,
    pub drift: Vec<Drift>,
}

/// A topic's setting that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    pub key: String,
    pub wanted: String,
    pub found: String,
}

/// A process's place among those that share the partitions.
#[async_trait(?Send)]
pub trait Membership {
    /// How long ownership lasts without contact. Claims are valid for two thirds of it.
    fn lease(&self) -> Duration;

    /// The next change of what is owned; waits for one.
    async fn changed(&self) -> Ownership;

    /// Replaces the commits of owned partitions, each atomically, durable when it resolves; in the order given, one
    /// outcome for each. Judged where it is written: refused when ownership is gone, whatever this process believes.
    async fn commit(&self, commits: Vec<Commit>) -> Vec<CommitOutcome>;

    /// Gives a partition up, after its last commit. Also the answer to `Losing`.
    async fn release(&self, at: TopicPartition, token: Token);

    /// Releases everything and stops being a member.
    async fn leave(&self);
}

/// Names one ownership of one partition by one member; a partition lost and gained again has another.
pub type Token = u64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    Gained {
        at: TopicPartition,
        token: Token,
    },
    /// Somebody else should have it: stop claiming, drain (10 s at most), commit, release.
    Losing {
        at: TopicPartition,
        token: Token,
    },
    /// Perhaps gone: nothing may be begun for it before a commit of it is acknowledged again.
    Uncertain {
        at: TopicPartition,
        token: Token,
    },
    /// Gone already; nothing may be committed or begun for it.
    Lost {
        at: TopicPartition,
        token: Token,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub at: TopicPartition,
    pub token: Token,
    /// Records below are not needed any more.
    pub offset: Offset,
    /// ASCII, at most [`MAX_COMMIT_TEXT`] bytes.
    pub text: String,
}

/// Kafka takes 4,096 bytes of offset metadata by default.
pub const MAX_COMMIT_TEXT: usize = 3_500;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub offset: Offset,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    Done,
    /// Not owner any more; the old text stands.
    Refused,
    /// Perhaps done, perhaps done later: ownership must be gained anew before anything else is believed.
    Unknown(String),
}

/// What there is of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The lowest offset that is not dropped.
    pub low_watermark: Offset,
    /// The offset that the next record will have: the log end offset.
    pub end: Offset,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    pub owned: Vec<TopicPartition>,
}

/// Rates for all processes together, exactly.
#[async_trait(?Send)]
pub trait Buckets {
    /// Takes up to `want` slots of a bucket that begin before `now + horizon`. Slots are instants on the boot-time
    /// clock.
    async fn take_slots(&self, request: SlotRequest) -> Result<Slots, QueueError>;
}

/// One bucket of GCRA: slots are at least `interval` apart, but for `burst - 1` that may come early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotRequest {
    /// The bucket's name: `rate` for the whole queue, `relay/…`, `site/…`.
    pub bucket: String,
    pub want: u32,
    pub interval: Duration,
    pub burst: u32,
    /// Slots that begin later than this from now are left to whoever asks next.
    pub horizon: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slots {
    /// Boot-time instants, ascending.
    pub at: Vec<Duration>,
    /// When the next free slot begins: no use asking earlier than `horizon` before it.
    pub next: Duration,
}

/// What a queue can fail with. Text for people comes from `Display`, hints from the variant.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum QueueError {
    #[error("no queue at `{0}`")]
    Missing(String),
    #[error("queue `{path}` was written by a newer mailq (format {found}, this one knows {known})")]
    Newer {
        path: String,
        found: i64,
        known: i64,
    },
    #[error(
        "queue `{path}` was created with another project key (fingerprint {found}, this project's key has {expected})"
    )]
    OtherKey {
        path: String,
        found: String,
        expected: String,
    },
    #[error("queue `{path}` is damaged: {what}")]
    Damaged { path: String, what: String },
    #[error("no space left for queue `{path}`")]
    Full { path: String },
    #[error("queue `{path}` is not available: {what}")]
    Away { path: String, what: String },
    /// This process has lost its ownership and can do nothing any more; another one can.
    #[error("this process can no longer use queue `{path}`: {what}")]
    Broken { path: String, what: String },
    #[error("offset {offset} of {at} is below the low watermark {low_watermark}")]
    BelowLowWatermark {
        at: TopicPartition,
        offset: Offset,
        low_watermark: Offset,
    },
    #[error("topic `{0}` does not exist")]
    NoTopic(Topic),
    #[error("record {offset} of {at} cannot be read: {what}")]
    BadRecord {
        at: TopicPartition,
        offset: Offset,
        what: String,
    },
    #[error("a record of {bytes} bytes is too large for topic `{topic}` (at most {limit})")]
    TooLarge {
        topic: Topic,
        bytes: usize,
        limit: usize,
    },
    #[error("setting `{name}` of the queue is refused: {why}")]
    Setting { name: String, why: String },
    #[error("`{url}` refused our login: {what}; nothing was done")]
    Login { url: String, what: String },
    /// `what` names the right that is missing.
    #[error("`{url}` denied access: {what}")]
    Denied { url: String, what: String },
    /// The result is not known: the record may land later.
    #[error("the queue did not answer: {0}")]
    Unknown(String),
}
