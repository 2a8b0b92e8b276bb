//! `mailq status`, and `mailq` without a command: the state of the queue.

mod lanes;
mod view;

use super::project::{self, OpenProject};
use super::time::outside_windows;
use super::{Exit, Failure, Global, lookup, output};
use crate::clock::Clock;
use crate::config::Flags;
use crate::engine::account::{self, Status};
use crate::engine::lane_rows::{self, WorkerLanes};
use serde::Serialize;
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

    /// Show the lanes of each worker too: what waits for a relay and a site, rates, connections, breaker, last reply
    #[arg(long)]
    pub lanes: bool,

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
                let seen = read(args, &project).await?;
                match global.json {
                    true => output::json(&seen)?,
                    false => output::lines(&seen.lines())?,
                }
                Ok(Exit::Done)
            }
        }
    })
}

/// The state of the queue and of the send windows, and with `--lanes` that of each worker's lanes.
#[derive(Serialize)]
struct Seen {
    #[serde(flatten)]
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    lanes: Option<Vec<WorkerLanes>>,
    /// RFC 3339. `None`: mail may leave now, or no window ever opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    windows_open_at: Option<String>,
    /// The same for people.
    #[serde(skip)]
    outside_windows: Option<String>,
}

impl Seen {
    /// Without line ends.
    fn lines(&self) -> Vec<String> {
        let mut lines = view::lines(&self.status, self.outside_windows.clone());
        if let Some(workers) = &self.lanes {
            lines.push(String::new());
            lines.extend(lanes::lines(workers));
        }
        lines
    }
}

async fn read(args: &Args, project: &OpenProject) -> Result<Seen, Failure> {
    let now = project.clock.now();
    let campaign = args.campaign.as_deref();
    let queue = project.queue.as_ref();
    let status = account::status(queue, now, campaign).await?;
    let lanes = match args.lanes {
        true => Some(lane_rows::read(queue).await?.ok_or_else(no_lanes)?),
        false => None,
    };
    let next = project.loaded.settings.send.send_windows().next(now);
    let next = next.as_ref();
    Ok(Seen {
        status,
        lanes,
        windows_open_at: next.map(|next| next.timestamp().to_string()),
        outside_windows: next.map(|next| outside_windows(next, now)),
    })
}

fn no_lanes() -> Failure {
    let what =
        "`--lanes` needs the embedded queue: on Kafka only the worker itself knows its lanes";
    Failure::usage(what).with_hint(
        "start workers with `mailq send --metrics IP:PORT`; their page has the lanes too",
    )
}

/// On a terminal each status replaces the last one. Elsewhere they follow each other, with `--json` one per line.
async fn watch(args: &Args, global: &Global, project: &OpenProject) -> Result<Exit, Failure> {
    let on_terminal = std::io::stdout().is_terminal();
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    let mut is_first = true;
    loop {
        let seen = tokio::select! {
            seen = read(args, project) => seen?,
            _ = &mut interrupted => return Ok(Exit::Interrupted),
        };
        match (global.json, on_terminal) {
            (true, _) => output::json(&seen)?,
            (false, true) => output::raw(over(&seen.lines(), is_first).as_bytes())?,
            (false, false) if is_first => output::lines(&seen.lines())?,
            (false, false) => {
                output::line("")?;
                output::lines(&seen.lines())?;
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
