//! `mailq check`: everything that can be wrong with a campaign, before anything is queued.

use super::{Exit, Failure, Global};
use std::path::PathBuf;

/// Check a campaign before sending: settings, list and templates, and the relay with --relay
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The campaign file
    #[arg(value_name = "CAMPAIGN.toml")]
    pub campaign: PathBuf,

    /// Connect to each relay as well: TLS, login, what it offers
    #[arg(long)]
    pub relay: bool,
}

pub fn run(_args: &Args, _global: &Global) -> Result<Exit, Failure> {
    Err(Failure::usage("`mailq check` is not wired"))
}
