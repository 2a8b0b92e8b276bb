//! Progress and result of an enqueue.

use super::renaming::SameRun;
use crate::domain::ids::{RunId, RunKey};
use crate::domain::records::Tally;
use crate::recipients::{Counts, GarbledCell, RepeatedRow, RowError, Tidied};
use serde::Serialize;
use std::time::Duration;

/// The document of `enqueue --json`. The law of [`Tally`] holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EnqueueReport {
    pub campaign: String,
    pub run: String,
    pub key: RunKey,
    #[serde(flatten)]
    pub tally: Tally,
    /// What was left out of the list, besides rows.
    #[serde(flatten)]
    pub tidied: Tidied,
    /// Duplicates with other cells than the row that is mailed, unless that was said to be enough.
    pub differing: u64,
    pub elapsed_seconds: f64,
    /// The `duplicates` are rows in the mail of another row.
    #[serde(skip)]
    pub is_grouped: bool,
    /// The run was sealed by an earlier call or another process. The counts are those of its seal.
    pub already_enqueued: bool,
    /// Inputs that differ from those of the run that was sealed already.
    pub changed: Vec<String>,
    pub dry_run: bool,
    /// Batches of this run that an earlier call or another process wrote.
    pub batches_found: u64,
    /// Unsealed runs that were dropped for this one.
    pub dropped: Vec<String>,
    /// The file with the rejected rows.
    pub rejected_file: Option<String>,
    /// What other runs of the campaign have pending, if their recipients are left out. The caller looks it up.
    pub unsent: Vec<UnsentRun>,
}

/// A run with messages that are pending or retrying.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnsentRun {
    pub run: String,
    pub pending: u64,
    pub is_paused: bool,
}

impl EnqueueReport {
    pub fn new(id: &RunId, tally: Tally, elapsed: Duration) -> EnqueueReport {
        EnqueueReport {
            campaign: id.campaign.clone(),
            run: id.run.clone(),
            key: id.key(),
            tally,
            tidied: Tidied::default(),
            differing: 0,
            elapsed_seconds: elapsed.as_secs_f64(),
            is_grouped: false,
            already_enqueued: false,
            changed: Vec::new(),
            dry_run: false,
            batches_found: 0,
            dropped: Vec::new(),
            rejected_file: None,
            unsent: Vec::new(),
        }
    }
}

/// Progress, for messages and progress bars.
#[derive(Debug)]
pub enum EnqueueProgress<'a> {
    /// A row that `skip_invalid` leaves out. Reported for the first ten; the file of rejected rows has all.
    Rejected(&'a RowError),
    /// The first pass is complete.
    Surveyed(&'a Counts),
    /// The first cell of several rows, or of one, with text that was decoded wrongly before it came into the list.
    Garbled { first: &'a GarbledCell, rows: u64 },
    /// The first row that gets no mail because an earlier one has its address.
    Repeated(&'a RepeatedRow),
    /// A run of another campaign has the same list and content.
    Renamed(&'a SameRun),
    /// This unsealed run was dropped.
    Dropped(&'a str),
    /// What this earlier run had pending is cancelled.
    Cancelled(&'a str),
    /// Workers may still deliver for cancelled runs. `claimed`: messages that may be with a relay.
    Settling { claimed: usize, waited: Duration },
    /// An earlier call or another process wrote this many batches of the run.
    Continuing { batches_found: u64 },
    /// Rows written so far, and all rows.
    Rows { done: u64, of: u64 },
    /// This batch, counted from 0, is durable.
    Batch { batch: u64, of: u64 },
    /// The queue does not answer. The operation is retried.
    Waiting { why: &'a str },
}
