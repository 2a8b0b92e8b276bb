//! `mailq pause`, `mailq resume`, `mailq cancel`: workers act on them within 2 s.

use super::project::{self, OpenProject, host_name};
use super::text::{counted, plain};
use super::{Exit, Failure, Global, lookup, output};
use crate::clock::Clock;
use crate::config::Flags;
use crate::engine::account::{self, State};
use crate::engine::control::{Controlled, Wish, control};
use serde_json::json;

/// What to do with the runs of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Pause,
    Resume,
    /// Cannot be undone.
    Cancel,
}

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Campaign name
    #[arg(value_name = "CAMPAIGN")]
    pub campaign: String,
}

pub fn run(verb: Verb, args: &Args, global: &Global) -> Result<Exit, Failure> {
    let project = OpenProject::open(global.load(None, Flags::default())?)?;
    let campaign = args.campaign.as_str();
    let did = project::block_on(async {
        let queue = project.queue.as_ref();
        lookup::runs(&account::read_ledger(queue, false).await?, campaign)?;
        let wish = match verb {
            Verb::Pause => Wish::Pause,
            Verb::Resume => Wish::Resume,
            Verb::Cancel => Wish::Cancel,
        };
        Ok(control(
            queue,
            campaign,
            wish,
            &operator(&project),
            project.clock.now(),
        )
        .await?)
    })?;
    if global.json {
        output::json(&document(campaign, &did))?;
    } else {
        did.iter().for_each(|run| global.say(describe(verb, run)));
    }
    Ok(Exit::Done)
}

/// Who did it, for the record in the queue.
fn operator(project: &OpenProject) -> String {
    let variables = &project.loaded.variables;
    let user = variables.get("USER").or(variables.get("LOGNAME"));
    let user = user.map_or_else(
        || format!("uid {}", rustix::process::getuid().as_raw()),
        str::to_string,
    );
    format!("{user}@{}", host_name())
}

fn document(campaign: &str, did: &[Controlled]) -> serde_json::Value {
    let runs: Vec<_> = did
        .iter()
        .map(|run| {
            json!({
                "run": run.run.run,
                "changed": run.is_changed,
                "was": run.state,
                "unfinished": run.unfinished,
            })
        })
        .collect();
    json!({"campaign": campaign, "runs": runs})
}

fn describe(verb: Verb, did: &Controlled) -> String {
    let run = plain(&did.run.to_string(), 120);
    let messages = counted(did.unfinished, "message");
    match (verb, did.is_changed, did.state) {
        (Verb::Pause, true, _) => format!(
            "paused {run} with {messages} left; continue with `mailq resume {}`",
            did.run.campaign
        ),
        (Verb::Resume, true, _) => format!("resumed {run}: {messages} can be sent"),
        (Verb::Cancel, true, _) => {
            format!("cancelled {run} for good: {messages} will not be sent")
        }
        (_, false, State::Done) => format!("{run} is already done; nothing was changed"),
        (_, false, State::Cancelled) => {
            format!("{run} is cancelled for good; nothing was changed")
        }
        (Verb::Pause, false, _) => format!("{run} was already paused"),
        (Verb::Resume, false, _) => format!("{run} was not paused"),
        (Verb::Cancel, false, _) => format!("{run} is already over; nothing was changed"),
    }
}
