//! Flags of a worker: those that `send` and `run` share.

use crate::config::{Flags, RelayKeys, SendKeys};
use crate::domain::duration;
use crate::domain::rate::Rate;
use std::time::Duration;

/// What `run` takes as well.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Send options")]
pub struct Options {
    #[arg(long, value_name = "RATE", help = SendKeys::rate().flag_help())]
    pub rate: Option<Rate>,

    #[arg(long, value_name = "N", help = SendKeys::burst().flag_help(),
        value_parser = clap::value_parser!(u32).range(SendKeys::burst().range()))]
    pub burst: Option<u32>,

    #[arg(long, value_name = "URL", help = RelayKeys::url().flag_help())]
    pub relay: Option<String>,

    #[arg(long, value_name = "N", help = SendKeys::connections().flag_help(),
        value_parser = clap::value_parser!(u32).range(SendKeys::connections().range()))]
    pub connections: Option<u32>,

    #[arg(long, value_name = "K", help = SendKeys::max_uncommitted().flag_help(),
        value_parser = clap::value_parser!(u32).range(SendKeys::max_uncommitted().range()))]
    pub max_uncommitted: Option<u32>,

    /// Worker name, unique among running workers [default: host and process id]
    #[arg(long, value_name = "ID")]
    pub instance_id: Option<String>,

    /// Stop with exit code 75 if the next message is due later than this, or if no relay has been available, or other workers have held the rest without progress, for this long [default: wait]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub max_wait: Option<Duration>,
}

impl Options {
    /// The rate in force is this worker's as long as it runs.
    pub fn sets_rate(&self) -> bool {
        self.rate.is_some() || self.burst.is_some()
    }

    pub fn flags(&self) -> Flags {
        Flags::default()
            .set(SendKeys::rate(), self.rate)
            .set(SendKeys::burst(), self.burst)
            .set(RelayKeys::url(), self.relay.as_ref())
            .set(SendKeys::connections(), self.connections)
            .set(SendKeys::max_uncommitted(), self.max_uncommitted)
    }
}
