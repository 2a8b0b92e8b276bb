//! How long a queue that does not answer is waited for.

use super::report::EnqueueProgress;
use crate::queue::QueueError;
use std::time::Duration;
use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// From the first failure on; `None`: for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience(pub Option<Duration>);

impl Default for Patience {
    fn default() -> Patience {
        Patience(Some(Duration::from_secs(60)))
    }
}

/// One request's attempts.
pub struct Attempts {
    patience: Patience,
    first_failed_at: Option<Instant>,
    pause: Duration,
}

impl Patience {
    pub fn attempts(self) -> Attempts {
        Attempts {
            patience: self,
            first_failed_at: None,
            pause: FIRST_PAUSE,
        }
    }
}

impl Attempts {
    /// Waits before the next attempt. Gives the error back when it is final or patience has ended.
    pub async fn failed(&mut self, error: QueueError) -> Result<(), QueueError> {
        if !may_pass(&error) {
            return Err(error);
        }
        let first = *self.first_failed_at.get_or_insert_with(Instant::now);
        let is_over = |longest| first.elapsed() >= longest;
        if self.patience.0.is_some_and(is_over) {
            return Err(error);
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

/// Whether the same request may succeed later.
pub fn may_pass(error: &QueueError) -> bool {
    matches!(error, QueueError::Unknown(_) | QueueError::Away { .. })
}

/// Tells the observer of a failure that is waited out.
pub fn tell(error: &QueueError, observer: &mut dyn FnMut(EnqueueProgress<'_>)) {
    if may_pass(error) {
        let why = error.to_string();
        observer(EnqueueProgress::Waiting { why: &why });
    }
}
