//! What reading the accounts can fail with.

use super::letter::LetterError;
use crate::domain::ids::RunKey;
use crate::domain::topic::TopicPartition;
use crate::protocol::TextError;
use crate::protocol::ledger::LedgerError;
use crate::queue::QueueError;
use crate::queue::chunk::ChunkError;
use std::path::Path;

#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the commit of {at} cannot be read: {error}")]
    Text {
        at: TopicPartition,
        error: TextError,
    },
    #[error(transparent)]
    Letter(#[from] LetterError),
    #[error("letters of `{run}` cannot be packed: {error}")]
    Chunk { run: String, error: ChunkError },
    #[error("event {offset} of {at} cannot be read: {what}")]
    Event {
        at: TopicPartition,
        offset: u64,
        what: String,
    },
    /// What does not fit into memory could not be written or read back.
    #[error("temporary file in `{folder}`: {error}")]
    Scratch {
        folder: String,
        error: std::io::Error,
    },
    #[error("the progress of run {run} in {at} cannot be read: {what}")]
    Left {
        run: RunKey,
        at: TopicPartition,
        what: String,
    },
    #[error("run {run} has no manifest in the campaign topic")]
    NoManifest { run: RunKey },
    #[error("replay `{run}` is incomplete: {found} of {expected} parts found")]
    Pieces {
        run: String,
        found: usize,
        expected: u32,
    },
    #[error("record cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("campaign `{0}` has no run in this queue")]
    NoCampaign(String),
    #[error("no letter `{0}` in the dlq")]
    NoLetter(String),
}

impl AccountError {
    /// A commit refers to a base that the ledger does not have.
    pub fn is_missing_base(&self) -> bool {
        let AccountError::Text { error, .. } = self else {
            return false;
        };
        matches!(error, TextError::NoBase(_))
    }

    /// `folder`: where the temporary file is.
    pub fn scratch(folder: &Path, error: std::io::Error) -> AccountError {
        AccountError::Scratch {
            folder: folder.display().to_string(),
            error,
        }
    }
}
