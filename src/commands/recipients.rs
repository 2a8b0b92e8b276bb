//! `mailq recipients`: the state of each recipient, as CSV.

mod rows;
mod states;

use super::progress::{Counts, Progress, Unit, Verbosity};
use super::project::{self, OpenProject};
use super::text::plain;
use super::{Exit, Failure, Global, lookup, temporary};
use crate::clock::Clock;
use crate::config::Flags;
use crate::engine::account::verify::events_since;
use crate::engine::account::{self, RecipientRow, Recipients};
use crate::protocol::RunFacts;
use rows::RowSet;
use states::States;
use std::ops::ControlFlow;

/// Print the state of each recipient as CSV: address, state, reply, when, attempts
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Campaign name
    #[arg(value_name = "CAMPAIGN")]
    pub campaign: String,

    /// Only these states, separated by commas [default: all]
    #[arg(long, value_name = "STATE,…", value_delimiter = ',', value_parser = STATES)]
    pub state: Vec<String>,

    /// Run name [default: the newest run]
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,

    /// Print the original rows of the recipients CSV, as a list to send to again [default: print states]
    #[arg(long)]
    pub rows: bool,
}

const STATES: [&str; 9] = [
    "delivered",
    "bounced",
    "dead",
    "suppressed",
    "expired",
    "cancelled",
    "in_doubt",
    "retrying",
    "pending",
];

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let project = OpenProject::open(global.load(None, Flags::default())?)?;
    project::block_on(async {
        let ledger = account::read_ledger(project.queue.as_ref(), false).await?;
        let run = lookup::run(&ledger, &args.campaign, args.run.as_deref())?;
        warn_if_old(&project, run, global).await?;
        match args.rows {
            true => print_rows(args, global, &project, run).await,
            false => print_states(args, global, &project, run).await,
        }
    })
}

/// Messages whose events were deleted look as if they had never been sent.
async fn warn_if_old(
    project: &OpenProject,
    run: &RunFacts,
    global: &Global,
) -> Result<(), Failure> {
    let since = events_since(project.queue.as_ref()).await?;
    if let Some(since) = since.filter(|since| run.manifest.created_at < *since) {
        let run = plain(&run.manifest.id.to_string(), 120);
        global.say(format!(
            "warning: {run} is older than the first event, of {since}: earlier outcomes are unknown"
        ));
    }
    Ok(())
}

async fn print_states(
    args: &Args,
    global: &Global,
    project: &OpenProject,
    run: &RunFacts,
) -> Result<Exit, Failure> {
    let mut states = States::new(global.json)?;
    let mut written = Ok(());
    let exit = each(args, global, project, run, &mut |recipient| {
        written = states.add(&recipient);
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })
    .await?;
    written?;
    states.finish()?;
    Ok(exit)
}

/// Reads the states first and the file afterwards, because one bit for each row is all that has to be held.
async fn print_rows(
    args: &Args,
    global: &Global,
    project: &OpenProject,
    run: &RunFacts,
) -> Result<Exit, Failure> {
    let survey = rows::survey(run)?;
    let mut wanted = RowSet::default();
    let mut unfinished = 0;
    let exit = each(args, global, project, run, &mut |recipient| {
        unfinished += u64::from(matches!(recipient.state, "pending" | "retrying"));
        wanted.add(recipient.row);
        ControlFlow::Continue(())
    })
    .await?;
    rows::print(run, &survey, &wanted, global.json)?;
    if unfinished > 0 {
        global.say(format!(
            "warning: this run will still send {unfinished} of these rows: run `mailq cancel {}` before you send to them again",
            run.manifest.id.campaign
        ));
    }
    Ok(exit)
}

/// Warns of records that cannot be read: what they say is missing in the rows.
async fn each(
    args: &Args,
    global: &Global,
    project: &OpenProject,
    run: &RunFacts,
    out: &mut dyn FnMut(RecipientRow) -> ControlFlow<()>,
) -> Result<Exit, Failure> {
    let reading = Progress::new(Unit::Records, Verbosity::Full, global);
    let asked = Recipients {
        run: run.manifest.key,
        states: &args.state,
        now: project.clock.now(),
        folder: &temporary::folder(),
    };
    let progress = &mut |done, total| reading.set(Counts::of(done, total));
    let result = account::recipients(project.queue.as_ref(), asked, progress, out).await;
    reading.finish();
    let unreadable = result?;
    for line in &unreadable {
        global.say(format!("warning: {}", plain(line, 400)));
    }
    Ok(match unreadable.is_empty() {
        true => Exit::Done,
        false => Exit::NeedsAttention,
    })
}
