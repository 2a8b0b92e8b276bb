//! `mailq suppress`: addresses that are never mailed.

use super::{Exit, Failure, Global};
use std::path::PathBuf;

/// Keep the list of addresses that are never mailed
#[derive(Debug, Clone, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Clone, clap::Subcommand)]
pub enum Verb {
    /// Never mail these addresses again
    Add {
        /// E-mail addresses
        #[arg(value_name = "ADDRESS", required = true)]
        addresses: Vec<String>,

        /// Why, for whoever looks later
        #[arg(long, value_name = "TEXT", default_value = "manual")]
        reason: String,
    },
    /// Allow these addresses again
    Remove {
        /// E-mail addresses
        #[arg(value_name = "ADDRESS", required = true)]
        addresses: Vec<String>,
    },
    /// Add every address of a CSV
    Import {
        /// A CSV with a column `email`, and `reason` where there is one
        #[arg(value_name = "FILE.csv")]
        file: PathBuf,
    },
    /// Print the list as CSV: email, reason, source, since
    Export,
    /// Show the list
    List,
    /// Say whether addresses are on the list; exit code 1 where one is
    Check {
        /// E-mail addresses
        #[arg(value_name = "ADDRESS", required = true)]
        addresses: Vec<String>,
    },
}

pub fn run(_args: &Args, _global: &Global) -> Result<Exit, Failure> {
    Err(Failure::usage("`mailq suppress` is not wired"))
}
