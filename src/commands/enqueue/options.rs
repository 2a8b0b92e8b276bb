//! Flags of `enqueue`, which `run` takes as well.

use crate::commands::project::ConnectOptions;
use crate::domain::duration;
use crate::engine::enqueue::EarlierRuns;
use crate::recipients;
use std::path::PathBuf;
use std::time::Duration;

/// What `run` takes as well.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Enqueue options")]
pub struct Options {
    /// Campaign file [default: the name of the CSV with .toml]
    #[arg(long, value_name = "FILE")]
    pub campaign: Option<PathBuf>,

    /// Run name; a new name sends to everybody again [default: fingerprint of the inputs, or the period of `once_per`]
    #[arg(long, value_name = "ID", value_parser = crate::config::checked_name)]
    pub run: Option<String>,

    /// Rows per batch; progress is stored after each batch
    #[arg(long, value_name = "ROWS", default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub batch_size: u64,

    /// Only the first N rows [default: all rows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,

    /// Write invalid rows to `<stem>.rejected.csv` and enqueue the rest [default: an invalid row stops enqueue before anything is stored]
    #[arg(long)]
    pub skip_invalid: bool,

    /// Leave out everybody to whom an earlier run of the campaign delivered, may have delivered, or still has to deliver
    #[arg(long, conflicts_with = "stream")]
    pub only_new: bool,

    /// Cancel what earlier runs of the campaign still have pending, then do the same as with --only-new
    #[arg(long, conflicts_with_all = ["stream", "only_new"])]
    pub replace: bool,

    /// Start sending at this time: RFC 3339, `2026-12-01 09:00`, `2026-12-01T09:00:00`, or `09:00` (today or tomorrow), in the host's time zone [default: at once]
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,

    /// Send each batch as soon as it is stored [default: send nothing before the last row is stored]
    #[arg(long)]
    pub stream: bool,

    /// How long to wait for a queue that is busy or unavailable
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse)]
    pub queue_timeout: Duration,

    /// Wait for the queue without a limit [default: give up after --queue-timeout]
    #[arg(long)]
    pub wait: bool,

    /// Check and render everything, but store nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl Options {
    /// How the queue is opened. `role` is the command.
    pub fn connect(&self, role: &'static str) -> ConnectOptions {
        ConnectOptions {
            role,
            instance_id: None,
            queue_timeout: self.longest_wait(),
            repeats: true,
        }
    }

    pub fn earlier(&self) -> EarlierRuns {
        match (self.replace, self.only_new) {
            (true, _) => EarlierRuns::Cancel,
            (false, true) => EarlierRuns::LeaveOut,
            (false, false) => EarlierRuns::Forbid,
        }
    }

    /// `None`: wait for ever.
    pub fn longest_wait(&self) -> Option<Duration> {
        (!self.wait).then_some(self.queue_timeout)
    }

    /// How the list is read.
    pub fn reading(&self) -> recipients::Options {
        recipients::Options {
            skip_invalid: self.skip_invalid,
            limit: self.limit,
            ..Default::default()
        }
    }
}
