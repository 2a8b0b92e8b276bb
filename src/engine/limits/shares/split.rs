//! Divides one limit among workers: whole numbers that add up to it. Every worker computes the same.

use crate::domain::rate::Rate;
use std::collections::BTreeSet;
use std::time::Duration;

/// Longer windows are divided into equal parts of at least this.
const PART: Duration = Duration::from_secs(60);
/// Parts of a day; no window is longer.
const MOST_PARTS: u64 = 24 * 60;
/// This much of the count must remain when each part is rounded down to whole messages.
const KEPT_PER_MILLE: u128 = 995;

/// A worker's place among those that share, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    rank: u64,
    workers: u64,
}

/// What one worker may use of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    pub rate: Rate,
    pub burst: u32,
}

impl Place {
    /// `None`: the worker is not among them.
    pub fn of(name: &str, sharers: &BTreeSet<String>) -> Option<Place> {
        let rank = sharers.iter().position(|sharer| sharer == name)?;
        Some(Place {
            rank: u64::try_from(rank).ok()?,
            workers: u64::try_from(sharers.len()).ok()?,
        })
    }

    pub fn workers(&self) -> u64 {
        self.workers
    }

    /// By largest remainder: the weights are equal, so the remainders are too, and names decide. Another worker makes
    /// no number larger.
    pub fn number_of(&self, count: u64) -> u64 {
        count
            .saturating_sub(self.rank)
            .div_ceil(self.workers.max(1))
    }

    /// `None`: the window has fewer messages than there are workers, and this one waits.
    pub fn share(&self, limit: Rate, burst: u32) -> Option<Share> {
        let Rate::Limited { count, window } = limit else {
            return Some(Share { rate: limit, burst });
        };
        let (count, window) = self.part(count, window);
        let extra = self.number_of(u64::from(burst.saturating_sub(1)));
        let count = self.number_of(count);
        (count > 0).then(|| Share {
            rate: Rate::Limited { count, window },
            burst: u32::try_from(extra).unwrap_or(u32::MAX).saturating_add(1),
        })
    }

    /// The shortest equal part of the window in which every worker has a message and almost nothing is rounded away.
    fn part(&self, count: u64, window: Duration) -> (u64, Duration) {
        let most = (window.as_secs() / PART.as_secs()).min(MOST_PARTS);
        let fits = |parts: &u64| {
            let kept = u128::from(count / parts) * u128::from(*parts) * 1_000;
            count / parts >= self.workers && kept >= u128::from(count) * KEPT_PER_MILLE
        };
        let parts = (1..=most).rev().find(fits).unwrap_or(1);
        let length = window / u32::try_from(parts).unwrap_or(1);
        (count / parts, length)
    }
}

impl Share {
    /// The lower of two, limit and burst each.
    pub fn lower(self, other: Share) -> Share {
        let rate = if self.rate.per_second() <= other.rate.per_second() {
            self.rate
        } else {
            other.rate
        };
        Share {
            rate,
            burst: self.burst.min(other.burst),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sharers(count: u64) -> BTreeSet<String> {
        (0..count).map(|n| format!("host/{n}/1")).collect()
    }

    fn shares(limit: &str, workers: u64) -> Vec<Option<String>> {
        let sharers = sharers(workers);
        let limit: Rate = limit.parse().unwrap();
        let of = |name| Place::of(name, &sharers).unwrap().share(limit, 1);
        sharers
            .iter()
            .map(|name| of(name).map(|share| share.rate.to_string()))
            .collect()
    }

    fn texts(texts: &[&str]) -> Vec<Option<String>> {
        texts
            .iter()
            .map(|text| (*text != "-").then(|| text.to_string()))
            .collect()
    }

    #[test]
    fn shares_are_whole_numbers_that_add_up() {
        for (limit, workers, expected) in [
            ("30/min", 1, vec!["30/min"]),
            ("30/min", 4, vec!["8/min", "8/min", "7/min", "7/min"]),
            ("2000/s", 3, vec!["667/s", "667/s", "666/s"]),
            ("2/s", 3, vec!["1/s", "1/s", "-"]),
            ("1800/h", 2, vec!["15/min", "15/min"]),
            // A prime number has no equal parts.
            ("61/h", 2, vec!["31/h", "30/h"]),
            // Part by part as long as everybody has something.
            ("24/day", 1, vec!["1/h"]),
            ("24/day", 3, vec!["1/10800s", "1/10800s", "1/10800s"]),
            ("1/day", 2, vec!["1/day", "-"]),
            ("unlimited", 2, vec!["unlimited", "unlimited"]),
        ] {
            assert_eq!(shares(limit, workers), texts(&expected), "{limit}");
        }
        assert_eq!(Place::of("other", &sharers(3)), None);
    }

    #[test]
    fn a_burst_is_shared_too() {
        let all = sharers(3);
        let limit = Rate::per_minute(30);
        let bursts = all.iter().map(|name| {
            let place = Place::of(name, &all).unwrap();
            place.share(limit, 6).unwrap().burst
        });
        assert_eq!(bursts.collect::<Vec<_>>(), [3, 3, 2]);
    }

    fn messages(share: Option<Share>, window: Duration) -> f64 {
        share.map_or(0.0, |share| share.rate.per_second() * window.as_secs_f64())
    }

    proptest! {
        #[test]
        fn together_they_have_the_limit_and_no_more(
            count in 1u64..1_000_000,
            unit in 0usize..4,
            workers in 1u64..40,
        ) {
            let window = Duration::from_secs([1, 60, 3_600, 86_400][unit]);
            let limit = Rate::Limited { count, window };
            let all = sharers(workers);
            let places = all.iter().map(|name| Place::of(name, &all).unwrap());
            let (mut tokens, mut sum) = (0, 0.0);
            for place in places {
                tokens += place.number_of(count);
                let share = place.share(limit, 1);
                prop_assert!(share.is_some() || count < workers);
                sum += messages(share, window);
            }
            prop_assert_eq!(tokens, count);
            prop_assert!(sum <= count as f64 * 1.000_001 && sum >= count as f64 * 0.994_999, "{}", sum);
        }

        #[test]
        fn names_decide_and_not_their_order(mut names in prop::collection::vec("[a-z]{1,6}", 1..12), count in 0u64..50) {
            let one: BTreeSet<String> = names.iter().cloned().collect();
            names.reverse();
            let other: BTreeSet<String> = names.iter().cloned().collect();
            for name in &names {
                let place = Place::of(name, &one).unwrap();
                prop_assert_eq!(Some(place), Place::of(name, &other));
                // One more makes nobody's share larger.
                let mut more = one.clone();
                more.insert("m".to_string());
                let then = Place::of(name, &more).unwrap();
                prop_assert!(then.number_of(count) <= place.number_of(count));
            }
        }
    }
}
