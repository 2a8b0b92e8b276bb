//! The retry settings as delays: every delay is a tier, because a tier is a topic.

use crate::domain::outcome::{Class, Reason, Verdict};
use std::collections::BTreeSet;
use std::time::Duration;

/// `[retry]` of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct RetrySchedule {
    pub initial: Duration,
    pub factor: f64,
    pub max: Duration,
    /// Share of the delay by which messages inside a chunk are spread; applied by the reader of the tier.
    pub jitter: f64,
    /// Retries after the first attempt.
    pub tries: u32,
    pub soft_interval: Duration,
}

impl Default for RetrySchedule {
    fn default() -> RetrySchedule {
        RetrySchedule {
            initial: Duration::from_secs(60),
            factor: 2.0,
            max: Duration::from_secs(30 * 60),
            jitter: 0.1,
            tries: 3,
            soft_interval: Duration::from_secs(30 * 60),
        }
    }
}

/// The retry settings as delays: all of them are tiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Delay of the first temporary retry.
    initial: Duration,
    /// Delays of those after it, ascending, as long as they grow.
    later: Vec<Duration>,
    soft: Duration,
    tries: u32,
}

impl From<&RetrySchedule> for Schedule {
    fn from(settings: &RetrySchedule) -> Schedule {
        let longest = whole(settings.max.max(settings.initial));
        let initial = whole(settings.initial);
        let (mut last, mut later) = (initial, Vec::new());
        let mut delay = settings.initial.as_secs_f64();
        for _ in 1..settings.tries {
            delay *= settings.factor;
            let next = Duration::try_from_secs_f64(delay).map_or(longest, whole);
            if last >= longest {
                break;
            }
            last = next.clamp(last, longest);
            later.push(last);
        }
        Schedule {
            initial,
            later,
            soft: whole(settings.soft_interval),
            tries: settings.tries,
        }
    }
}

/// Whole seconds, or whole milliseconds below one second: what a tier's name can say.
fn whole(delay: Duration) -> Duration {
    let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX).max(1);
    match millis {
        0..1_000 => Duration::from_millis(millis),
        _ => Duration::from_secs(millis.div_ceil(1_000)),
    }
}

impl Schedule {
    /// Retries after the first attempt.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// Every delay that a decision can name: the tiers that must exist.
    pub fn tiers(&self) -> BTreeSet<Duration> {
        let temporary = self.later.iter().copied();
        temporary.chain([self.initial, self.soft]).collect()
    }

    pub fn shortest(&self) -> Duration {
        self.initial.min(self.soft)
    }

    pub fn longest(&self) -> Duration {
        self.last().max(self.soft)
    }

    /// The exponential delay after `tries` retries, the last one from then on.
    pub fn temporary(&self, tries: u32) -> Duration {
        let index = usize::try_from(tries).unwrap_or(usize::MAX);
        match index.checked_sub(1) {
            None => self.initial,
            Some(index) => self.later.get(index).copied().unwrap_or(self.last()),
        }
    }

    fn last(&self) -> Duration {
        self.later.last().copied().unwrap_or(self.initial)
    }

    pub fn soft(&self) -> Duration {
        self.soft
    }

    /// The next tier at or above a delay, or the longest there is.
    pub fn round_up(&self, delay: Duration) -> Duration {
        let tiers = self.tiers();
        let above = tiers.range(delay..).next().copied();
        above.unwrap_or(self.longest())
    }

    /// How long this failure waits. Soft failures wait for the fixed interval. So do greylisting and a full mailbox
    /// when they are reported with a 4xx code, because neither ends within minutes. Others wait for the exponential
    /// delay, or longer if the reply asks for it.
    pub(super) fn delay(&self, verdict: &Verdict, tries: u32) -> Duration {
        let ends_slowly = matches!(verdict.reason, Reason::Greylisted | Reason::MailboxFull);
        if verdict.class == Class::Soft || ends_slowly {
            return self.soft;
        }
        let own = self.temporary(tries);
        match verdict.delay {
            Some(asked) => self.round_up(asked.max(own)),
            None => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(60 * count)
    }

    #[test]
    fn delays_are_those_of_the_configuration() {
        let it = Schedule::from(&RetrySchedule::default());
        let delays: Vec<_> = (0..5).map(|tries| it.temporary(tries)).collect();
        assert_eq!(delays, [1, 2, 4, 4, 4].map(minutes));
        assert_eq!(it.tiers(), [1, 2, 4, 30].map(minutes).into());
        assert_eq!(it.round_up(Duration::from_secs(61)), minutes(2));
        assert_eq!(it.round_up(minutes(2)), minutes(2));
        assert_eq!(it.round_up(minutes(90)), minutes(30));
        assert_eq!(it.round_up(Duration::ZERO), minutes(1));
    }

    #[test]
    fn odd_settings_still_make_tiers() {
        let odd = |initial: u64, factor: f64, max: u64, tries: u32| {
            let settings = RetrySchedule {
                initial: Duration::from_millis(initial),
                factor,
                max: Duration::from_millis(max),
                tries,
                ..RetrySchedule::default()
            };
            let it = Schedule::from(&settings);
            [&[it.initial], it.later.as_slice()].concat()
        };
        let millis = |list: &[u64]| -> Vec<Duration> {
            list.iter().copied().map(Duration::from_millis).collect()
        };
        assert_eq!(odd(1_000, 2.0, 4_000, 6), millis(&[1_000, 2_000, 4_000]));
        assert_eq!(
            odd(60_000, 1.5, 600_000, 4),
            millis(&[60_000, 90_000, 135_000, 203_000])
        );
        assert_eq!(odd(500, 3.0, 10_000, 3), millis(&[500, 2_000, 5_000]));
        assert_eq!(odd(60_000, 2.0, 1_000, 3), millis(&[60_000]));
        assert_eq!(odd(60_000, 2.0, 600_000, 0), millis(&[60_000]));
        assert_eq!(odd(0, 2.0, 0, 3), millis(&[1]));
        assert_eq!(odd(1_000, 0.5, 8_000, 3), millis(&[1_000; 3]));
        assert_eq!(odd(1_000, f64::NAN, 8_000, 3), millis(&[1_000, 8_000]));
        assert_eq!(odd(1_000, 1e300, 8_000, 1_000_000), millis(&[1_000, 8_000]));
    }
}
