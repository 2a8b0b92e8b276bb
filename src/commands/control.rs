//! `mailq pause`, `mailq resume`, `mailq cancel`: workers act on them within 2 s.

use super::{Exit, Failure, Global};

/// What is to become of a campaign's runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Pause,
    Resume,
    /// Final.
    Cancel,
}

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Name of the campaign
    #[arg(value_name = "CAMPAIGN")]
    pub campaign: String,
}

pub fn run(verb: Verb, _args: &Args, _global: &Global) -> Result<Exit, Failure> {
    Err(Failure::usage(format!("{verb:?} is not wired")))
}
