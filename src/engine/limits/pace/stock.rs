//! Slots taken from the queue's bucket shortly before they begin, one for each MAIL FROM. A slot that passed by more
//! than the tolerance is given up: other workers may have taken the next ones, so using it late would make a burst.

use crate::domain::rate::Rate;
use crate::engine::limits::shares::Share;
use crate::engine::limits::token_bucket;
use crate::queue::{SlotRequest, Slots};
use std::collections::VecDeque;
use std::time::Duration;

#[derive(Debug)]
pub struct Stock {
    bucket: String,
    slots: VecDeque<Duration>,
    /// When the next free slot begins, as the bucket last said.
    next: Duration,
    /// The last slots that passed without a message, ascending. The bucket is told of them with the next request.
    passed: Vec<Duration>,
}

/// More of them are not worth keeping: others have taken later ones by then, or the worker was away.
const MOST_PASSED: usize = 64;

impl Stock {
    pub fn new(bucket: String) -> Stock {
        Stock {
            bucket,
            slots: VecDeque::new(),
            next: Duration::ZERO,
            passed: Vec::new(),
        }
    }

    pub fn clear(&mut self) {
        self.slots.clear();
        self.passed.clear();
        self.next = Duration::ZERO;
    }

    /// Slots that have not passed.
    pub fn count(&mut self, rate: Rate, now: Duration) -> usize {
        self.give_up(rate, now);
        self.slots.len()
    }

    /// Slots that have begun and have not passed.
    pub fn begun(&mut self, rate: Rate, now: Duration) -> usize {
        self.give_up(rate, now);
        self.slots.partition_point(|at| *at <= now)
    }

    pub fn first(&mut self, rate: Rate, now: Duration) -> Option<Duration> {
        self.give_up(rate, now);
        self.slots.front().copied()
    }

    pub fn take(&mut self, rate: Rate, now: Duration) {
        if self.first(rate, now).is_some_and(|at| at <= now) {
            self.slots.pop_front();
        }
    }

    pub fn next(&self) -> Duration {
        self.next
    }

    /// What to ask the bucket for, so that there are `want` slots that begin soon. `None`: nothing would come of it.
    /// `could_go`: a message lacked nothing but its slot, so slots that passed were missed by a moment. Otherwise they
    /// count as used, because a worker that cannot send would take them again and again, and others would get none.
    pub fn request(
        &mut self,
        share: Share,
        (want, could_go): (usize, bool),
        now: Duration,
        horizon: Duration,
    ) -> Option<SlotRequest> {
        let interval = token_bucket::interval(share.rate)?;
        let missing = want.saturating_sub(self.count(share.rate, now));
        let passed = std::mem::take(&mut self.passed);
        let unused = if could_go { passed } else { Vec::new() };
        let may_come = self.next.saturating_sub(horizon) <= now || !unused.is_empty();
        (missing > 0 && may_come).then(|| SlotRequest {
            bucket: self.bucket.clone(),
            want: u32::try_from(missing).unwrap_or(u32::MAX),
            interval,
            burst: share.burst,
            horizon,
            unused,
        })
    }

    pub fn receive(&mut self, slots: Slots) {
        self.next = slots.next;
        self.slots.extend(slots.at);
    }

    fn give_up(&mut self, rate: Rate, now: Duration) {
        let Some(tolerance) = token_bucket::tolerance(rate) else {
            return;
        };
        while let Some(at) = self.slots.front().filter(|at| **at + tolerance < now) {
            if self.passed.len() == MOST_PASSED {
                self.passed.remove(0);
            }
            self.passed.push(*at);
            self.slots.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_is_told_of_slots_that_passed() {
        let seconds = Duration::from_secs;
        let rate = Rate::per_minute(60);
        let share = Share { rate, burst: 1 };
        let mut stock = Stock::new("rate".into());
        stock.receive(Slots {
            at: vec![seconds(10), seconds(11)],
            next: seconds(12),
        });
        stock.take(rate, seconds(10));
        assert_eq!(
            stock.request(share, (1, true), seconds(10), seconds(1)),
            None
        );
        let request = stock
            .request(share, (1, true), seconds(100), seconds(1))
            .unwrap();
        assert_eq!((request.want, request.unused), (1, vec![seconds(11)]));
        // Once, and only where a message could have gone.
        stock.receive(Slots {
            at: vec![seconds(101)],
            next: seconds(200),
        });
        assert_eq!(
            stock.request(share, (1, false), seconds(150), seconds(1)),
            None
        );
        assert_eq!(
            stock.request(share, (1, true), seconds(150), seconds(1)),
            None
        );
        assert_eq!(
            stock.request(share, (1, true), seconds(100), seconds(1)),
            None
        );
    }

    #[test]
    fn a_slot_is_used_once_and_given_up_when_it_has_passed() {
        let seconds = Duration::from_secs;
        let rate = Rate::per_minute(60);
        let mut stock = Stock::new("rate".into());
        stock.slots.extend([10, 11, 12].map(seconds));
        stock.take(rate, seconds(9));
        assert_eq!(stock.count(rate, seconds(9)), 3);
        stock.take(rate, seconds(10));
        assert_eq!(stock.first(rate, seconds(10)), Some(seconds(11)));
        let begun = [10, 11, 12].map(|at| stock.begun(rate, seconds(at)));
        assert_eq!(begun, [0, 1, 1]);
        stock.slots = [11, 12].map(seconds).into();
        let late = seconds(11) + token_bucket::tolerance(rate).unwrap();
        assert_eq!(stock.count(rate, late), 2);
        assert_eq!(stock.count(rate, late + Duration::from_nanos(1)), 1);
    }
}
