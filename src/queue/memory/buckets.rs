//! The queue-wide buckets: slots by GCRA, one instant for each bucket.

use crate::queue::{SlotRequest, Slots};
use std::collections::BTreeMap;
use std::time::Duration;

/// By bucket: when its next slot is due, were none to come early.
#[derive(Debug, Default)]
pub(super) struct Buckets(BTreeMap<String, Duration>);

impl Buckets {
    pub fn take(&mut self, now: Duration, request: &SlotRequest) -> Slots {
        let early = request
            .interval
            .saturating_mul(request.burst.saturating_sub(1));
        let bucket = self.0.entry(request.bucket.clone()).or_default();
        let mut slots = Slots::default();
        loop {
            slots.next = now.max(bucket.saturating_sub(early));
            let is_enough = slots.at.len() >= request.want as usize;
            if is_enough || slots.next > now + request.horizon {
                return slots;
            }
            slots.at.push(slots.next);
            *bucket = slots.next.max(*bucket) + request.interval;
        }
    }
}
