//! What people see of a worker: progress, notices and warnings.

use super::metrics::Latest;
use super::report::ended;
use crate::commands::Global;
use crate::commands::progress::{Counts, Progress, Unit, Verbosity};
use crate::commands::relays::login_hint;
use crate::commands::time::local_time;
use crate::engine::breaker;
use crate::engine::worker::{Notice, Observer, Summary};
use std::rc::Rc;

/// Shows what a worker reports.
pub struct TerminalObserver {
    pub progress: Progress,
    /// Messages that could be sent when the worker started.
    total: u64,
    pub latest: Rc<Latest>,
}

impl TerminalObserver {
    pub fn new(total: u64, verbosity: Verbosity, global: &Global) -> TerminalObserver {
        TerminalObserver {
            progress: Progress::new(Unit::Messages, verbosity, global),
            total,
            latest: Rc::default(),
        }
    }
}

/// The line for an operator. `None`: only the log and the metrics have it.
pub fn notice_line(notice: &Notice) -> Option<String> {
    Some(match notice {
        Notice::Breaker(notice @ breaker::Notice::LoginRefused { problem, .. }) => {
            format!("{notice}\nhint: {}", login_hint(*problem))
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
        // Shares change by the minute, with the workers that have something to send.
        Notice::Share { .. } => return None,
        Notice::NoShare { of, limit, workers } => format!(
            "{of} allows {limit}, but {workers} workers have messages to send: this worker waits until another one \
             has none left"
        ),
    })
}

impl Observer for TerminalObserver {
    fn notice(&self, notice: Notice) {
        match &notice {
            Notice::RateChanged { new, .. } => self.latest.rate.set(Some(new.rate)),
            Notice::Share { limit, share } => {
                self.latest.rate.set(Some(*limit));
                self.latest.share.set(*share);
            }
            _ => {}
        }
        let Some(line) = notice_line(&notice) else {
            return;
        };
        match notice {
            Notice::Breaker(_) | Notice::PartitionStopped { .. } | Notice::QueueTrouble(_) => {
                self.progress.warn(line);
            }
            Notice::RateChanged { .. }
            | Notice::Waiting { .. }
            | Notice::Share { .. }
            | Notice::NoShare { .. } => self.progress.say(line),
        }
    }

    fn progress(&self, summary: &Summary) {
        self.latest.summary.borrow_mut().clone_from(summary);
        let done = ended(summary);
        let total = self.total.max(done);
        self.progress.set(Counts {
            done,
            total: (total > 0).then_some(total),
            sent: summary.delivered,
            retrying: summary.deferred,
            dead: summary.dead + summary.in_doubt,
        });
    }
}
