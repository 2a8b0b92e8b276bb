//! When a worker that drains is done: judged from cursors, sets and ends of logs, never from counters.

use super::settings::{Goal, LeftWork, WorkerError};
use crate::clock::Clock;
use crate::domain::ids::RunKey;
use crate::engine::account::{Remaining, remaining};
use crate::protocol::Ledger;
use crate::queue::Queue;
use std::time::{Duration, SystemTime};

/// How often the queue is asked what is left, once nothing is under way here.
const LOOK_EVERY: Duration = Duration::from_millis(300);

pub struct GoalWatch {
    goal: Goal,
    looked_at: Option<Duration>,
    /// Told already: waiting until this.
    told: Option<SystemTime>,
}

/// What a look at the queue says to the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    GoOn,
    /// Nothing to do before this; said once.
    WaitUntil(SystemTime),
    /// The goal is reached, or as near as it will get.
    End(Option<LeftWork>),
}

impl GoalWatch {
    pub fn new(goal: Goal) -> GoalWatch {
        GoalWatch {
            goal,
            looked_at: None,
            told: None,
        }
    }

    /// Looks now and then. The ledger is brought to the campaign topic's end.
    pub async fn look(
        &mut self,
        queue: &dyn Queue,
        ledger: &mut Ledger,
        clock: &dyn Clock,
    ) -> Result<Look, WorkerError> {
        let (only, max_wait) = match self.goal {
            Goal::Serve => return Ok(Look::GoOn),
            Goal::Drain { max_wait } => (None, max_wait),
            Goal::Run { run, max_wait } => (Some(run), max_wait),
        };
        let now = clock.since_boot();
        if self.looked_at.is_some_and(|last| now < last + LOOK_EVERY) {
            return Ok(Look::GoOn);
        }
        self.looked_at = Some(now);
        let left = remaining(queue, ledger, only, clock.now()).await?;
        Ok(self.judge(&left, only, max_wait, clock.now()))
    }

    fn judge(
        &mut self,
        left: &Remaining,
        only: Option<RunKey>,
        max_wait: Option<Duration>,
        now: SystemTime,
    ) -> Look {
        if !left.pending.is_empty() {
            return Look::GoOn;
        }
        // A drain does not wait for what is scheduled; the run that was asked for is waited for.
        let scheduled = left.scheduled.values().copied().filter(|_| only.is_some());
        let Some(due) = left.next_due().into_iter().chain(scheduled).min() else {
            let paused = only.is_some() && !left.paused.is_empty();
            return Look::End(paused.then_some(LeftWork::Paused));
        };
        let wait = due.duration_since(now).unwrap_or_default();
        if max_wait.is_some_and(|most| wait > most) {
            return Look::End(Some(LeftWork::DueLater(wait)));
        }
        if wait.is_zero() || self.told.is_some_and(|told| told >= due) {
            return Look::GoOn;
        }
        self.told = Some(due);
        Look::WaitUntil(due)
    }
}
