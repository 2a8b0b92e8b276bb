//! What the engine's side, the polling thread and the committing thread of a membership share.

use super::seats::Seats;
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::{Ownership, Token};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// What comes to pass by time alone is looked at this often.
const LOOK: Duration = Duration::from_millis(50);

pub(super) struct Shared {
    seats: Mutex<Seats>,
    /// Something was given up, or the group is left.
    given: Condvar,
    /// Held from "do I own it?" to the commit's answer: who takes ownership away waits for it, so that no commit is
    /// sent by who is owner no more.
    pub commit_gate: Mutex<()>,
    changes: UnboundedSender<Ownership>,
    /// Send and every tier that there is.
    topics: Mutex<Vec<Topic>>,
}

impl Shared {
    pub fn new(changes: UnboundedSender<Ownership>, topics: Vec<Topic>) -> Shared {
        Shared {
            topics: Mutex::new(topics),
            seats: Mutex::default(),
            given: Condvar::new(),
            commit_gate: Mutex::default(),
            changes,
        }
    }

    pub fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn topics(&self) -> Vec<Topic> {
        let topics = self.topics.lock();
        topics.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// None is ever taken off: one that is not led for a moment is not listed, and its partitions are owned all the same.
    pub fn add_topics(&self, there: &[Topic]) {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<Topic> = there
            .iter()
            .copied()
            .filter(|t| !topics.contains(t))
            .collect();
        topics.extend(new);
    }

    pub fn gate(&self) -> MutexGuard<'_, ()> {
        self.commit_gate
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the seats and tells what changed, in one step, so that changes are heard in order.
    pub fn change(&self, act: impl FnOnce(&mut Seats) -> Vec<Ownership>) {
        let mut seats = self.seats();
        for change in act(&mut seats) {
            tracing::debug!(?change, "ownership");
            // Nobody listens after the membership is dropped.
            let _ = self.changes.send(change);
        }
        drop(seats);
        self.given.notify_all();
    }

    pub fn give_up(&self, at: TopicPartition, token: Token) {
        self.seats().give_up(at, token);
        self.given.notify_all();
    }

    /// Blocks until the group has given back what it does, after it was left and joined again. False: not in time.
    pub fn wait_returned(&self, longest: Duration) -> bool {
        let begun = Instant::now();
        let mut seats = self.seats();
        while !seats.has_returned() {
            if begun.elapsed() >= longest {
                return false;
            }
            let waited = self.given.wait_timeout(seats, LOOK);
            (seats, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    /// Blocks until none of these is owned, for so long at the most, or the group is left.
    pub fn wait_given(&self, of: &[TopicPartition], longest: Duration) {
        let begun = Instant::now();
        let mut seats = self.seats();
        while seats.owns_any(of) && !seats.has_left {
            let left = longest.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return;
            }
            let waited = self.given.wait_timeout(seats, left);
            (seats, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}
