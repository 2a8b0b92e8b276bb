//! When a message is tried again, and the tiers of waiting that follow from it: each delay is a topic of its own.

use std::time::Duration;

/// Waits after temporary and soft failures.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryConfig {
    pub initial: Duration,
    pub factor: f64,
    pub max: Duration,
    /// Part of a wait by which it is spread, either way.
    pub jitter: f64,
    /// Retries after the first attempt.
    pub tries: u32,
    pub soft_interval: Duration,
}

impl RetryConfig {
    /// The wait after a temporary failure, after so many retries: `initial × factorⁿ`, at most `max`, whole
    /// milliseconds so that one delay has one topic name.
    pub fn delay(&self, tries_used: u32) -> Duration {
        let factor = self
            .factor
            .powi(i32::try_from(tries_used).unwrap_or(i32::MAX));
        let seconds = self.initial.as_secs_f64() * factor;
        let millis = (seconds.min(self.max.as_secs_f64()) * 1_000.0).round();
        Duration::from_millis(millis as u64)
    }

    /// Every delay that can come up, ascending: the retry topics.
    pub fn tiers(&self) -> Vec<Duration> {
        let mut tiers: Vec<Duration> = (0..self.tries).map(|used| self.delay(used)).collect();
        tiers.push(self.soft_interval);
        tiers.sort();
        tiers.dedup();
        tiers
    }

    /// The shortest tier that is not shorter than a delay that a reply asks for, or the longest there is.
    pub fn tier_for(&self, delay: Duration) -> Duration {
        let tiers = self.tiers();
        tiers
            .iter()
            .find(|tier| **tier >= delay)
            .or(tiers.last())
            .copied()
            .unwrap_or(self.soft_interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(initial: u64, factor: f64, max: u64, tries: u32, soft: u64) -> RetryConfig {
        RetryConfig {
            initial: Duration::from_secs(initial),
            factor,
            max: Duration::from_secs(max),
            jitter: 0.1,
            tries,
            soft_interval: Duration::from_secs(soft),
        }
    }

    #[test]
    fn tiers_follow_from_the_delays() {
        for (config, seconds) in [
            (retry(60, 2.0, 1800, 3, 1800), vec![60, 120, 240, 1800]),
            (retry(60, 2.0, 120, 5, 90), vec![60, 90, 120]),
            (retry(1, 1.0, 10, 100, 1), vec![1]),
            (
                retry(1, 100.0, 86_400, 100, 5),
                vec![1, 5, 100, 10_000, 86_400],
            ),
            (retry(60, 2.0, 1800, 0, 1800), vec![1800]),
        ] {
            let tiers: Vec<u64> = config.tiers().iter().map(Duration::as_secs).collect();
            assert_eq!(tiers, seconds);
        }
        let odd = retry(1, 1.3333, 60, 3, 60);
        assert_eq!(odd.delay(1), Duration::from_millis(1_333));
    }

    #[test]
    fn a_wish_is_rounded_up_to_a_tier() {
        let config = retry(60, 2.0, 1800, 3, 1800);
        for (wish, tier) in [(1, 60), (60, 60), (61, 120), (900, 1800), (9_999, 1800)] {
            assert_eq!(config.tier_for(Duration::from_secs(wish)).as_secs(), tier);
        }
    }
}
