//! `mailq preview`: one recipient's message as it would be sent.

use super::{Exit, Failure, Global};
use std::path::PathBuf;

/// Print one recipient's message as it would be sent
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The campaign file
    #[arg(value_name = "CAMPAIGN.toml")]
    pub campaign: PathBuf,

    /// Row of the recipients CSV, the first below the header is 1
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub row: u64,
}

pub fn run(_args: &Args, _global: &Global) -> Result<Exit, Failure> {
    Err(Failure::usage("`mailq preview` is not wired"))
}
