//! `mailq test`: one message of a campaign, sent to yourself through the relay, without the queue.

use super::{Exit, Failure, Global};
use std::path::PathBuf;

/// Send one recipient's message to an address of yours
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The campaign file
    #[arg(value_name = "CAMPAIGN.toml")]
    pub campaign: PathBuf,

    /// Where it goes instead
    #[arg(long, value_name = "ADDRESS", required = true)]
    pub to: String,

    /// Row of the recipients CSV, the first below the header is 1
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub row: u64,
}

pub fn run(_args: &Args, _global: &Global) -> Result<Exit, Failure> {
    Err(Failure::usage("`mailq test` is not wired"))
}
