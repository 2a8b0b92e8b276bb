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
    /// Since when no relay is there.
    away_since: Option<Duration>,
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
            away_since: None,
            told: None,
        }
    }

    fn max_wait(&self) -> Option<Duration> {
        match self.goal {
            Goal::Serve => None,
            Goal::Drain { max_wait } | Goal::Run { max_wait, .. } => max_wait,
        }
    }

    /// Whether all relays have been away for longer than is waited.
    pub fn gives_up(&mut self, are_relays_away: bool, now: Duration) -> bool {
        let since = self.away_since.unwrap_or(now);
        self.away_since = are_relays_away.then_some(since);
        let away_for = now.saturating_sub(since);
        are_relays_away && self.max_wait().is_some_and(|most| away_for > most)
    }

    /// Looks now and then. The ledger is brought to the campaign topic's end.
    pub async fn look(
        &mut self,
        queue: &dyn Queue,
        ledger: &mut Ledger,
        clock: &dyn Clock,
    ) -> Result<Look, WorkerError> {
        let only = match self.goal {
            Goal::Serve => return Ok(Look::GoOn),
            Goal::Drain { .. } => None,
            Goal::Run { run, .. } => Some(run),
        };
        let now = clock.since_boot();
        if self.looked_at.is_some_and(|last| now < last + LOOK_EVERY) {
            return Ok(Look::GoOn);
        }
        self.looked_at = Some(now);
        let left = remaining(queue, ledger, only, clock.now()).await?;
        Ok(self.judge(&left, only, clock.now()))
    }

    fn judge(&mut self, left: &Remaining, only: Option<RunKey>, now: SystemTime) -> Look {
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
        if self.max_wait().is_some_and(|most| wait > most) {
            return Look::End(Some(LeftWork::DueLater(wait)));
        }
        if wait.is_zero() || self.told.is_some_and(|told| told >= due) {
            return Look::GoOn;
        }
        self.told = Some(due);
        Look::WaitUntil(due)
    }
}
