//! `mailq dlq`: lists, shows, replays, exports and purges dead letters.

mod change;
mod export;
mod filter;
mod list;
mod show;

use super::project::{self, OpenProject};
use super::{Exit, Failure, Global};
use crate::config::Flags;
use change::Change;
use filter::Filter;
use std::path::PathBuf;

/// List, show, replay, export or purge dead letters
#[derive(Debug, Clone, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Clone, clap::Subcommand)]
pub enum Verb {
    /// List dead letters
    List(Filter),
    /// Show a dead letter: its history and its message
    Show {
        /// Id of the letter, as `mailq dlq list` prints it
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Send dead letters again; without a filter, all except those in doubt
    ///
    /// A replay that is killed or repeated sends nothing twice. Letters in doubt need `--reason in_doubt`. Letters of
    /// an expired run are listed, not sent.
    Replay(Change),
    /// Write each message to a file, and a table of all letters
    Export {
        #[command(flatten)]
        filter: Filter,

        /// Target folder
        #[arg(long, value_name = "DIR", default_value = "dead-letters")]
        to: PathBuf,
    },
    /// Delete dead letters; needs a filter or `--all`
    Purge(Change),
}

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let project = OpenProject::open(global.load(None, Flags::default())?)?;
    project::block_on(async {
        match &args.verb {
            Verb::List(filter) => list::run(filter, global, &project).await,
            Verb::Show { id } => show::run(id, global, &project).await,
            Verb::Replay(change) => change::replay(change, global, &project).await,
            Verb::Export { filter, to } => export::run(filter, to, global, &project).await,
            Verb::Purge(change) => change::purge(change, global, &project).await,
        }
    })
}
