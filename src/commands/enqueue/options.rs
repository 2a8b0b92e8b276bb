//! Flags of `enqueue`, which `run` takes as well.

use crate::commands::project::ConnectOptions;
use crate::domain::span;
use crate::recipients;
use std::path::PathBuf;
use std::time::Duration;

/// What `run` takes as well.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Enqueue options")]
pub struct Options {
    /// The campaign file [default: the .toml of the CSV's stem beside it]
    #[arg(long, value_name = "FILE")]
    pub campaign: Option<PathBuf>,

    /// Name of the run; another name means another mail to everyone [default: the inputs' fingerprint, or the period of `once_per`]
    #[arg(long, value_name = "ID", value_parser = crate::config::checked_name)]
    pub run: Option<String>,

    /// Rows after which progress is stored
    #[arg(long, value_name = "ROWS", default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub batch_size: u64,

    /// Take the first N rows only [default: all rows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,

    /// Write bad rows to `<stem>.rejected.csv` and go on [default: a bad row stops before anything is queued]
    #[arg(long)]
    pub skip_invalid: bool,

    /// Send nothing before this: RFC 3339, `2026-12-01 09:00` or `09:00` (the next), host's time zone [default: at once]
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,

    /// Let each batch go as soon as it is stored [default: nothing goes before the last row is stored]
    #[arg(long)]
    pub stream: bool,

    /// How long to wait for a queue that is busy or away
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = span::parse)]
    pub queue_timeout: Duration,

    /// Keep trying while the queue is busy or away, however long [default: give up after --queue-timeout]
    #[arg(long)]
    pub wait: bool,

    /// Check and render everything, store nothing
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
