//! What `recover` is asked, and what it answers.

use crate::clock::Clock;
use crate::domain::ids::{Row, serialize_shown_row};
use crate::domain::site::Sites;
use crate::domain::topic::TopicPartition;
use crate::engine::read_model::AccountError;
use crate::queue::{MAX_COMMIT_TEXT, Queue, QueueError};
use serde::Serialize;
use std::path::Path;

/// How it is done.
pub struct Recovery<'a> {
    pub queue: &'a dyn Queue,
    pub clock: &'a dyn Clock,
    /// Of the worker that owns the partitions while they are repaired; unique among running workers.
    pub name: String,
    /// Which domains are one site.
    pub sites: &'a Sites,
    /// Leave the checkpoints alone and read every run from its start.
    pub to_earliest: bool,
    /// Change nothing.
    pub dry_run: bool,
    /// A folder for temporary files, about 50 bytes an event of one partition; nothing stays in it.
    pub folder: &'a Path,
}

/// The JSON of `recover --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recovered {
    pub partitions: Vec<RebuiltPartition>,
    /// May have been with a relay when the last workers were killed, and are sent again, unless the campaign says that
    /// they are held: each is named by an event when the next worker starts.
    pub may_get_twice: Vec<PossibleDuplicate>,
    /// Of these no more than so many were.
    pub at_most: u64,
    /// Records that cannot be read, a line each: what they say is not known, so that somebody may get a mail twice who
    /// is not named.
    pub unreadable: Vec<String>,
    pub dry_run: bool,
}

/// One partition, and what it was rebuilt from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RebuiltPartition {
    pub partition: String,
    /// RFC 3339 of the checkpoint that it goes on from; `None`: from its start.
    pub checkpoint: Option<String>,
    /// The last worker known to have owned it.
    pub worker: String,
    /// Messages that are done by the events.
    pub found_done: u64,
    pub may_get_twice: u64,
}

/// A message that may have been with a relay and is sent again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PossibleDuplicate {
    pub campaign: String,
    pub run: String,
    #[serde(serialize_with = "serialize_shown_row")]
    pub row: Row,
    pub address: String,
    pub message_id: String,
}

#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    #[error("worker `{0}` is running on this queue; nothing was changed")]
    AtWork(String),
    #[error("{0} was assigned to another worker meanwhile; it was not changed")]
    Taken(TopicPartition),
    #[error(
        "the rebuilt commit of {at} has {bytes} characters (at most {MAX_COMMIT_TEXT}); the partition was not changed"
    )]
    TooLong { at: TopicPartition, bytes: usize },
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl From<QueueError> for RecoverError {
    fn from(error: QueueError) -> RecoverError {
        RecoverError::Account(error.into())
    }
}
