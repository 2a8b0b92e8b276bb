//! `mailq verify`: proves from events and queue that nobody is lost.

use super::{Exit, Failure, Global};

/// Prove that every recipient is accounted for
///
/// Counts the events and what is still queued, trusts no counter, and exits 1 when the sum does not hold.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Name of a campaign [default: all]
    #[arg(value_name = "CAMPAIGN")]
    pub campaign: Option<String>,
}

pub fn run(_args: &Args, _global: &Global) -> Result<Exit, Failure> {
    Err(Failure::usage("`mailq verify` is not wired"))
}
