//! Waiting for a cluster that is away: with a limit or without, never in a busy loop, and saying what is waited for.

use crate::queue::QueueError;
use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);
/// Whoever waits says so after the first of these, and then once in each.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// One stretch of waiting.
pub(super) struct Patience {
    begun: Instant,
    limit: Option<Duration>,
    pause: Duration,
    said: Instant,
    tries: u32,
}

impl Patience {
    /// `limit` `None`: for ever.
    pub fn new(limit: Option<Duration>) -> Patience {
        let now = Instant::now();
        Patience {
            begun: now,
            limit,
            pause: FIRST,
            said: now,
            tries: 0,
        }
    }

    /// How long to wait before the next try; `None`: it is enough.
    pub fn next(&mut self, why: &QueueError) -> Option<Duration> {
        let waited = self.begun.elapsed();
        if !matches!(why, QueueError::Away { .. }) || self.limit.is_some_and(|l| waited >= l) {
            return None;
        }
        self.tries += 1;
        if self.said.elapsed() >= SAY_EVERY {
            self.said = Instant::now();
            let (seconds, tries) = (waited.as_secs(), self.tries);
            tracing::warn!(seconds, tries, "waiting: {why}");
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST);
        Some(pause)
    }
}

/// Tries again while the cluster is away, up to the limit.
pub(super) async fn patiently<T>(
    limit: Option<Duration>,
    mut attempt: impl AsyncFnMut() -> Result<T, QueueError>,
) -> Result<T, QueueError> {
    let mut patience = Patience::new(limit);
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(why) => match patience.next(&why) {
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
        let mut patience = Patience::new(None);
        let pauses: Vec<Duration> = (0..8).filter_map(|_| patience.next(&away())).collect();
        let milliseconds: Vec<u128> = pauses.iter().map(Duration::as_millis).collect();
        assert_eq!(milliseconds, [100, 200, 400, 800, 1600, 2000, 2000, 2000]);
    }

    #[test]
    fn only_absence_is_waited_for() {
        let refused = QueueError::Unknown("it may land".to_string());
        assert_eq!(Patience::new(None).next(&refused), None);
        assert_eq!(Patience::new(Some(Duration::ZERO)).next(&away()), None);
    }
}
