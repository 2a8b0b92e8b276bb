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
    /// A retry may come early by this part of its delay, in thousandths.
    early_per_mille: u32,
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
            early_per_mille: (settings.jitter.clamp(0.0, 1.0) * 1_000.0).ceil() as u32,
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

    /// How long this failure waits. Soft failures wait for the fixed interval. So do greylisting and a full mailbox
    /// when they are reported with a 4xx code, because neither ends within minutes. Others wait for the exponential
    /// delay. All of them wait longer if the reply asks for it: no retry comes earlier than that, up to the longest tier.
    pub(super) fn delay(&self, verdict: &Verdict, tries: u32) -> Duration {
        let ends_slowly = matches!(verdict.reason, Reason::Greylisted | Reason::MailboxFull);
        let own = match verdict.class == Class::Soft || ends_slowly {
            true => self.soft,
            false => self.temporary(tries),
        };
        match verdict.delay {
            Some(asked) if self.earliest(own) < asked => self.long_enough(asked),
            _ => own,
        }
    }

    /// The shortest tier whose messages wait for so long, even the first of them; else the longest there is.
    fn long_enough(&self, asked: Duration) -> Duration {
        let tiers = self.tiers();
        let mut tiers = tiers.into_iter();
        tiers
            .find(|tier| self.earliest(*tier) >= asked)
            .unwrap_or(self.longest())
    }

    /// When the first message of a tier is due: they are spread around its delay.
    fn earliest(&self, delay: Duration) -> Duration {
        delay - delay * self.early_per_mille.min(1_000) / 1_000
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
    }

    #[test]
    fn no_retry_comes_before_the_time_that_a_reply_asks_for() {
        // Tiers of 1, 2, 4 and 30 minutes, whose first messages are due a tenth earlier.
        let it = Schedule::from(&RetrySchedule::default());
        let verdict = |reason, class, seconds| Verdict {
            class,
            reason,
            scope: crate::domain::outcome::Scope::Recipient,
            delay: Some(Duration::from_secs(seconds)),
            rule: "test",
        };
        for (reason, class, tries, seconds, delay) in [
            (Reason::Throttled, Class::Temporary, 0, 30, 1),
            (Reason::Throttled, Class::Temporary, 0, 54, 1),
            (Reason::Throttled, Class::Temporary, 0, 60, 2),
            (Reason::Throttled, Class::Temporary, 0, 240, 30),
            (Reason::Throttled, Class::Temporary, 2, 30, 4),
            (Reason::Greylisted, Class::Temporary, 0, 300, 30),
            (Reason::RemoteError, Class::Soft, 0, 300, 30),
            (Reason::Throttled, Class::Temporary, 0, 7_200, 30),
        ] {
            let found = it.delay(&verdict(reason, class, seconds), tries);
            assert_eq!(found, minutes(delay), "{reason:?} {seconds}");
        }
        let short = Schedule::from(&RetrySchedule {
            soft_interval: minutes(1),
            ..RetrySchedule::default()
        });
        let greylisted = verdict(Reason::Greylisted, Class::Temporary, 180);
        assert_eq!(short.delay(&greylisted, 0), minutes(4));
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
