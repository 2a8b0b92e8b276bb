//! What `enqueue` prints: while it works, when it ends, and about runs that are already enqueued.

use crate::clock::Clock;
use crate::commands::progress::{Counts, Progress};
use crate::commands::project::OpenProject;
use crate::commands::text::{counted, grouped, tidied};
use crate::commands::{Exit, Failure};
use crate::domain::duration;
use crate::engine::account;
use crate::engine::enqueue::{EnqueueProgress, EnqueueReport, OtherRun};
use std::time::Duration;

/// Rejected rows need attention.
pub fn exit(report: &EnqueueReport) -> Exit {
    if report.tally.invalid > 0 && !report.already_enqueued {
        Exit::NeedsAttention
    } else {
        Exit::Done
    }
}

pub async fn sent_before(project: &OpenProject, campaign: &str, other: &OtherRun) -> Failure {
    let status = account::status(project.queue.as_ref(), project.clock.now(), Some(campaign)).await;
    let rows = status.map(|status| status.campaigns).unwrap_or_default();
    let delivered = rows
        .iter()
        .find(|row| row.key == other.key)
        .map_or(0, |row| row.delivered);
    let what = format!(
        "campaign `{campaign}` is already enqueued as run `{}` with different inputs (changed: {}); that run has \
delivered {}; nothing was enqueued",
        other.run,
        other.changed.join(", "),
        counted(delivered, "message")
    );
    Failure::usage(what).with_hint("`--run NAME` sends to the whole list as a new run")
}

pub async fn warn_of_expiry(
    project: &OpenProject,
    name: &str,
    expires: Duration,
    progress: &Progress,
) -> Result<(), Failure> {
    let status = account::status(project.queue.as_ref(), project.clock.now(), None).await?;
    let eta = match (status.eta_seconds, project.loaded.settings.send.rate.value) {
        (Some(seconds), _) => Duration::from_secs(seconds),
        (None, rate) => Duration::try_from_secs_f64(status.lag as f64 / rate.per_second())
            .unwrap_or(Duration::MAX),
    };
    if eta > expires {
        progress.warn(format!(
            "warning: sending takes about {}, but `{name}` expires after {}: messages left by then are not sent",
            duration::human(eta),
            duration::human(expires)
        ));
    }
    Ok(())
}

/// For a run that is already in the queue. `done` is `enqueued`, or `sent` if nothing of it is left to send.
pub fn known_line(report: &EnqueueReport, done: &str) -> String {
    let changed = match report.changed.as_slice() {
        [] => String::new(),
        changed => format!("; later changes to {} are not sent", changed.join(", ")),
    };
    format!(
        "already {done}: {}/{} with {}{changed}; `--run NAME` sends it again",
        report.campaign,
        report.run,
        counted(report.tally.enqueued, "message")
    )
}

pub fn closing_line(report: &EnqueueReport, dry_run: bool) -> String {
    if report.already_enqueued {
        return known_line(report, "enqueued");
    }
    let tally = &report.tally;
    let name = format!("{}/{}", report.campaign, report.run);
    let messages = counted(tally.enqueued, "message");
    let mut line = match dry_run {
        true => format!("{name}: {messages} would be enqueued"),
        false => format!("{name}: {messages} enqueued"),
    };
    for (count, word) in [
        (tally.duplicates, "duplicates"),
        (tally.invalid, "invalid"),
        (tally.suppressed, "suppressed"),
    ] {
        if count > 0 {
            line += &format!(", {} {word}", grouped(count));
        }
    }
    for note in tidied(&report.tidied) {
        line += &format!(", {note}");
    }
    let per_second = tally.recipients as f64 / report.elapsed_seconds.max(0.001);
    line += &format!(
        " in {} ({} rows/s)",
        duration::human(Duration::from_secs_f64(report.elapsed_seconds)),
        grouped(per_second as u64)
    );
    match &report.rejected_file {
        Some(file) => format!("{line}; invalid rows are in `{file}`"),
        None => line,
    }
}

/// Shows what the engine reports.
pub fn show(progress: &Progress, event: EnqueueProgress<'_>) {
    match event {
        EnqueueProgress::Rejected(row) => progress.warn(format!("rejected: {row}")),
        EnqueueProgress::Garbled { first, rows } => progress.warn(format!(
            "warning: {first} ({} like this)",
            counted(rows, "row")
        )),
        EnqueueProgress::Dropped(run) => progress.say(format!(
            "discarded the unfinished run `{run}`: its inputs changed"
        )),
        EnqueueProgress::Continuing { batches_found } => {
            progress.say(format!(
                "continuing after {}",
                counted(batches_found, "finished batch")
            ));
        }
        EnqueueProgress::Waiting { why } => progress.warn(format!("warning: {why}; trying again")),
        EnqueueProgress::Rows { done, of } => progress.set(Counts::of(done, of)),
        EnqueueProgress::Surveyed(_) | EnqueueProgress::Batch { .. } => {}
    }
}
