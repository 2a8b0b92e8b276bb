//! What people see of a worker: progress, notices and warnings.

use super::metrics::Shown;
use super::report::ended;
use crate::commands::progress::{Kind, Progress, Snapshot};
use crate::commands::time::local_time;
use crate::commands::{Global, terminal};
use crate::engine::worker::{Notice, Observer, Summary};
use std::cell::{Cell, RefCell};
use std::io::IsTerminal;
use std::rc::Rc;
use std::time::Duration;

/// How much a worker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// Begin, progress, changes.
    Full,
    /// What needs a person, and nothing else where there is no terminal: cron sends it as mail.
    Cron,
}

/// Shows what the worker tells.
pub struct Watcher {
    voice: Voice,
    quiet: bool,
    verbose: bool,
    progress: RefCell<Option<Progress>>,
    /// Messages that may go, at the start.
    total: u64,
    /// When progress was last shown, and how many messages had been taken by then.
    last: Cell<(Duration, u64)>,
    per_second: Cell<f64>,
    pub shown: Rc<Shown>,
}

const SHOW_EVERY: Duration = Duration::from_millis(200);

impl Watcher {
    pub fn new(total: u64, voice: Voice, global: &Global) -> Watcher {
        let progress = match (global.quiet || global.json, voice) {
            (true, _) => Progress::hidden(Kind::Send),
            (false, Voice::Full) => Progress::new(Kind::Send),
            (false, Voice::Cron) => Progress::new(Kind::Send).quiet_elsewhere(),
        };
        Watcher {
            voice,
            quiet: global.quiet,
            verbose: global.verbose > 0,
            progress: RefCell::new(Some(progress)),
            total,
            last: Cell::new((Duration::ZERO, 0)),
            per_second: Cell::new(0.0),
            shown: Rc::default(),
        }
    }

    /// Something that an operator should see, also from cron.
    fn warn(&self, text: String) {
        terminal::note(text);
    }

    /// Something that only who watches wants to see.
    pub fn tell(&self, text: String) {
        let is_wanted =
            self.voice == Voice::Full || self.verbose || std::io::stderr().is_terminal();
        if !self.quiet && is_wanted {
            terminal::note(text);
        }
    }

    pub fn end(&self) {
        if let Some(progress) = self.progress.borrow_mut().take() {
            progress.finish();
        }
    }
}

impl Observer for Watcher {
    fn notice(&self, notice: Notice) {
        match notice {
            Notice::Breaker(text) => self.warn(text),
            Notice::RateChanged { old, new } => {
                self.shown.rate.set(Some(new.rate));
                let from = format!("by {} on {}", new.source, new.host);
                self.tell(format!(
                    "rate is now {} (was {}), set {from}",
                    new.rate, old.rate
                ));
            }
            Notice::PartitionStopped { partition, why } => {
                self.warn(format!(
                    "warning: partition {partition} stands still: {why}; the others go on"
                ));
            }
            Notice::QueueTrouble(why) => self.warn(format!("warning: {why}; trying again")),
            Notice::Waiting { until } => {
                self.tell(format!("nothing to send before {}", local_time(until)))
            }
            // Those that have something to send change by the minute; the log has it.
            Notice::Share { limit, portion } => {
                self.shown.rate.set(Some(limit));
                self.shown.share.set(portion);
            }
            Notice::NoShare { of, limit, workers } => self.tell(format!(
                "{of} allows {limit}, and {workers} workers have something to send: this one waits until another has \
                 nothing left"
            )),
        }
    }

    fn progress(&self, summary: &Summary) {
        self.shown.summary.borrow_mut().clone_from(summary);
        let (shown_at, taken_then) = self.last.get();
        let span = summary.elapsed.saturating_sub(shown_at);
        if span < SHOW_EVERY {
            return;
        }
        let done = ended(summary);
        let now = done.saturating_sub(taken_then) as f64 / span.as_secs_f64();
        self.per_second.set(self.per_second.get() * 0.8 + now * 0.2);
        self.last.set((summary.elapsed, done));
        let total = self.total.max(done);
        let left = total.saturating_sub(done) as f64 / self.per_second.get();
        let snapshot = Snapshot {
            rows_done: done,
            rows_total: (total > 0).then_some(total),
            sent: summary.delivered,
            retrying: summary.deferred,
            dead: summary.dead + summary.in_doubt,
            per_second: self.per_second.get(),
            eta: Duration::try_from_secs_f64(left).ok(),
        };
        if let Some(progress) = self.progress.borrow_mut().as_mut() {
            progress.set(snapshot);
        }
    }
}
