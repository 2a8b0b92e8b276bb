//! Retries of a queue operation, with backoff, until the queue answers or a timeout ends.

use super::report::EnqueueProgress;
use crate::queue::QueueError;
use std::time::Duration;
use tokio::time::Instant;

const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// How long to retry, counted from the first failure. `None`: without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueTimeout(pub Option<Duration>);

impl Default for QueueTimeout {
    fn default() -> QueueTimeout {
        QueueTimeout(Some(Duration::from_secs(60)))
    }
}

/// The retries of one operation.
pub struct Retry {
    timeout: QueueTimeout,
    first_failed_at: Option<Instant>,
    backoff: Duration,
}

impl QueueTimeout {
    pub fn retry(self) -> Retry {
        Retry {
            timeout: self,
            first_failed_at: None,
            backoff: FIRST_BACKOFF,
        }
    }
}

impl Retry {
    /// Waits before the next attempt. Returns the error if it is not transient or the timeout has passed.
    pub async fn after(&mut self, error: QueueError) -> Result<(), QueueError> {
        if !is_transient(&error) {
            return Err(error);
        }
        let first = *self.first_failed_at.get_or_insert_with(Instant::now);
        let has_passed = |timeout| first.elapsed() >= timeout;
        if self.timeout.0.is_some_and(has_passed) {
            return Err(error);
        }
        tokio::time::sleep(self.backoff).await;
        self.backoff = (self.backoff * 2).min(MAX_BACKOFF);
        Ok(())
    }
}

/// Whether the same operation may succeed later.
pub fn is_transient(error: &QueueError) -> bool {
    matches!(error, QueueError::Unknown(_) | QueueError::Away { .. })
}

/// Reports a failure that will be retried.
pub fn report_waiting(error: &QueueError, observer: &mut dyn FnMut(EnqueueProgress<'_>)) {
    if is_transient(error) {
        let why = error.to_string();
        observer(EnqueueProgress::Waiting { why: &why });
    }
}
