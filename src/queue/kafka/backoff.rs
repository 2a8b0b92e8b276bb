//! Tries requests again while the cluster is away: with exponential backoff, up to a limit, and with a line in the log
//! about what is waited for.

use crate::queue::QueueError;
use std::time::{Duration, Instant};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often waiting is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The attempts of one request.
pub(super) struct Backoff {
    begun: Instant,
    limit: Option<Duration>,
    pause: Duration,
    logged_at: Instant,
    attempts: u32,
}

impl Backoff {
    /// `limit`: how long to try again, from now on; `None`: without end.
    pub fn new(limit: Option<Duration>) -> Backoff {
        let now = Instant::now();
        Backoff {
            begun: now,
            limit,
            pause: FIRST_PAUSE,
            logged_at: now,
            attempts: 0,
        }
    }

    /// The pause before the next attempt. `None`: the error does not pass by itself, or the limit is reached.
    pub fn pause_after(&mut self, why: &QueueError) -> Option<Duration> {
        let waited = self.begun.elapsed();
        if !matches!(why, QueueError::Away { .. }) || self.limit.is_some_and(|l| waited >= l) {
            return None;
        }
        self.attempts += 1;
        if self.logged_at.elapsed() >= LOG_INTERVAL {
            self.logged_at = Instant::now();
            let (seconds, attempts) = (waited.as_secs(), self.attempts);
            tracing::warn!(seconds, attempts, "waiting: {why}");
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        Some(pause)
    }
}

/// Tries again while the error is `Away`, up to the limit.
pub(super) async fn with_backoff<T>(
    limit: Option<Duration>,
    mut attempt: impl AsyncFnMut() -> Result<T, QueueError>,
) -> Result<T, QueueError> {
    let mut backoff = Backoff::new(limit);
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(why) => match backoff.pause_after(&why) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(why),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> QueueError {
        QueueError::Away {
            path: "kafka://x".to_string(),
            what: "no answer".to_string(),
        }
    }

    #[test]
    fn pauses_grow_to_two_seconds_and_never_end_without_a_limit() {
        let mut backoff = Backoff::new(None);
        let pauses: Vec<Duration> = (0..8)
            .filter_map(|_| backoff.pause_after(&away()))
            .collect();
        let milliseconds: Vec<u128> = pauses.iter().map(Duration::as_millis).collect();
        assert_eq!(milliseconds, [100, 200, 400, 800, 1600, 2000, 2000, 2000]);
    }

    #[test]
    fn only_a_cluster_that_is_away_is_waited_for() {
        let refused = QueueError::Unknown("it may land".to_string());
        assert_eq!(Backoff::new(None).pause_after(&refused), None);
        assert_eq!(
            Backoff::new(Some(Duration::ZERO)).pause_after(&away()),
            None
        );
    }
}
