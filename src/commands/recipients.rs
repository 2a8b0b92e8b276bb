//! `mailq recipients`: the state of each recipient, as CSV.

mod rows;
mod states;

use super::progress::{Counts, Progress, Unit, Verbosity};
use super::project::{self, OpenProject};
use super::text::{counted, grouped, plain};
use super::{Exit, Failure, Global, lookup, temporary};
use crate::clock::Clock;
use crate::config::Flags;
use crate::engine::account::{self, RecipientRow, Recipients, Told};
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

const STATES: [&str; 10] = [
    "delivered",
    "bounced",
    "dead",
    "suppressed",
    "expired",
    "cancelled",
    "in_doubt",
    "retrying",
    "pending",
    account::UNKNOWN,
];

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let project = OpenProject::open(global.load(None, Flags::default())?)?;
    project::block_on(async {
        let ledger = account::read_ledger(project.queue.as_ref(), false).await?;
        let run = lookup::run(&ledger, &args.campaign, args.run.as_deref())?;
        match args.rows {
            true => print_rows(args, global, &project, run).await,
            false => print_states(args, global, &project, run).await,
        }
    })
}

async fn print_states(
    args: &Args,
    global: &Global,
    project: &OpenProject,
    run: &RunFacts,
) -> Result<Exit, Failure> {
    let mut states = States::new(global.json)?;
    let mut written = Ok(());
    let told = each(args, global, project, run, &mut |recipient| {
        written = states.add(&recipient);
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })
    .await?;
    written?;
    states.finish()?;
    if told.unknown > 0 {
        global.say(format!("warning: {}; {KEEP}", not_known(&told, run)));
    }
    Ok(exit(&told))
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
    let told = each(args, global, project, run, &mut |recipient| {
        unfinished += u64::from(matches!(recipient.state, "pending" | "retrying"));
        wanted.add(recipient.row);
        ControlFlow::Continue(())
    })
    .await?;
    if told.unknown > 0 && !are_known(&args.state) {
        let what = format!("{}; no row was printed", not_known(&told, run));
        return Err(Failure::usage(what).with_hint(format!(
            "`--state pending,retrying` lists what is still known, and `mailq status` the counts; {KEEP}"
        )));
    }
    rows::print(run, &survey, &wanted, global.json)?;
    if unfinished > 0 {
        global.say(format!(
            "warning: this run will still send {unfinished} of these rows: run `mailq cancel {}` before you send to them again",
            run.manifest.id.campaign
        ));
    }
    Ok(exit(&told))
}

const KEEP: &str = "`keep` under `[events]` in mailq.toml keeps outcomes longer";

/// `what became of 12 of 20 recipients of spring/1 is not known any more: …`.
fn not_known(told: &Told, run: &RunFacts) -> String {
    format!(
        "what became of {} of {} of {} is not known any more, because outcomes are deleted by their age",
        grouped(told.unknown),
        counted(told.all, "recipient"),
        plain(&run.manifest.id.to_string(), 120)
    )
}

/// Whether a recipient of whom nothing is known may be left out of a list of these states, or is asked for. What is
/// pending or retrying is in the queue; with all states the list has every row.
fn are_known(states: &[String]) -> bool {
    let mut states = states.iter().map(String::as_str);
    states.all(|state| ["pending", "retrying", account::UNKNOWN].contains(&state))
}

fn exit(told: &Told) -> Exit {
    match told.unreadable.is_empty() {
        true => Exit::Done,
        false => Exit::NeedsAttention,
    }
}

/// Warns of records that cannot be read: what they say is missing in the rows.
async fn each(
    args: &Args,
    global: &Global,
    project: &OpenProject,
    run: &RunFacts,
    out: &mut dyn FnMut(RecipientRow) -> ControlFlow<()>,
) -> Result<Told, Failure> {
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
    let told = result?;
    for line in &told.unreadable {
        global.say(format!("warning: {}", plain(line, 400)));
    }
    Ok(told)
}
