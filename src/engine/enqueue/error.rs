//! Errors of enqueue. Only sealed runs are sent, so it is safe to call enqueue again after any of them.

use super::queue_retry::is_transient;
use super::renaming::SameRun;
use crate::domain::ids::{Partition, RunKey};
use crate::engine::read_model::AccountError;
use crate::protocol::ledger::LedgerError;
use crate::queue::QueueError;
use crate::queue::chunk::ChunkError;
use crate::recipients::RecipientsError;
use crate::render::{RenderError, TemplateError};

/// A run of the campaign that prevents this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherRun {
    pub run: String,
    /// To look up how many messages it delivered.
    pub key: RunKey,
    /// Inputs that differ: `campaign`, `limit`, `recipients`, `templates`.
    pub changed: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EnqueueError {
    #[error(transparent)]
    Recipients(#[from] RecipientsError),
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The message of a row cannot be made. The run stays unsealed.
    #[error("{0}; nothing of this run was sent")]
    Render(RenderError),
    /// Like `Render`, in a streamed run whose earlier batches are sealed.
    #[error("{0}; the batches sealed before it are being sent")]
    RenderAfterSeal(RenderError),
    #[error("{recipients}:{line}: the message does not fit into the queue: {what}")]
    Chunk {
        recipients: String,
        line: u64,
        what: ChunkError,
    },
    #[error("campaign `{campaign}` is already enqueued as run `{}` with different inputs (changed: {})", .other.run, .other.changed.join(", "))]
    OtherInputs { campaign: String, other: OtherRun },
    /// Everybody would get the mail again.
    #[error("campaign `{campaign}` may be a renamed one: {same}; nothing was enqueued")]
    Renamed { campaign: String, same: SameRun },
    #[error("run `{run}` of campaign `{campaign}` was cancelled; nothing was enqueued")]
    Cancelled { campaign: String, run: String },
    #[error(
        "run `{run}` of campaign `{campaign}` was cancelled while it was enqueued; nothing more of it is sent"
    )]
    CancelledMeanwhile { campaign: String, run: String },
    #[error(
        "run `{run}` of campaign `{campaign}` was dropped while it was enqueued ({why}); nothing of it is sent"
    )]
    DroppedMeanwhile {
        campaign: String,
        run: String,
        why: String,
    },
    #[error(
        "another process is enqueueing run `{run}` of campaign `{campaign}` with different inputs (changed: {})", .changed.join(", ")
    )]
    Busy {
        campaign: String,
        run: String,
        changed: Vec<String>,
    },
    #[error("run `{run}` was started with {begun} partitions, but the queue has {found}")]
    Partitions {
        run: String,
        begun: usize,
        found: Partition,
    },
    /// `batch`: the first one that is not durable. The `safe_batches` before it need not be enqueued again.
    #[error("{cause}; batch {batch} was not enqueued, {safe_batches} batches are stored")]
    QueueAway {
        batch: u64,
        safe_batches: u64,
        cause: QueueError,
    },
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// `--only-new` and `--replace` need to know what became of everybody in earlier runs.
    #[error(
        "it cannot be found out whom earlier runs of this campaign have: {what}; nothing was enqueued"
    )]
    Earlier { what: String },
    /// Its events are not kept any more.
    #[error(
        "it is not known any more to whom run `{run}` of campaign `{campaign}` was delivered, because its events were deleted by their age; nothing was enqueued"
    )]
    TooOld { campaign: String, run: String },
    /// Whom it will have is not known before it is complete.
    #[error(
        "run `{run}` of campaign `{campaign}` is still being enqueued (`--stream`); nothing was enqueued"
    )]
    Incomplete { campaign: String, run: String },
    #[error("cannot start a thread: {0}")]
    Thread(String),
    #[error("the operating system provides no random numbers")]
    Random,
}

impl From<AccountError> for EnqueueError {
    fn from(error: AccountError) -> EnqueueError {
        match error {
            AccountError::Queue(error) => EnqueueError::Queue(error),
            AccountError::Ledger(error) => EnqueueError::Ledger(error),
            other => EnqueueError::Earlier {
                what: other.to_string(),
            },
        }
    }
}

impl EnqueueError {
    /// Whether the same call may succeed later, without any change.
    pub fn is_temporary(&self) -> bool {
        match self {
            EnqueueError::QueueAway { .. }
            | EnqueueError::Busy { .. }
            | EnqueueError::Thread(_) => true,
            EnqueueError::Queue(error) => is_transient(error),
            _ => false,
        }
    }
}
