//! Rates as slots in time: GCRA, a token bucket in one instant. Pure; the queue-wide bucket is the queue's
//! (`Queue::take_slots`), the bucket here is for the limits of one relay or site inside one process.

use crate::domain::rate::Rate;
use std::time::Duration;

/// Pacing stays this far under the limit, so that lateness makes no message too many in a window: more than
/// [`LATENESS_PER_MILLE`], which is what it has to cover.
const MARGIN_PER_MILLE: u128 = 10;
const LATENESS_PER_MILLE: u32 = 5;
/// Longer windows are judged in equal parts of at least this, so that a day's rate cannot pile up for minutes.
const PART: Duration = Duration::from_secs(60);

/// The distance between slots, 1 % more than the rate's own, rounded up to the nanosecond; `None` when unlimited.
pub fn interval(rate: Rate) -> Option<Duration> {
    let Rate::Limited { count, window } = rate else {
        return None;
    };
    let slots = u128::from(count.max(1)) * (1_000 - MARGIN_PER_MILLE);
    let nanos = window.as_nanos().saturating_mul(1_000).div_ceil(slots);
    Some(Duration::from_nanos(
        u64::try_from(nanos).unwrap_or(u64::MAX),
    ))
}

/// How much later than its slot a message may begin; later than that it gives the slot up and takes another. 0.5 % of
/// the window, of windows over a minute 0.5 % of a minute (or of the interval where that is longer).
pub fn tolerance(rate: Rate) -> Option<Duration> {
    let Rate::Limited { window, .. } = rate else {
        return None;
    };
    let part = PART.max(interval(rate)?).min(window);
    Some(part * LATENESS_PER_MILLE / 1_000)
}

/// Slots of one limit. In any window of the rate begin at most its count, and `burst - 1` more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    interval: Duration,
    burst: u32,
    /// Where the last slot taken would be without bursts; `None` before the first.
    last: Option<Duration>,
}

impl Bucket {
    /// `burst` slots may come at once after a rest; 1 spaces them all.
    pub fn new(rate: Rate, burst: u32) -> Bucket {
        Bucket {
            interval: interval(rate).unwrap_or_default(),
            burst: burst.max(1),
            last: None,
        }
    }

    /// From the last slot on: the next one keeps the new distance from it.
    pub fn set_rate(&mut self, rate: Rate) {
        self.interval = interval(rate).unwrap_or_default();
    }

    /// When the next slot begins, `now` or later.
    pub fn next(&self, now: Duration) -> Duration {
        let Some(last) = self.last else {
            return now;
        };
        let early = self.interval.saturating_mul(self.burst - 1);
        let due = last.saturating_add(self.interval).saturating_sub(early);
        due.max(now)
    }

    /// Takes the next slot and says when it begins.
    pub fn take(&mut self, now: Duration) -> Duration {
        let slot = self.next(now);
        let due = self
            .last
            .map_or(slot, |last| last.saturating_add(self.interval));
        self.last = Some(due.max(slot));
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn spaces_slots_a_little_wider_than_the_rate() {
        for (text, interval_micros, tolerance_millis) in [
            ("30/min", 2_020_202, 300),
            ("1/min", 60_606_060, 300),
            ("500/s", 2_020, 5),
            ("10000/h", 363_636, 300),
            ("2M/day", 43_636, 300),
            ("24/day", 3_636_363_636, 18_181),
            ("1/day", 87_272_727_272, 432_000),
        ] {
            let found = interval(rate(text)).unwrap().as_micros();
            assert_eq!(found, interval_micros, "{text}");
            let found = tolerance(rate(text)).unwrap().as_millis();
            assert_eq!(found, tolerance_millis, "{text}");
        }
        assert_eq!(interval(Rate::Unlimited), None);
        assert_eq!(tolerance(Rate::Unlimited), None);
        let huge = Rate::Limited {
            count: u64::MAX,
            window: Duration::MAX,
        };
        assert!(interval(huge).unwrap() > Duration::from_secs(1));
    }

    #[test]
    fn a_changed_rate_counts_from_the_last_slot() {
        let second = Duration::from_secs(1);
        let mut bucket = Bucket::new(rate("60/min"), 1);
        assert_eq!(bucket.take(second * 100), second * 100);
        bucket.set_rate(rate("1/min"));
        assert_eq!(bucket.next(second * 101).as_secs(), 160);
        bucket.set_rate(Rate::Unlimited);
        assert_eq!(bucket.take(second * 101), second * 101);
        assert_eq!(bucket.take(second * 101), second * 101);
        bucket.set_rate(rate("60/min"));
        assert!(bucket.take(second * 101) > second * 102);
    }

    #[test]
    fn a_rest_makes_room_for_one_burst() {
        let second = Duration::from_secs(1);
        let mut bucket = Bucket::new(rate("60/min"), 3);
        let mut round = |now: Duration| (0..5).filter(|_| bucket.take(now) == now).count();
        assert_eq!(round(second), 3);
        assert_eq!(round(second * 1_000), 3);
    }

    /// Most messages that begin in one window; `begun` ascends.
    fn most_in_a_window(begun: &[Duration], window: Duration) -> u64 {
        let mut first = 0;
        let mut most = 0;
        for (index, at) in begun.iter().enumerate() {
            while *at >= begun[first] + window {
                first += 1;
            }
            most = most.max(index - first + 1);
        }
        most as u64
    }

    proptest! {
        #[test]
        fn no_window_holds_more_than_the_rate(
            count in 1u64..60,
            unit in 0usize..4,
            burst in 1u32..8,
            steps in prop::collection::vec((0u64..2_000, 0u64..=1_000), 1..400),
        ) {
            let window = Duration::from_secs([1, 60, 3_600, 86_400][unit]);
            let rate = Rate::Limited { count, window };
            let (step, late) = (interval(rate).unwrap(), tolerance(rate).unwrap());
            let mut bucket = Bucket::new(rate, burst);
            let mut now = Duration::ZERO;
            let mut begun = Vec::new();
            // Requests come between at once and two intervals apart; each begins up to the tolerance late.
            for (gap, lateness) in steps {
                now += step * u32::try_from(gap.saturating_sub(1_000)).unwrap() / 500;
                now = bucket.take(now);
                begun.push(now + late * u32::try_from(lateness).unwrap() / 1_000);
            }
            begun.sort();
            let most = most_in_a_window(&begun, window);
            prop_assert!(most < count + u64::from(burst), "{most} of {count}");
        }

        #[test]
        fn constant_demand_uses_98_percent(count in 1u64..100_000, unit in 0usize..4) {
            let window = Duration::from_secs([1, 60, 3_600, 86_400][unit]);
            let mut bucket = Bucket::new(Rate::Limited { count, window }, 1);
            let mut now = Duration::ZERO;
            for _ in 0..1_000 {
                now = bucket.take(now);
            }
            let used = 999.0 / now.as_secs_f64() / (count as f64 / window.as_secs_f64());
            prop_assert!((0.98..=0.995).contains(&used), "{used}");
        }
    }
}
