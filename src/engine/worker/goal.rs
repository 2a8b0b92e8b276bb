//! When a worker that drains is done. Decided from cursors, sets and log ends, never from counters.

use super::lanes::Lanes;
use super::settings::{Goal, LeftWork, WorkerError};
use crate::clock::Clock;
use crate::domain::ids::RunKey;
use crate::engine::account::{Remaining, pending_at, remaining_in};
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GoalStatus {
    Continue,
    /// Nothing to do before this. Returned once.
    WaitUntil(SystemTime),
    /// These other workers hold what is left, and for longer than this worker waits nobody has committed anything. They
    /// may be stopped (SIGSTOP) or locked out.
    HeldBy(Vec<String>),
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

    /// Checks now and then; reads the ledger to the campaign topic's end for it. `has_work`: the worker of this name has
    /// something to do itself.
    pub async fn check(
        &mut self,
        queue: &dyn Queue,
        ledger: &mut Ledger,
        (clock, gates): (&dyn Clock, &SendGates<'_>),
        (me, has_work): (&str, bool),
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
        let strings = refresh(queue, ledger).await?;
        let asked = (only, clock.now());
        let left = remaining_in(queue, ledger, &strings, asked).await?;
        let status = self.judge(&left, only, (clock.now(), gates));
        if status != GoalStatus::Continue || has_work || gates.are_closed() {
            self.unchanged = None;
            return Ok(status);
        }
        let pending = pending_at(ledger, &strings, asked)?;
        if !self.waits_in_vain(strings, now) {
            return Ok(status);
        }
        let others = queue.members().await?.into_iter();
        let holders = others
            .filter(|other| other.name != me && other.owned.iter().any(|at| pending.contains(at)))
            .map(|other| other.name);
        let holders: Vec<String> = holders.collect();
        Ok(match holders.is_empty() {
            true => status,
            false => GoalStatus::HeldBy(holders),
        })
    }

    /// Whether the commits have been these for longer than the worker waits.
    fn waits_in_vain(&mut self, strings: Strings, now: Duration) -> bool {
        let same = self.unchanged.take().filter(|(known, _)| *known == strings);
        let since = same.map_or(now, |(_, since)| since);
        self.unchanged = Some((strings, since));
        let waited = now.saturating_sub(since);
        self.max_wait().is_some_and(|most| waited > most)
    }

    fn judge(
        &mut self,
        left: &Remaining,
        only: Option<RunKey>,
        (now, gates): (SystemTime, &SendGates<'_>),
    ) -> GoalStatus {
        let Some(due) = due(left, only, now) else {
            let paused = only.is_some() && !left.paused.is_empty();
            return GoalStatus::Done(paused.then_some(LeftWork::Paused));
        };
        let (opens, left) = gates.from(due, now);
        let wait = opens.duration_since(now).unwrap_or_default();
        if self.max_wait().is_some_and(|most| wait > most) {
            return GoalStatus::Done(Some(left));
        }
        if opens > due {
            // The worker itself says when the windows close and when quotas are used up.
            return GoalStatus::Continue;
        }
        if wait.is_zero() || self.announced.is_some_and(|announced| announced >= due) {
            return GoalStatus::Continue;
        }
        self.announced = Some(due);
        GoalStatus::WaitUntil(due)
    }
}

/// What holds back all mail of this worker.
pub struct SendGates<'a>(pub &'a Lanes);

impl SendGates<'_> {
    fn are_closed(&self) -> bool {
        !self.0.may_send()
    }

    /// When mail that is due then may go, and what it waits for.
    fn from(&self, due: SystemTime, now: SystemTime) -> (SystemTime, LeftWork) {
        let used_up_until = self.0.quotas_used_up_until();
        let renewed = used_up_until.map_or(due, |until| until.max(due));
        let opens = self.0.hours.from(renewed);
        let wait = opens.duration_since(now).unwrap_or_default();
        let left = match () {
            () if opens > renewed => LeftWork::OutsideWindows(wait),
            () if renewed > due => LeftWork::QuotaUsedUp(wait),
            () => LeftWork::DueLater(wait),
        };
        (opens, left)
    }
}

/// When something of what is left may go, by itself. `None`: nothing will.
fn due(left: &Remaining, only: Option<RunKey>, now: SystemTime) -> Option<SystemTime> {
    if !left.pending.is_empty() {
        return Some(now);
    }
    // A drain does not wait for scheduled runs; a worker for one run waits for that one.
    let scheduled = left.scheduled.values().copied().filter(|_| only.is_some());
    let next = left.next_due().into_iter().chain(scheduled).min();
    next.map(|due| due.max(now))
}
