//! `mailq status`, and `mailq` without a command: the state of the queue.

mod view;

use super::project::{self, OpenProject};
use super::{Exit, Failure, Global, lookup, output};
use crate::clock::Clock;
use crate::config::Flags;
use crate::engine::account::{self, Status};
use std::io::IsTerminal;
use std::pin::pin;
use std::time::Duration;

/// Show the queue: counts, retry tiers, rate and time left
///
/// `mailq` without a command does the same.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Args {
    /// Campaign name [default: all campaigns]
    #[arg(value_name = "CAMPAIGN")]
    pub campaign: Option<String>,

    /// Refresh every second until interrupted
    #[arg(long)]
    pub watch: bool,
}

const REDRAW_EVERY: Duration = Duration::from_secs(1);

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let project = OpenProject::open(global.load(None, Flags::default())?)?;
    project::block_on(async {
        if let Some(campaign) = &args.campaign {
            lookup::runs(
                &account::read_ledger(project.queue.as_ref(), false).await?,
                campaign,
            )?;
        }
        match args.watch {
            true => watch(args, global, &project).await,
            false => {
                let status = read(args, &project).await?;
                match global.json {
                    true => output::json(&status)?,
                    false => output::lines(&view::lines(&status))?,
                }
                Ok(Exit::Done)
            }
        }
    })
}

async fn read(args: &Args, project: &OpenProject) -> Result<Status, Failure> {
    let now = project.clock.now();
    let campaign = args.campaign.as_deref();
    Ok(account::status(project.queue.as_ref(), now, campaign).await?)
}

/// On a terminal each status replaces the last one. Elsewhere they follow each other, with `--json` one per line.
async fn watch(args: &Args, global: &Global, project: &OpenProject) -> Result<Exit, Failure> {
    let on_terminal = std::io::stdout().is_terminal();
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    let mut is_first = true;
    loop {
        let status = tokio::select! {
            status = read(args, project) => status?,
            _ = &mut interrupted => return Ok(Exit::Interrupted),
        };
        match (global.json, on_terminal) {
            (true, _) => output::json(&status)?,
            (false, true) => output::raw(over(&view::lines(&status), is_first).as_bytes())?,
            (false, false) if is_first => output::lines(&view::lines(&status))?,
            (false, false) => {
                output::line("")?;
                output::lines(&view::lines(&status))?;
            }
        }
        is_first = false;
        tokio::select! {
            () = tokio::time::sleep(REDRAW_EVERY) => {}
            _ = &mut interrupted => return Ok(Exit::Interrupted),
        }
    }
}

/// Overwrites the screen line by line, because clearing it first would flicker.
fn over(lines: &[String], is_first: bool) -> String {
    let start = if is_first { "\x1b[2J\x1b[H" } else { "\x1b[H" };
    let lines: String = lines
        .iter()
        .flat_map(|line| [line.as_str(), "\x1b[K\r\n"])
        .collect();
    format!("{start}{lines}\x1b[J")
}
