//! Slots of this process alone: the cluster has no bucket for all, so the engine shares the rate out before it asks.

use crate::clock::{Clock, SystemClock};
use crate::queue::slots::{Bucket, gcra};
use crate::queue::{SlotRequest, Slots};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Default)]
pub(super) struct Buckets(RefCell<BTreeMap<String, Bucket>>);

impl Buckets {
    pub fn take(&self, request: &SlotRequest) -> Slots {
        self.take_at(SystemClock.since_boot(), request)
    }

    /// A bucket is empty at its start: otherwise each start of a worker would be a burst.
    fn take_at(&self, now: Duration, request: &SlotRequest) -> Slots {
        let mut buckets = self.0.borrow_mut();
        let last = buckets.get(&request.bucket).copied();
        let last = last.unwrap_or_else(|| Bucket {
            due: now.saturating_add(request.interval.saturating_mul(request.burst.max(1))),
            interval: request.interval,
        });
        let (slots, next) = gcra(Some(last), now, request);
        buckets.insert(request.bucket.clone(), next);
        slots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn request(burst: u32) -> SlotRequest {
        SlotRequest {
            bucket: "rate".to_string(),
            want: 10,
            interval: SECOND,
            burst,
            horizon: SECOND * 3,
        }
    }

    #[test]
    fn the_first_slot_is_an_interval_after_the_start_whatever_the_burst() {
        for burst in [1, 4] {
            let buckets = Buckets::default();
            let slots = buckets.take_at(SECOND * 100, &request(burst));
            assert_eq!(slots.at, [SECOND * 101, SECOND * 102]);
            assert_eq!(slots.next, SECOND * 103);
        }
    }

    #[test]
    fn what_was_not_used_is_a_burst_later() {
        let buckets = Buckets::default();
        buckets.take_at(SECOND * 100, &request(3));
        let slots = buckets.take_at(SECOND * 900, &request(3));
        assert_eq!(slots.at.iter().filter(|at| **at == SECOND * 900).count(), 3);
    }
}
