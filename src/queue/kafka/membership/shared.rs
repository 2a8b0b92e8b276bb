//! What the three sides of a membership share: the engine, the thread that polls and the thread that commits.

use super::assignments::Assignments;
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::{Ownership, Token};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// How often a condition is checked that time alone may fulfil.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

pub(super) struct Shared {
    assignments: Mutex<Assignments>,
    /// A partition was released, or the group was left.
    released: Condvar,
    commit_lock: Mutex<()>,
    changes: UnboundedSender<Ownership>,
    /// Send and every tier that there is.
    topics: Mutex<Vec<Topic>>,
}

impl Shared {
    pub fn new(changes: UnboundedSender<Ownership>, topics: Vec<Topic>) -> Shared {
        Shared {
            topics: Mutex::new(topics),
            assignments: Mutex::default(),
            released: Condvar::new(),
            commit_lock: Mutex::default(),
            changes,
        }
    }

    pub fn assignments(&self) -> MutexGuard<'_, Assignments> {
        self.assignments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub fn topics(&self) -> Vec<Topic> {
        let topics = self.topics.lock();
        topics.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Topics are never removed: one without a leader is not listed for a moment, and its partitions are still owned.
    pub fn add_topics(&self, there: &[Topic]) {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<Topic> = there
            .iter()
            .copied()
            .filter(|t| !topics.contains(t))
            .collect();
        topics.extend(new);
    }

    /// Held from the check that a partition is owned until the coordinator has answered its commit. A rebalance takes it
    /// before it ends ownership, so that no commit is sent or in flight for a partition that is owned no more.
    pub fn lock_commits(&self) -> MutexGuard<'_, ()> {
        self.commit_lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the assignments and reports the changes under one lock, so that they are reported in order.
    pub fn change(&self, act: impl FnOnce(&mut Assignments) -> Vec<Ownership>) {
        let mut assignments = self.assignments();
        for change in act(&mut assignments) {
            tracing::debug!(?change, "ownership");
            // After the membership is dropped nobody receives changes.
            let _ = self.changes.send(change);
        }
        drop(assignments);
        self.released.notify_all();
    }

    pub fn release(&self, at: TopicPartition, token: Token) {
        self.assignments().release(at, token);
        self.released.notify_all();
    }

    /// Blocks until the group has been joined again and has assigned partitions. False: not in time.
    pub fn wait_rejoined(&self, longest: Duration) -> bool {
        let begun = Instant::now();
        let mut assignments = self.assignments();
        while !assignments.has_rejoined() {
            if begun.elapsed() >= longest {
                return false;
            }
            let waited = self.released.wait_timeout(assignments, CHECK_INTERVAL);
            (assignments, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    /// Blocks until none of these partitions is owned, the group is left, or the time is over.
    pub fn wait_released(&self, of: &[TopicPartition], longest: Duration) {
        let begun = Instant::now();
        let mut assignments = self.assignments();
        while assignments.owns_any(of) && !assignments.has_left {
            let left = longest.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return;
            }
            let waited = self.released.wait_timeout(assignments, left);
            (assignments, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}
