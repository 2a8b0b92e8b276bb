//! `mailq recipients`: what became of each recipient, as CSV.

use super::{Exit, Failure, Global};

/// Print what became of each recipient as CSV: address, state, reply, when, attempts
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Name of the campaign
    #[arg(value_name = "CAMPAIGN")]
    pub campaign: String,

    /// Only these states, separated by commas: delivered, bounced, dead, suppressed, expired, cancelled, in_doubt, retrying, pending [default: all]
    #[arg(long, value_name = "STATE,…", value_delimiter = ',', value_parser = STATES)]
    pub state: Vec<String>,

    /// The run [default: the newest]
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,

    /// Print the rows of the recipients CSV as they were, the list to send again [default: states]
    #[arg(long)]
    pub rows: bool,
}

const STATES: [&str; 9] = [
    "delivered",
    "bounced",
    "dead",
    "suppressed",
    "expired",
    "cancelled",
    "in_doubt",
    "retrying",
    "pending",
];

pub fn run(_args: &Args, _global: &Global) -> Result<Exit, Failure> {
    Err(Failure::usage("`mailq recipients` is not wired"))
}
