//! `mailq events`: every outcome, one JSON document a line.

use super::{Exit, Failure, Global};

/// Print every outcome as JSON lines
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Go on with new ones until interrupted
    #[arg(long)]
    pub follow: bool,

    /// Only this campaign's [default: all]
    #[arg(long, value_name = "NAME")]
    pub campaign: Option<String>,

    /// Only this type: delivered, deferred, bounced, dead, suppressed, expired, cancelled, in_doubt [default: all]
    #[arg(long = "type", value_name = "TYPE", value_parser = TYPES)]
    pub event_type: Option<String>,
}

const TYPES: [&str; 8] = [
    "delivered",
    "deferred",
    "bounced",
    "dead",
    "suppressed",
    "expired",
    "cancelled",
    "in_doubt",
];

pub fn run(_args: &Args, _global: &Global) -> Result<Exit, Failure> {
    Err(Failure::usage("`mailq events` is not wired"))
}
