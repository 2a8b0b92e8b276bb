//! A relay's daily quota, and its warm-up: a quota that grows from day to day. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Days are those of UTC, the same for every worker.
pub const DAY: Duration = Duration::from_secs(86_400);
/// A worker reserves no more at once, because what it has not used is lost when it is killed.
const LARGEST_BLOCK: u64 = 500;

/// How many messages one relay takes a day, all workers together.
#[derive(Debug, Clone, PartialEq)]
pub struct Quota {
    /// The relay, and the login that the quota is for.
    pub relay: String,
    pub daily: Option<u64>,
    pub warm_up: Option<WarmUp>,
    /// How long a day is: [`DAY`], but shorter in the simulation.
    pub day: Duration,
}

/// `first_day` messages on the first day, and each day `growth` times as many, until a day may have `until`. From then on
/// there is no such limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WarmUp {
    pub first_day: u64,
    pub growth: f64,
    pub until: u64,
}

impl Quota {
    /// When the day of this moment begins and ends.
    pub fn day_of(&self, now: SystemTime) -> (SystemTime, SystemTime) {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let length = self.day.as_secs().max(1);
        let begins = UNIX_EPOCH + Duration::from_secs(since - since % length);
        (begins, begins + Duration::from_secs(length))
    }

    /// Most messages of a day, which is this day of the warm-up. `None`: no limit.
    pub fn limit(&self, warm_up_day: u32) -> Option<u64> {
        let warm_up = self.warm_up.and_then(|warm_up| warm_up.limit(warm_up_day));
        self.daily.into_iter().chain(warm_up).min()
    }

    /// How much is reserved at once: a hundredth of the limit, at least 1, at most `LARGEST_BLOCK`.
    pub fn block(limit: u64) -> u64 {
        (limit / 100).clamp(1, LARGEST_BLOCK)
    }
}

impl WarmUp {
    fn limit(&self, day: u32) -> Option<u64> {
        let growth = self.growth.max(1.0).powf(f64::from(day));
        let limit = (self.first_day as f64 * growth).floor();
        // Also where it is infinite.
        (limit < self.until as f64).then_some(limit as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(daily: Option<u64>, warm_up: Option<WarmUp>) -> Quota {
        Quota {
            relay: "mx".into(),
            daily,
            warm_up,
            day: DAY,
        }
    }

    #[test]
    fn a_warm_up_grows_until_its_end() {
        let warm_up = WarmUp {
            first_day: 50,
            growth: 1.5,
            until: 300,
        };
        let alone = quota(None, Some(warm_up));
        let limits: Vec<_> = (0..6).map(|day| alone.limit(day)).collect();
        assert_eq!(
            limits,
            [Some(50), Some(75), Some(112), Some(168), Some(253), None]
        );
        assert_eq!(alone.limit(u32::MAX), None);
        let both = quota(Some(100), Some(warm_up));
        assert_eq!((both.limit(0), both.limit(2)), (Some(50), Some(100)));
        assert_eq!(both.limit(9), Some(100));
        assert_eq!(quota(Some(7), None).limit(3), Some(7));
    }

    #[test]
    fn a_day_is_one_of_utc() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let quota = quota(Some(1), None);
        assert_eq!(quota.day_of(at(86_399)), (at(0), at(86_400)));
        assert_eq!(quota.day_of(at(86_400)), (at(86_400), at(172_800)));
    }

    #[test]
    fn little_is_lost_with_a_worker() {
        let blocks = [1, 99, 500, 2_000, 10_000_000].map(Quota::block);
        assert_eq!(blocks, [1, 1, 5, 20, 500]);
    }
}
