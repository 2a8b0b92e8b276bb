//! Repeats a read of the queue until the queue answers.

use super::error::EnqueueError;
use super::queue_retry::{QueueTimeout, report_waiting};
use super::report::EnqueueProgress;

/// Repeats an operation while the queue does not answer.
pub async fn retried<T>(
    timeout: QueueTimeout,
    observer: &mut dyn FnMut(EnqueueProgress<'_>),
    mut attempt: impl AsyncFnMut() -> Result<T, EnqueueError>,
) -> Result<T, EnqueueError> {
    let mut retry = timeout.retry();
    loop {
        match attempt().await {
            Err(EnqueueError::Queue(error)) => {
                report_waiting(&error, observer);
                retry.after(error).await?;
            }
            done => return done,
        }
    }
}
