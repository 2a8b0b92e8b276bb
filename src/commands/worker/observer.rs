//! What people see of a worker: progress, notices and warnings.

use super::metrics::Latest;
use super::report::ended;
use crate::clock::Clock;
use crate::commands::Global;
use crate::commands::progress::{Counts, Progress, Unit, Verbosity};
use crate::commands::relays::{login_hint, pause_hint};
use crate::commands::time::{local_time, outside_windows};
use crate::domain::ids::RunKey;
use crate::engine::account::{AccountError, Left, View, left};
use crate::engine::breaker;
use crate::engine::worker::figures::Watched;
use crate::engine::worker::{Notice, Observer, Summary};
use crate::queue::Queue;
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// A line of progress comes every ten seconds.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// Shows what a worker reports.
pub struct TerminalObserver {
    pub progress: Progress,
    work: Work,
    pub latest: Rc<Latest>,
}

/// The messages that this worker has ended, and those that are left.
struct Work {
    total: Cell<u64>,
    retrying: Cell<u64>,
}

impl Work {
    fn new(unfinished: u64) -> Work {
        Work {
            total: Cell::new(unfinished),
            retrying: Cell::new(0),
        }
    }

    /// What is left in the queue, at the moment of this summary.
    fn set_left(&self, summary: &Summary, left: Left) {
        self.total.set(ended(summary) + left.unfinished);
        self.retrying.set(left.retrying);
    }

    /// A message that is deferred again is still one message, so deferrals are not counted.
    fn counts(&self, summary: &Summary) -> Counts {
        let done = ended(summary);
        let total = self.total.get().max(done);
        Counts {
            done,
            total: (total > 0).then_some(total),
            sent: summary.delivered,
            retrying: self.retrying.get().min(total - done),
            dead: summary.dead + summary.in_doubt,
        }
    }
}

impl TerminalObserver {
    /// `unfinished`: messages that can be sent when the worker starts.
    pub fn new(unfinished: u64, verbosity: Verbosity, global: &Global) -> TerminalObserver {
        TerminalObserver {
            progress: Progress::new(Unit::Messages, verbosity, global),
            work: Work::new(unfinished),
            latest: Rc::default(),
        }
    }

    /// Counts what is left in the queue, for as long as the task lives: more may be enqueued, and other workers send
    /// as well. Without an answer the last count holds.
    pub async fn follow_queue(
        self: Rc<Self>,
        queue: Rc<dyn Queue>,
        clock: Rc<dyn Clock>,
        only: Option<RunKey>,
    ) {
        let mut view = None;
        loop {
            // The worker has just counted what it found.
            tokio::time::sleep(COUNT_EVERY).await;
            match count(queue.as_ref(), &mut view, clock.now(), only).await {
                Ok(left) => self.work.set_left(&self.latest.summary.borrow(), left),
                Err(error) => tracing::debug!(%error, "cannot count what is left"),
            }
        }
    }
}

/// Reads the queue the first time, and then what has changed.
async fn count(
    queue: &dyn Queue,
    view: &mut Option<View>,
    now: SystemTime,
    only: Option<RunKey>,
) -> Result<Left, AccountError> {
    match view {
        Some(view) => view.refresh(queue).await?,
        None => *view = Some(View::read(queue, true).await?),
    }
    view.as_ref()
        .map_or(Ok(Left::default()), |view| left(view, now, only))
}

/// The line for an operator. `None`: only the log and the metrics have it.
pub fn notice_line(notice: &Notice) -> Option<String> {
    Some(match notice {
        Notice::Breaker(notice @ breaker::Notice::LoginRefused { problem, .. }) => {
            format!("{notice}\nhint: {}", login_hint(*problem))
        }
        Notice::Breaker(notice @ breaker::Notice::Opened { words, .. }) => {
            match pause_hint(words) {
                Some(hint) => format!("{notice}\nhint: {hint}"),
                None => notice.to_string(),
            }
        }
        Notice::Breaker(notice) => notice.to_string(),
        Notice::RateChanged { old, new } => format!(
            "rate is now {} (was {}), set by {} on {}",
            new.rate,
            old.rate,
            new.source,
            new.host()
        ),
        Notice::PartitionStopped { partition, why } => {
            format!("warning: partition {partition} has stopped: {why}; the others continue")
        }
        Notice::QueueTrouble(why) => format!("warning: {why}; trying again"),
        Notice::Waiting { until } => format!("nothing to send before {}", local_time(*until)),
        Notice::OutsideWindows { next } => outside_windows(next, SystemTime::now()),
        Notice::QuotaUsedUp { relay, until } => format!(
            "relay `{relay}` has used up its daily quota; it takes mail again at {}",
            local_time(*until)
        ),
        Notice::NewerDayReserved { relay, day } => format!(
            "warning: relay `{relay}` takes nothing: a worker has reserved for {} already; \
             check the clocks of the hosts",
            jiff::Timestamp::try_from(*day)
                .unwrap_or_default()
                .strftime("%Y-%m-%d")
        ),
        Notice::HeldBy { workers } => format!(
            "warning: the rest is held by {}; nothing was committed for longer than `--max-wait`",
            holders(workers)
        ),
        // Shares change by the minute, with the workers that have something to send.
        Notice::Share { .. } => return None,
        Notice::NoShare { of, limit, workers } => format!(
            "{of} allows {limit}, but {workers} workers have messages to send: this worker waits until another one \
             has none left"
        ),
    })
}

/// Workers that are named in one line.
const NAMED: usize = 3;

fn holders(workers: &[String]) -> String {
    let named = workers.iter().take(NAMED);
    let named: Vec<String> = named.map(|name| format!("worker `{name}`")).collect();
    match workers.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

impl Observer for TerminalObserver {
    fn begun(&self, worker: Rc<dyn Watched>) {
        self.latest.worker.replace(Some(worker));
    }

    fn notice(&self, notice: Notice) {
        let Some(line) = notice_line(&notice) else {
            return;
        };
        match notice {
            Notice::Breaker(_)
            | Notice::PartitionStopped { .. }
            | Notice::QueueTrouble(_)
            | Notice::NewerDayReserved { .. }
            | Notice::HeldBy { .. } => {
                self.progress.warn(line);
            }
            Notice::RateChanged { .. }
            | Notice::Waiting { .. }
            | Notice::OutsideWindows { .. }
            | Notice::QuotaUsedUp { .. }
            | Notice::Share { .. }
            | Notice::NoShare { .. } => self.progress.say(line),
        }
    }

    fn progress(&self, summary: &Summary) {
        self.latest.summary.borrow_mut().clone_from(summary);
        self.progress.set(self.work.counts(summary));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_messages_and_what_is_enqueued_meanwhile() {
        let work = Work::new(1_200);
        let summary = Summary {
            delivered: 500,
            deferred: 1_342,
            ..Summary::default()
        };
        let left = Left {
            unfinished: 700,
            retrying: 650,
        };
        work.set_left(&summary, left);
        let counts = work.counts(&summary);
        assert_eq!((counts.done, counts.total), (500, Some(1_200)));
        assert_eq!(counts.retrying, 650);

        let more = Left {
            unfinished: 20_500,
            ..left
        };
        work.set_left(&summary, more);
        assert_eq!(work.counts(&summary).total, Some(21_000));
        let summary = Summary {
            delivered: 20_900,
            ..summary
        };
        assert_eq!(work.counts(&summary).retrying, 100);
    }
}
