//! What an enqueue tells while it works and at its end.

use crate::domain::ids::{RunId, RunKey};
use crate::domain::records::Tally;
use crate::recipients::{Counts, RowError};
use serde::Serialize;
use std::time::Duration;

/// The document of `enqueue --json`. Law: `recipients = enqueued + duplicates + invalid + suppressed`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EnqueueReport {
    pub campaign: String,
    pub run: String,
    pub key: RunKey,
    #[serde(flatten)]
    pub tally: Tally,
    pub elapsed_seconds: f64,
    /// The run was sealed before, or by another process meanwhile; the counts are those of its seal.
    pub already_enqueued: bool,
    /// Parts of the inputs that differ from those of the run that was sealed already.
    pub changed: Vec<String>,
    pub dry_run: bool,
    /// Batches of this run that an earlier call or another process had written.
    pub batches_found: u64,
    /// Unsealed runs that were dropped for this one.
    pub dropped: Vec<String>,
    /// Rows that were left out are in this file.
    pub rejected_file: Option<String>,
}

impl EnqueueReport {
    pub fn new(id: &RunId, tally: Tally, elapsed: Duration) -> EnqueueReport {
        EnqueueReport {
            campaign: id.campaign.clone(),
            run: id.run.clone(),
            key: id.key(),
            tally,
            elapsed_seconds: elapsed.as_secs_f64(),
            already_enqueued: false,
            changed: Vec::new(),
            dry_run: false,
            batches_found: 0,
            dropped: Vec::new(),
            rejected_file: None,
        }
    }
}

/// Something happened that a person or a progress bar may want to know.
#[derive(Debug)]
pub enum EnqueueProgress<'a> {
    /// A bad row that `skip_invalid` leaves out; the first ten are told, all are in the file of rejected rows.
    Rejected(&'a RowError),
    /// The whole file has been read and checked.
    Surveyed(&'a Counts),
    /// An unsealed run is void from now on.
    Dropped(&'a str),
    /// The run was begun before: as many of its batches are there.
    Continuing { batches_found: u64 },
    /// Rows in the queue so far, of all.
    Rows { done: u64, of: u64 },
    /// A batch is durable. Counted from 0.
    Batch { batch: u64, of: u64 },
    /// The queue does not answer; tried again in a while.
    Waiting { why: &'a str },
}
