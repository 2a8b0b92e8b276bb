//! `mailq dlq replay` and `mailq dlq purge`.

use super::filter::{self, Filter};
use crate::commands::project::{OpenProject, host_name};
use crate::commands::text::{counted, grouped, plain};
use crate::commands::{Exit, Failure, Global, output};
use crate::engine::letters::{LetterFilter, ReplayReport, Replayer, purge as remove};
use serde_json::json;

#[derive(Debug, Clone, clap::Args)]
pub struct Change {
    #[command(flatten)]
    pub filter: Filter,

    /// Select all dead letters
    #[arg(long)]
    pub all: bool,

    /// Print what would be done, change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Skipped letters that are named one by one. `--json` lists all.
const NAMED: usize = 20;

pub async fn replay(
    change: &Change,
    global: &Global,
    project: &OpenProject,
) -> Result<Exit, Failure> {
    let wanted = filter::read(&change.filter, project).await?;
    let replayer = Replayer {
        queue: project.queue.as_ref(),
        clock: project.clock.as_ref(),
        source: &format!("{}/replay", host_name()),
        trace_id: &format!("{:016x}", fastrand::u64(..)),
    };
    let report = replayer.replay(&wanted, change.dry_run).await?;
    let found = report.replayed + report.already_replayed + report.skipped - report.in_doubt;
    if found == 0 && !wanted.ids.is_empty() {
        return Err(missing(&wanted, report.in_doubt));
    }
    match global.json {
        true => output::json(&report)?,
        false => print(&report, &wanted, change.dry_run, global),
    }
    Ok(Exit::Done)
}

fn missing(wanted: &LetterFilter, in_doubt: u64) -> Failure {
    let ids: Vec<String> = wanted
        .ids
        .iter()
        .map(|id| format!("`{}`", plain(id, 200)))
        .collect();
    let ids = ids.join(", ");
    if in_doubt > 0 {
        return Failure::usage(format!("in doubt: {ids}; nothing was replayed"))
            .with_hint(left_out(in_doubt));
    }
    Failure::usage(format!(
        "no letter {ids} matches the filter; nothing was replayed"
    ))
    .with_hint("`mailq dlq list` lists the letters")
}

/// Why letters in doubt are left out, and how they are sent.
fn left_out(in_doubt: u64) -> String {
    let them = if in_doubt == 1 { "it" } else { "them" };
    format!("the relay may have delivered {them}; `--reason in_doubt` sends {them} again")
}

fn print(report: &ReplayReport, wanted: &LetterFilter, dry_run: bool, global: &Global) {
    let verb = match dry_run {
        true => "would replay",
        false => "replayed",
    };
    let line = match report.replayed {
        0 if wanted.is_any() => "no letters to replay".to_string(),
        0 => "no letter that matches the filter can be replayed".to_string(),
        replayed => format!("{verb}: {}", counted(replayed, "letter")),
    };
    global.say(line);
    for run in &report.runs {
        global.say(format!("  as {}", plain(run, 200)));
    }
    if report.already_replayed > 0 {
        let earlier = grouped(report.already_replayed);
        global.say(format!("{earlier} were already replayed earlier"));
    }
    if report.in_doubt > 0 {
        let skipped = counted(report.in_doubt, "letter");
        let why = left_out(report.in_doubt);
        global.say(format!("skipped {skipped} in doubt: {why}"));
    }
    let void = report.skipped - report.in_doubt;
    if void > 0 {
        let skipped = counted(void, "letter");
        global.say(format!("skipped {skipped} of expired or cancelled runs"));
        let named = usize::try_from(void).unwrap_or(NAMED).min(NAMED);
        for id in report.skipped_ids.iter().take(named) {
            global.say(format!("  {}", plain(id, 1_000)));
        }
        if void > NAMED as u64 {
            global.say("  … `--json` lists all");
        }
    }
}

pub async fn purge(
    change: &Change,
    global: &Global,
    project: &OpenProject,
) -> Result<Exit, Failure> {
    let wanted = filter::read(&change.filter, project).await?;
    if wanted.is_any() && !change.all {
        return Err(
            Failure::usage("`mailq dlq purge` needs a filter; nothing was deleted")
                .with_hint("`--all` deletes every letter for good"),
        );
    }
    let purged = remove(project.queue.as_ref(), &wanted, change.dry_run)
        .await?
        .purged;
    if global.json {
        output::json(&json!({"purged": purged, "dry_run": change.dry_run}))?;
    } else {
        global.say(match change.dry_run {
            true => format!("would delete {}", counted(purged, "letter")),
            false => format!("deleted {}", counted(purged, "letter")),
        });
    }
    Ok(Exit::Done)
}
