//! `mailq dlq`: dead letters, listed, shown, sent again, written out or thrown away.

mod change;
mod export;
mod filter;
mod list;
mod show;

use super::project::{self, OpenProject};
use super::{Exit, Failure, Global};
use crate::config::Flags;
use std::path::PathBuf;

/// List, show, send again, export or throw away dead letters
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
    /// Show one letter: its history and the message
    Show {
        /// The letter's id, as `list` prints it
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Send letters again, all but those in doubt where no filter is given
    ///
    /// Killed or repeated it sends nothing twice. Letters in doubt need `--reason in_doubt`; those of an expired run
    /// are named, not sent.
    Replay(Change),
    /// Write letters out as files, one message each
    Export {
        #[command(flatten)]
        filter: Filter,

        /// The folder to write to
        #[arg(long, value_name = "DIR", default_value = "dead-letters")]
        to: PathBuf,
    },
    /// Throw letters away; needs a filter or `--all`
    Purge(Change),
}

/// Which letters.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Filters")]
pub struct Filter {
    /// Of this campaign [default: all]
    #[arg(long, value_name = "NAME")]
    pub campaign: Option<String>,

    /// With this reason, as `list` prints it [default: all]
    #[arg(long, value_name = "REASON")]
    pub reason: Option<String>,

    /// With this class: temporary, soft or hard [default: all]
    #[arg(long, value_name = "CLASS", value_parser = ["temporary", "soft", "hard"])]
    pub class: Option<String>,

    /// For this provider, a domain [default: all]
    #[arg(long, value_name = "SITE")]
    pub site: Option<String>,

    /// That died since then: a time, or a duration back from now like 2h or 7d [default: all]
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,

    /// With this id; may be given several times [default: all]
    #[arg(long, value_name = "ID")]
    pub id: Vec<String>,
}

#[derive(Debug, Clone, clap::Args)]
pub struct Change {
    #[command(flatten)]
    pub filter: Filter,

    /// All letters
    #[arg(long)]
    pub all: bool,

    /// Say what would be done, change nothing
    #[arg(long)]
    pub dry_run: bool,
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
