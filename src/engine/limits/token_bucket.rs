//! A rate as slots in time: GCRA, a token bucket whose state is one instant. Pure. The queue has the buckets for all
//! processes (`Buckets::take_slots`); the one here is for one process and its share of a limit.

use crate::domain::rate::Rate;
use std::time::Duration;

/// Pacing stays this far under the limit, so that late messages never exceed it in any window. It must be more than
/// [`LATENESS_PER_MILLE`].
const MARGIN_PER_MILLE: u128 = 10;
const LATENESS_PER_MILLE: u32 = 5;
/// Longer windows are divided into equal parts of at least this, so that a daily rate does not gather for minutes.
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

/// How much later than its slot a message may begin; after that the slot is given up. 0.5 % of the window, or of a
/// minute for longer windows (or of the interval if that is longer).
pub fn tolerance(rate: Rate) -> Option<Duration> {
    let Rate::Limited { window, .. } = rate else {
        return None;
    };
    let part = PART.max(interval(rate)?).min(window);
    Some(part * LATENESS_PER_MILLE / 1_000)
}

/// The bucket of one process, whose rate changes with its share. Tokens are kept at a change, so a worker is never more
/// than one message, or its burst, ahead of the shares that it had.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    interval: Duration,
    tolerance: Duration,
    burst: u32,
    /// When the next slot begins if none comes early.
    due: Duration,
}

impl Bucket {
    /// `credit`: tokens at the start; from 1 on a message may begin. `None`: there is no limit.
    pub fn new(now: Duration, rate: Rate, burst: u32, credit: f64) -> Option<Bucket> {
        let interval = interval(rate)?;
        let burst = burst.max(1);
        let missing = (f64::from(burst) - credit).max(0.0);
        let wait = interval.as_secs_f64() * missing;
        // Longer than this program runs.
        let wait = Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX);
        Some(Bucket {
            interval,
            tolerance: tolerance(rate)?,
            burst,
            due: now.saturating_add(wait),
        })
    }

    /// Tokens, a part of one included: `burst` at most.
    pub fn credit(&self, now: Duration) -> f64 {
        let missing = self.due.saturating_sub(now).as_secs_f64() / self.interval.as_secs_f64();
        (f64::from(self.burst) - missing).max(0.0)
    }

    /// When the next slot begins, `now` or later.
    pub fn next(&self, now: Duration) -> Duration {
        self.due.saturating_sub(self.early()).max(now)
    }

    /// How many slots begin before `now + horizon`, `most` at the most, and when the one after these does.
    pub fn ahead(&self, now: Duration, horizon: Duration, most: usize) -> (usize, Duration) {
        let first = self.due.max(now).saturating_sub(self.early());
        let span = now.saturating_add(horizon).saturating_sub(first);
        let count = span.as_nanos().div_ceil(self.interval.as_nanos().max(1));
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(most);
        let steps = u32::try_from(count).unwrap_or(u32::MAX);
        let after = first.saturating_add(self.interval.saturating_mul(steps));
        (count, after.max(now))
    }

    /// Uses a slot that has begun. Lateness within the tolerance costs nothing; more of it moves all later slots.
    pub fn take(&mut self, now: Duration) -> bool {
        if self.next(now) > now {
            return false;
        }
        let from = self.due.max(now.saturating_sub(self.tolerance));
        self.due = from.saturating_add(self.interval);
        true
    }

    fn early(&self) -> Duration {
        self.interval.saturating_mul(self.burst - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

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

    fn bucket(text: &str, burst: u32, credit: f64) -> Bucket {
        Bucket::new(SECOND * 100, rate(text), burst, credit).unwrap()
    }

    /// Seconds until the next slot, a hundred seconds in.
    fn wait(bucket: &Bucket) -> f64 {
        (bucket.next(SECOND * 100) - SECOND * 100).as_secs_f64()
    }

    #[test]
    fn a_message_waits_for_the_missing_part_of_a_token() {
        for (burst, credit, seconds) in [
            (1, 0.0, 1.0101),
            (1, 0.75, 0.2525),
            (1, 1.0, 0.0),
            (3, 0.75, 0.2525),
            (3, 2.5, 0.0),
        ] {
            let bucket = bucket("60/min", burst, credit);
            assert!((wait(&bucket) - seconds).abs() < 0.001, "{burst} {credit}");
            assert!((bucket.credit(SECOND * 100) - credit).abs() < 0.001);
        }
        assert_eq!(Bucket::new(SECOND, Rate::Unlimited, 1, 0.0), None);
        let longest = Bucket::new(SECOND, rate("1/day"), u32::MAX, 0.0).unwrap();
        assert!(longest.next(SECOND) > SECOND * 80_000);
    }

    #[test]
    fn a_changed_rate_keeps_the_tokens() {
        let mut old = bucket("60/min", 1, 1.0);
        assert!(old.take(SECOND * 100) && !old.take(SECOND * 100));
        // Half of a message later the half that is missing comes at the new rate.
        let now = SECOND * 100 + old.interval / 2;
        let new = Bucket::new(now, rate("6/min"), 1, old.credit(now)).unwrap();
        let wait = new.next(now) - now;
        assert!((5.0..5.1).contains(&wait.as_secs_f64()), "{wait:?}");
    }

    #[test]
    fn an_idle_time_allows_one_burst() {
        let mut bucket = bucket("60/min", 3, 3.0);
        let mut round = |now: Duration| (0..5).filter(|_| bucket.take(now)).count();
        assert_eq!(round(SECOND * 100), 3);
        assert_eq!(round(SECOND * 1_000), 3);
    }

    #[test]
    fn lateness_moves_later_slots_and_loses_none() {
        let mut bucket = bucket("30/min", 1, 1.0);
        let step = bucket.interval;
        // Within the tolerance the next comes when it would have; after that, one interval later, less the tolerance.
        assert!(bucket.take(SECOND * 100 + bucket.tolerance));
        assert_eq!(bucket.next(SECOND), SECOND * 100 + step);
        assert!(bucket.take(SECOND * 104));
        assert_eq!(bucket.next(SECOND), SECOND * 104 + step - bucket.tolerance);
    }

    #[test]
    fn slots_ahead_are_counted() {
        let bucket = bucket("60/min", 1, 0.0);
        let now = SECOND * 100;
        assert_eq!(bucket.ahead(now, SECOND, 9).0, 0);
        assert_eq!(bucket.ahead(now, SECOND * 3, 9).0, 2);
        assert_eq!(bucket.ahead(now, SECOND * 3, 1).0, 1);
        let (_, after) = bucket.ahead(now, SECOND * 3, 9);
        assert_eq!(after, now + bucket.interval * 3);
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
            let mut bucket = Bucket::new(Duration::ZERO, rate, burst, 0.5).unwrap();
            let mut now = Duration::ZERO;
            let mut begun = Vec::new();
            // Requests come between at once and two intervals apart; each is taken up to twice the tolerance late.
            for (gap, lateness) in steps {
                now += step * u32::try_from(gap.saturating_sub(1_000)).unwrap() / 500;
                now = bucket.next(now) + late * u32::try_from(lateness).unwrap() / 500;
                prop_assert!(bucket.take(now));
                begun.push(now);
            }
            begun.sort();
            let most = most_in_a_window(&begun, window);
            prop_assert!(most < count + u64::from(burst), "{most} of {count}");
        }

        #[test]
        fn constant_demand_uses_98_percent(count in 1u64..100_000, unit in 0usize..4) {
            let window = Duration::from_secs([1, 60, 3_600, 86_400][unit]);
            let rate = Rate::Limited { count, window };
            let mut bucket = Bucket::new(Duration::ZERO, rate, 1, 1.0).unwrap();
            let mut now = Duration::ZERO;
            prop_assert!(bucket.take(now));
            for _ in 1..1_000 {
                now = bucket.next(now);
                prop_assert!(bucket.take(now));
            }
            let used = 999.0 / now.as_secs_f64() / (count as f64 / window.as_secs_f64());
            prop_assert!((0.98..=0.995).contains(&used), "{used}");
        }
    }
}
