//! `mailq run`: enqueue a campaign and work until its run is done. What cron calls.

use super::{Exit, Failure, Global, enqueue, send};
use std::path::PathBuf;

/// Enqueue a campaign, then send until it is done: what cron calls
///
/// A second one for the same campaign says so and exits 0. Without a terminal it prints what needs a person and one
/// closing line; -v for more.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The campaign file
    #[arg(value_name = "CAMPAIGN.toml")]
    pub source: PathBuf,

    #[command(flatten)]
    pub enqueue: enqueue::Options,

    #[command(flatten)]
    pub send: send::Options,
}

pub fn run(_args: &Args, _global: &Global) -> Result<Exit, Failure> {
    Err(Failure::usage("`mailq run` is not wired"))
}
