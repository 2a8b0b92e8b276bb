//! `mailq status`, and `mailq` alone: what is in the queue and where it stands.

use super::{Exit, Failure, Global};

/// Show what is in the queue: counts, retry tiers, rate and estimate
///
/// `mailq` alone is the same.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Args {
    /// Name of a campaign [default: all]
    #[arg(value_name = "CAMPAIGN")]
    pub campaign: Option<String>,

    /// Show it again every second until interrupted
    #[arg(long)]
    pub watch: bool,
}

pub fn run(_args: &Args, _global: &Global) -> Result<Exit, Failure> {
    Err(Failure::usage("`mailq status` is not wired"))
}
