//! `mailq bounce`: explain and test how replies are classified.

use super::{Exit, Failure, Global};
use std::path::PathBuf;

/// Explain and test how a server's replies are understood
#[derive(Debug, Clone, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    pub verb: Verb,

    /// A TOML file of rules [default: those built in]
    #[arg(long, global = true, value_name = "FILE")]
    pub bounce_rules: Option<PathBuf>,
}

#[derive(Debug, Clone, clap::Subcommand)]
pub enum Verb {
    /// Say what a reply means, and which rule says so
    Explain {
        /// The reply: "550 5.1.1 user unknown"
        #[arg(value_name = "REPLY")]
        reply: String,
    },
    /// Classify reply lines: prints reply, class, reason and scope, separated by tabs
    Classify {
        /// A file of replies, one a line; `-` is stdin
        #[arg(value_name = "FILE|-")]
        file: PathBuf,
    },
    /// Compare with expected classes and print the accuracy
    Test {
        /// Lines of reply, tab, expected class
        #[arg(value_name = "FILE.tsv")]
        file: PathBuf,
    },
}

pub fn run(_args: &Args, _global: &Global) -> Result<Exit, Failure> {
    Err(Failure::usage("`mailq bounce` is not wired"))
}
