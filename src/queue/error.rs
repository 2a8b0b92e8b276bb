//! What a queue can fail with.

use crate::domain::ids::Offset;
use crate::domain::topic::{Topic, TopicPartition};

/// What a queue can fail with. `Display` is the message; commands choose the hint by the variant.
///
/// `Away` and `Unknown` pass by themselves: the same request may succeed later. All others need a person or, for
/// `Broken`, `Gone` and `NoThread`, another process.
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
    /// Nothing was done, and the request may be made again.
    #[error("queue `{path}` is not available: {what}")]
    Away { path: String, what: String },
    /// The path leads to another file or to none: what this process writes, nobody else reads.
    #[error("queue `{path}` is no longer the file that this process has open: {what}")]
    Gone { path: String, what: String },
    /// This process owns nothing any more and can neither append nor read; a new one can.
    #[error("this process can no longer use queue `{path}`: {what}")]
    Broken { path: String, what: String },
    #[error("cannot start a thread for the queue: {0}")]
    NoThread(String),
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
    /// `what` names the missing right.
    #[error("`{url}` denied access: {what}")]
    Denied { url: String, what: String },
    /// The result is not known: what was asked for may have been done or may still be done later.
    #[error("the queue did not answer: {0}")]
    Unknown(String),
}
