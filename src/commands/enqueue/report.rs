//! What `enqueue` prints: while it works, when it ends, and about runs that are already enqueued.

use crate::clock::Clock;
use crate::commands::progress::{Counts, Progress};
use crate::commands::project::OpenProject;
use crate::commands::text::{counted, grouped, tidied};
use crate::commands::time::estimate;
use crate::commands::{Exit, Failure};
use crate::domain::duration;
use crate::engine::account;
use crate::engine::enqueue::{EnqueueProgress, EnqueueReport, OtherRun};
use crate::recipients::RepeatedRow;
use std::time::Duration;

/// Rejected rows need attention, and rows that differ from the one that is mailed.
pub fn exit(report: &EnqueueReport) -> Exit {
    let left_out = report.tally.invalid + report.differing;
    if left_out > 0 && !report.already_enqueued {
        Exit::NeedsAttention
    } else {
        Exit::Done
    }
}

pub async fn sent_before(project: &OpenProject, campaign: &str, other: &OtherRun) -> Failure {
    let status = account::status(project.queue.as_ref(), project.clock.now(), Some(campaign)).await;
    let rows = status.map(|status| status.campaigns).unwrap_or_default();
    let row = rows.iter().find(|row| row.key == other.key);
    let delivered = row.map_or(0, |row| row.delivered);
    let pending = row.map_or(0, |row| row.unfinished());
    let what = format!(
        "campaign `{campaign}` is already enqueued as run `{}` with different inputs (changed: {}); of that \
run {} delivered and {} pending; nothing was enqueued",
        other.run,
        other.changed.join(", "),
        are(delivered),
        grouped(pending)
    );
    Failure::usage(what).with_hint(match pending {
        0 => FINISHED,
        _ => UNFINISHED,
    })
}

fn are(messages: u64) -> String {
    let verb = if messages == 1 { "is" } else { "are" };
    format!("{} {verb}", counted(messages, "message"))
}

const UNFINISHED: &str = "`mailq send` sends what is pending, with the old text; `--only-new` adds recipients who are \
not in that run; `--replace` cancels what is pending and sends the new text to everybody who has nothing yet";
const FINISHED: &str = "`--only-new` sends to recipients who are not in that run; `--run NAME` sends to the whole list \
again, as a new run";

/// Says now and then what it waits for.
#[derive(Default)]
pub struct Patience {
    said_at: Duration,
}

impl Patience {
    const EVERY: Duration = Duration::from_secs(10);

    pub fn show(&mut self, progress: &Progress, waited: Duration, claimed: usize) {
        if waited < self.said_at + Patience::EVERY {
            return;
        }
        self.said_at = waited;
        progress.warn(match claimed {
            0 => "waiting for the workers to notice that the old run is cancelled".to_string(),
            claimed => format!(
                "waiting until relays have answered for {} of the cancelled run",
                counted(claimed as u64, "message")
            ),
        });
    }
}

/// Nothing was enqueued, because earlier runs have everybody.
pub fn is_for_nobody(report: &EnqueueReport) -> bool {
    let tally = &report.tally;
    !report.already_enqueued && tally.enqueued + tally.suppressed == 0 && tally.already_sent > 0
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
    if let Some(line) = expiry_line(name, eta, expires) {
        progress.warn(line);
    }
    Ok(())
}

/// `None`: all is sent before the run expires.
fn expiry_line(name: &str, eta: Duration, expires: Duration) -> Option<String> {
    (eta > expires).then(|| {
        let takes = estimate(eta.as_secs_f64());
        let takes = takes.map_or_else(|| "more than a year".to_string(), |time| format!("about {time}"));
        let expires = duration::human(expires);
        format!(
            "warning: sending takes {takes}, but `{name}` expires after {expires}: messages left by then are not sent"
        )
    })
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
        _ if is_for_nobody(report) => {
            format!(
                "{}: nobody is new, so nothing was enqueued",
                report.campaign
            )
        }
        true => format!("{name}: {messages} would be enqueued"),
        false => format!("{name}: {messages} enqueued"),
    };
    for (count, word) in [
        (
            tally.duplicates,
            duplicates(tally.duplicates, report.is_grouped),
        ),
        (tally.invalid, "invalid"),
        (tally.suppressed, "suppressed"),
        (tally.already_sent, "already sent"),
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

/// The first row that is left out because of its address, and how many are like it.
pub fn repeated(first: &RepeatedRow) -> String {
    format!("{first} ({} like this)", counted(first.rows, "row"))
}

/// What to do about rows of one address that differ.
pub const DIFFERING: &str = "`group = true` in the campaign file makes one mail of all rows of an address; \
`duplicates = \"first\"` says that its first row is enough";

/// What rows are that have the address of an earlier one.
fn duplicates(count: u64, is_grouped: bool) -> &'static str {
    match (is_grouped, count) {
        (true, 1) => "more row in these mails",
        (true, _) => "more rows in these mails",
        (false, 1) => "duplicate",
        (false, _) => "duplicates",
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
        EnqueueProgress::Repeated(first) => {
            let what = repeated(first);
            match first.differs {
                true => progress.warn(format!("warning: {what}\nhint: {DIFFERING}")),
                false => progress.say(what),
            }
        }
        EnqueueProgress::Renamed(same) => progress.warn(format!(
            "warning: {same}; everybody on the list gets it again\nhint: if the campaign was only renamed, cancel this \
             run with `mailq cancel`"
        )),
        EnqueueProgress::Dropped(run) => progress.say(format!(
            "discarded the unfinished run `{run}`: its inputs changed"
        )),
        EnqueueProgress::Cancelled(run) => {
            progress.say(format!("cancelled what run `{run}` had pending"))
        }
        EnqueueProgress::Continuing { batches_found } => {
            progress.say(format!(
                "continuing after {}",
                counted(batches_found, "finished batch")
            ));
        }
        EnqueueProgress::Waiting { why } => progress.warn(format!("warning: {why}; trying again")),
        EnqueueProgress::Rows { done, of } => progress.set(Counts::of(done, of)),
        EnqueueProgress::Surveyed(_)
        | EnqueueProgress::Batch { .. }
        | EnqueueProgress::Settling { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_of_expiry_has_no_senseless_time() {
        let day = Duration::from_secs(86_400);
        assert_eq!(expiry_line("spring", day, day), None);
        let line = |eta| expiry_line("spring", eta, day).unwrap();
        assert!(line(2 * day).starts_with("warning: sending takes about 2d, but"));
        for endless in [day * 400, Duration::MAX] {
            let line = line(endless);
            assert!(
                line.contains("takes more than a year, but `spring`"),
                "{line}"
            );
        }
    }
}
