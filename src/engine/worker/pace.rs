//! A stock of slots in time: taken from the queue's bucket shortly before they begin, used up by MAIL FROM.
//! A slot that passed by more than the tolerance is given up, so lateness makes no burst.

use crate::domain::rate::Rate;
use crate::engine::pacer;
use crate::queue::{Queue, QueueError, SlotRequest};
use std::collections::VecDeque;
use std::time::Duration;

/// Slots are taken this long before they begin, or as long as a commit takes to come back where that is longer: a
/// slot that has passed when the claim is acknowledged is lost.
const SHORTEST_HORIZON: Duration = Duration::from_millis(60);
const LONGEST_HORIZON: Duration = Duration::from_secs(1);

/// How far ahead slots are taken when the slowest of the last cycles took this long.
pub fn horizon(slowest_cycle: Duration) -> Duration {
    (slowest_cycle * 2).clamp(SHORTEST_HORIZON, LONGEST_HORIZON)
}

#[derive(Debug)]
pub struct Pace {
    bucket: String,
    rate: Rate,
    burst: u32,
    slots: VecDeque<Duration>,
    /// When the next free slot begins, as the bucket last said.
    next: Duration,
}

impl Pace {
    pub fn new(bucket: String, rate: Rate, burst: u32) -> Pace {
        Pace {
            bucket,
            rate,
            burst,
            slots: VecDeque::new(),
            next: Duration::ZERO,
        }
    }

    pub fn is_unlimited(&self) -> bool {
        self.rate == Rate::Unlimited
    }

    pub fn set_rate(&mut self, rate: Rate, burst: u32) {
        if (self.rate, self.burst) != (rate, burst) {
            (self.rate, self.burst) = (rate, burst);
            self.slots.clear();
            self.next = Duration::ZERO;
        }
    }

    /// Slots in stock that have not passed; without limit as many as one likes.
    pub fn stock(&mut self, now: Duration) -> usize {
        self.give_up(now);
        if self.is_unlimited() {
            usize::MAX
        } else {
            self.slots.len()
        }
    }

    /// When the first slot of the stock begins.
    pub fn opens(&mut self, now: Duration) -> Option<Duration> {
        self.give_up(now);
        if self.is_unlimited() {
            Some(now)
        } else {
            self.slots.front().copied()
        }
    }

    /// Uses the slot that has begun.
    pub fn take(&mut self, now: Duration) -> bool {
        if self.is_unlimited() {
            return true;
        }
        self.give_up(now);
        let begun = self.slots.front().is_some_and(|at| *at <= now);
        begun && self.slots.pop_front().is_some()
    }

    /// The earliest moment at which asking for slots makes sense again; `None` when unlimited.
    pub fn ask_at(&self, horizon: Duration) -> Option<Duration> {
        (!self.is_unlimited()).then(|| self.next.saturating_sub(horizon))
    }

    /// Fills the stock up to `want` slots that begin soon.
    pub async fn fill(
        &mut self,
        queue: &dyn Queue,
        want: usize,
        now: Duration,
        horizon: Duration,
    ) -> Result<(), QueueError> {
        let Some(interval) = pacer::interval(self.rate) else {
            return Ok(());
        };
        let missing = want.saturating_sub(self.stock(now));
        if missing == 0 || self.ask_at(horizon).is_some_and(|at| at > now) {
            return Ok(());
        }
        let want = u32::try_from(missing).unwrap_or(u32::MAX);
        let request = SlotRequest {
            bucket: self.bucket.clone(),
            want,
            interval,
            burst: self.burst,
            horizon,
        };
        let slots = queue.take_slots(request).await?;
        self.next = slots.next;
        self.slots.extend(slots.at);
        Ok(())
    }

    fn give_up(&mut self, now: Duration) {
        let Some(tolerance) = pacer::tolerance(self.rate) else {
            return;
        };
        while self.slots.front().is_some_and(|at| *at + tolerance < now) {
            self.slots.pop_front();
        }
    }
}
