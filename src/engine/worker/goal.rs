//! When a worker that drains is done. Decided from cursors, sets and log ends, never from counters.

use super::settings::{Goal, LeftWork, WorkerError};
use crate::clock::Clock;
use crate::domain::ids::RunKey;
use crate::engine::account::{Remaining, remaining};
use crate::engine::read_model::view::{Strings, refresh};
use crate::protocol::Ledger;
use crate::queue::Queue;
use std::time::{Duration, SystemTime};

/// How often the queue is asked what is left, once nothing is in flight here.
const CHECK_EVERY: Duration = Duration::from_millis(300);

pub struct GoalWatch {
    goal: Goal,
    checked_at: Option<Duration>,
    /// Since when no relay is available.
    away_since: Option<Duration>,
    /// The operator knows that the worker waits until then.
    announced: Option<SystemTime>,
    /// All commits, and since when they have been the same while this worker had nothing to do.
    unchanged: Option<(Strings, Duration)>,
}

/// What is left in the queue means this for the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoalStatus {
    Continue,
    /// Nothing to do before this. Returned once.
    WaitUntil(SystemTime),
    /// The goal is reached, or cannot be.
    Done(Option<LeftWork>),
}

impl GoalWatch {
    pub fn new(goal: Goal) -> GoalWatch {
        GoalWatch {
            goal,
            checked_at: None,
            away_since: None,
            announced: None,
            unchanged: None,
        }
    }

    pub fn ends_by_itself(&self) -> bool {
        self.goal != Goal::Serve
    }

    fn max_wait(&self) -> Option<Duration> {
        match self.goal {
            Goal::Serve => None,
            Goal::Drain { max_wait } | Goal::Run { max_wait, .. } => max_wait,
        }
    }

    /// Whether all relays have been unavailable for longer than the worker waits.
    pub fn gives_up(&mut self, are_relays_away: bool, now: Duration) -> bool {
        let since = self.away_since.unwrap_or(now);
        self.away_since = are_relays_away.then_some(since);
        let away_for = now.saturating_sub(since);
        are_relays_away && self.max_wait().is_some_and(|most| away_for > most)
    }

    /// Checks now and then; reads the ledger to the campaign topic's end for it.
    pub async fn check(
        &mut self,
        queue: &dyn Queue,
        ledger: &mut Ledger,
        clock: &dyn Clock,
    ) -> Result<GoalStatus, WorkerError> {
        let only = match self.goal {
            Goal::Serve => return Ok(GoalStatus::Continue),
            Goal::Drain { .. } => None,
            Goal::Run { run, .. } => Some(run),
        };
        let now = clock.since_boot();
        if self.checked_at.is_some_and(|last| now < last + CHECK_EVERY) {
            return Ok(GoalStatus::Continue);
        }
        self.checked_at = Some(now);
        let left = remaining(queue, ledger, only, clock.now()).await?;
        Ok(self.judge(&left, only, clock.now()))
    }

    /// Other workers that hold what is left, where nothing has been committed by anybody for longer than this worker
    /// waits. They may be stopped (SIGSTOP) or locked out. `has_work`: this worker has something to do itself.
    pub async fn holders(
        &mut self,
        queue: &dyn Queue,
        ledger: &mut Ledger,
        me: &str,
        (now, has_work): (Duration, bool),
    ) -> Result<Vec<String>, WorkerError> {
        let Some(most) = self.max_wait().filter(|_| !has_work) else {
            self.unchanged = None;
            return Ok(Vec::new());
        };
        let strings = refresh(queue, ledger).await?;
        let same = self.unchanged.take().filter(|(known, _)| *known == strings);
        let since = same.map_or(now, |(_, since)| since);
        self.unchanged = Some((strings, since));
        if now.saturating_sub(since) <= most {
            return Ok(Vec::new());
        }
        let members = queue.members().await?.into_iter();
        let others = members.filter(|member| member.name != me && !member.owned.is_empty());
        Ok(others.map(|member| member.name).collect())
    }

    fn judge(&mut self, left: &Remaining, only: Option<RunKey>, now: SystemTime) -> GoalStatus {
        if !left.pending.is_empty() {
            return GoalStatus::Continue;
        }
        // A drain does not wait for scheduled runs; a worker for one run waits for that one.
        let scheduled = left.scheduled.values().copied().filter(|_| only.is_some());
        let Some(due) = left.next_due().into_iter().chain(scheduled).min() else {
            let paused = only.is_some() && !left.paused.is_empty();
            return GoalStatus::Done(paused.then_some(LeftWork::Paused));
        };
        let wait = due.duration_since(now).unwrap_or_default();
        if self.max_wait().is_some_and(|most| wait > most) {
            return GoalStatus::Done(Some(LeftWork::DueLater(wait)));
        }
        if wait.is_zero() || self.announced.is_some_and(|announced| announced >= due) {
            return GoalStatus::Continue;
        }
        self.announced = Some(due);
        GoalStatus::WaitUntil(due)
    }
}
