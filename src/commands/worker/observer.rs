//! What people see of a worker: progress, notices and warnings.

use super::metrics::Latest;
use super::report::ended;
use crate::commands::Global;
use crate::commands::progress::{Counts, Progress, Unit, Verbosity};
use crate::commands::time::local_time;
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

impl Observer for TerminalObserver {
    fn notice(&self, notice: Notice) {
        match notice {
            Notice::Breaker(text) => self.progress.warn(text),
            Notice::RateChanged { old, new } => {
                self.latest.rate.set(Some(new.rate));
                let from = format!("by {} on {}", new.source, new.host);
                self.progress.say(format!(
                    "rate is now {} (was {}), set {from}",
                    new.rate, old.rate
                ));
            }
            Notice::PartitionStopped { partition, why } => {
                self.progress.warn(format!(
                    "warning: partition {partition} has stopped: {why}; the others continue"
                ));
            }
            Notice::QueueTrouble(why) => self.progress.warn(format!("warning: {why}; trying again")),
            Notice::Waiting { until } => {
                self.progress.say(format!("nothing to send before {}", local_time(until)))
            }
            // Those that have something to send change by the minute; the log has it.
            Notice::Share { limit, portion } => {
                self.latest.rate.set(Some(limit));
                self.latest.share.set(portion);
            }
            Notice::NoShare { of, limit, workers } => self.progress.say(format!(
                "{of} allows {limit}, but {workers} workers have messages to send: this worker waits until another one has \
none left"
            )),
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
