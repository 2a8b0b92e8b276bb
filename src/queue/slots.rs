//! GCRA, a token bucket in one timestamp (ITU-T I.371), as arithmetic. Every queue with shared buckets uses it.

use super::{SlotRequest, Slots};
use std::time::Duration;

/// The most slots that one request takes.
pub const MAX_SLOTS: u32 = 10_000;

/// The state of a bucket. Without one the first slot is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// The theoretical arrival time of the next slot, if none came early, on the boot-time clock.
    pub due: Duration,
    /// The interval after the last slot. When the rate has changed, the next slot comes one new interval after the last.
    pub interval: Duration,
}

/// Takes up to `want` slots that begin before now + `horizon`; returns them and the bucket's next state. No half-open
/// window of n intervals holds more than n + `burst` - 1 used slots, whichever processes took them.
pub fn gcra(bucket: Option<Bucket>, now: Duration, request: &SlotRequest) -> (Slots, Bucket) {
    let interval = request.interval;
    let bucket = bucket.map(|last| without_unused(last, request));
    let early = interval.saturating_mul(request.burst.saturating_sub(1));
    let mut due = match bucket {
        Some(last) if last.interval != interval => last
            .due
            .saturating_sub(last.interval)
            .saturating_add(interval),
        Some(last) => last.due,
        None => now,
    };
    let limit = now.saturating_add(request.horizon);
    let want = usize::try_from(request.want.min(MAX_SLOTS)).unwrap_or(0);
    let mut at = Vec::new();
    loop {
        let next = due.saturating_sub(early).max(now);
        if at.len() == want || next >= limit {
            return (Slots { at, next }, Bucket { due, interval });
        }
        at.push(next);
        due = due.max(next).saturating_add(interval);
    }
}

/// The bucket without its last slots, if these were not used. A slot that a worker missed by a few milliseconds would
/// else cost a whole interval. With a burst it is not known what was early, so nothing is given back.
fn without_unused(mut bucket: Bucket, request: &SlotRequest) -> Bucket {
    if request.burst > 1 || bucket.interval != request.interval {
        return bucket;
    }
    for slot in request.unused.iter().rev() {
        if slot.saturating_add(bucket.interval) != bucket.due {
            break;
        }
        bucket.due = *slot;
    }
    bucket
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn request(want: u32, burst: u32) -> SlotRequest {
        SlotRequest {
            bucket: "rate".into(),
            want,
            interval: SECOND,
            burst,
            horizon: SECOND * 3,
            unused: Vec::new(),
        }
    }

    fn seconds(slots: &Slots) -> Vec<u64> {
        slots.at.iter().map(Duration::as_secs).collect()
    }

    #[test]
    fn a_fresh_bucket_begins_now() {
        let (slots, bucket) = gcra(None, SECOND * 100, &request(9, 1));
        assert_eq!(seconds(&slots), [100, 101, 102]);
        assert_eq!(slots.next, SECOND * 103);
        let (slots, _) = gcra(Some(bucket), SECOND * 101, &request(9, 1));
        assert_eq!(seconds(&slots), [103]);
    }

    #[test]
    fn the_last_slots_are_free_again_if_nobody_used_them() {
        let (first, bucket) = gcra(None, SECOND * 100, &request(2, 1));
        assert_eq!(seconds(&first), [100, 101]);
        let back = SlotRequest {
            unused: vec![SECOND * 101],
            ..request(1, 1)
        };
        let late = SECOND * 101 + Duration::from_millis(40);
        let (slots, _) = gcra(Some(bucket), late, &back);
        assert_eq!(slots.at, [late]);
        // Another worker has taken a later one.
        let (other, bucket) = gcra(Some(bucket), SECOND * 101, &request(1, 1));
        assert_eq!(seconds(&other), [102]);
        let (slots, _) = gcra(Some(bucket), SECOND * 101, &back);
        assert_eq!(seconds(&slots), [103]);
    }

    #[test]
    fn a_burst_comes_early_once() {
        let (slots, bucket) = gcra(None, SECOND * 100, &request(4, 3));
        assert_eq!(seconds(&slots), [100, 100, 100, 101]);
        let (slots, bucket) = gcra(Some(bucket), SECOND * 100, &request(1, 3));
        assert_eq!(seconds(&slots), [102]);
        // After a long pause the burst is full again, and no more.
        let (slots, _) = gcra(Some(bucket), SECOND * 900, &request(4, 3));
        assert_eq!(seconds(&slots), [900, 900, 900, 901]);
    }

    #[test]
    fn a_faster_rate_counts_from_the_last_slot() {
        let slow = SlotRequest {
            interval: SECOND * 3_600,
            ..request(1, 1)
        };
        let (_, bucket) = gcra(None, SECOND * 100, &slow);
        let (slots, _) = gcra(Some(bucket), SECOND * 100, &request(1, 1));
        assert_eq!(seconds(&slots), [101]);
    }

    #[test]
    fn extremes_do_not_overflow_or_hang() {
        let wide = SlotRequest {
            want: u32::MAX,
            interval: Duration::ZERO,
            burst: u32::MAX,
            horizon: Duration::MAX,
            ..request(0, 0)
        };
        let (slots, _) = gcra(None, SECOND, &wide);
        assert_eq!(slots.at.len(), 10_000);
        let far = SlotRequest {
            interval: Duration::MAX,
            ..wide
        };
        let last = Bucket {
            due: Duration::MAX,
            interval: SECOND,
        };
        gcra(Some(last), SECOND, &far);
        gcra(None, Duration::MAX, &far);
    }

    proptest! {
        #[test]
        fn no_window_holds_more(
            burst in 1u32..5,
            calls in proptest::collection::vec((0u64..4_000, 0u32..6, 1u64..5_000, 0usize..4), 1..60),
        ) {
            let mut bucket = None;
            let mut now = SECOND;
            // Two workers, whose last slots go unused now and then.
            let mut all: Vec<Duration> = Vec::new();
            let mut last: [Vec<Duration>; 2] = Default::default();
            for (worker, (step, want, horizon, missed)) in calls.into_iter().enumerate() {
                let last = &mut last[worker % 2];
                now += Duration::from_millis(step);
                let unused = last.split_off(last.len().saturating_sub(missed));
                all.retain(|slot| !unused.contains(slot));
                let ask = SlotRequest {
                    horizon: Duration::from_millis(horizon),
                    unused,
                    ..request(want, burst)
                };
                let (slots, next) = gcra(bucket, now, &ask);
                last.clone_from(&slots.at);
                for slot in &slots.at {
                    prop_assert!(*slot >= now && *slot < now + ask.horizon);
                }
                prop_assert!(slots.at.len() == want as usize || slots.next >= now + ask.horizon);
                bucket = Some(next);
                all.extend(slots.at);
            }
            all.sort_unstable();
            for n in 1u32..6 {
                for (i, first) in all.iter().enumerate() {
                    let inside = all[i..].iter().filter(|slot| **slot < *first + SECOND * n).count();
                    prop_assert!(inside <= (n + burst - 1) as usize, "{inside} in {n}");
                }
            }
        }
    }
}
