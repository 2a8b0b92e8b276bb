//! The keys of `[retry]`, and the schedule that they give.

use crate::config::declare::keys;
use crate::config::error::ConfigError;
use crate::config::schema::Limits;
use crate::config::source::{Setting, Sourced};
use crate::domain::duration;
use crate::engine::policy::RetrySchedule;
use std::time::Duration;

/// Long enough not to try in a busy loop, short enough for a clock.
const DELAY: Limits = Limits::Span(Duration::from_millis(100), Duration::from_secs(30 * 86_400));

keys! {
    /// When a message is tried again after a temporary failure.
    pub struct RetryKeys in "retry" as Table {
        /// Delay before the first retry after a temporary failure
        initial: Duration {
            default: "1m",
            limits: DELAY,
            variables: &["MAILQ_RETRY_INITIAL"],
        }

        /// Each delay is the previous one multiplied by this factor
        factor: f64 {
            default: "2.0",
            limits: Limits::Decimal(1.0, 100.0),
            variables: &["MAILQ_RETRY_FACTOR"],
        }

        /// Longest delay
        ///
        /// Not shorter than `initial`.
        max: Sourced<Duration> {
            default: "30m",
            limits: DELAY,
            variables: &["MAILQ_RETRY_MAX"],
        }

        /// Fraction of the delay by which retries are spread, earlier and later
        ///
        /// Messages that failed together then do not return together.
        jitter: f64 {
            default: "0.1",
            limits: Limits::Decimal(0.0, 0.5),
            variables: &["MAILQ_RETRY_JITTER"],
        }

        /// Retries after the first attempt
        ///
        /// A message that fails after the last retry becomes a dead letter.
        tries: u32 {
            default: "3",
            limits: Limits::Whole(0, 100),
            variables: &["MAILQ_RETRY_TRIES"],
        }

        /// Delay after a soft failure, the same each time
        ///
        /// Soft failures are a full mailbox and greylisting, for example.
        soft_interval: Duration {
            default: "30m",
            limits: DELAY,
            variables: &["MAILQ_RETRY_SOFT_INTERVAL"],
        }
    }
}

impl RetryKeys {
    /// Errors: the longest delay is shorter than the first.
    pub fn schedule(self) -> Result<RetrySchedule, ConfigError> {
        if self.max.value < self.initial {
            let setting = Setting {
                text: duration::human(self.max.value),
                source: self.max.source,
            };
            let why = format!(
                "shorter than `retry.initial`, which is `{}`",
                duration::human(self.initial)
            );
            let key = RetryKeys::max().path();
            return Err(ConfigError::bad_value(&key, &setting, why));
        }
        Ok(RetrySchedule {
            initial: self.initial,
            factor: self.factor,
            max: self.max.value,
            jitter: self.jitter,
            tries: self.tries,
            soft_interval: self.soft_interval,
        })
    }
}
