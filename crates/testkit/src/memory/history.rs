//! Every commit that was written, and the end of each ownership: what a simulation checks its workers by.

use super::members::ProcessId;
use mailq::domain::ids::Offset;
use mailq::domain::topic::TopicPartition;
use mailq::queue::Token;
use std::time::Duration;

/// A commit that was written. Times are of the log's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenCommit {
    pub process: ProcessId,
    pub at: TopicPartition,
    pub token: Token,
    pub sent_at: Duration,
    pub written_at: Duration,
    pub offset: Offset,
    pub text: String,
}

/// The end of one ownership by release or revocation. No commit with its token is written afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedOwnership {
    pub process: ProcessId,
    pub at: TopicPartition,
    pub token: Token,
    pub ended_at: Duration,
}

/// Both in the order in which they happened.
#[derive(Debug, Clone, Default)]
pub struct History {
    pub commits: Vec<WrittenCommit>,
    pub ended: Vec<EndedOwnership>,
}
