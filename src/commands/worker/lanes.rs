//! Publishes the lanes of this worker for `status --lanes`, where the queue has a place for them.

use super::metrics::Latest;
use crate::clock::Clock;
use crate::engine::lane_rows::{self, LaneRows};
use crate::queue::Queue;
use std::rc::Rc;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(2);

/// Publishes for as long as the task lives. Nothing depends on it, so a failure is only in the log.
pub async fn publish(
    latest: Rc<Latest>,
    queue: Rc<dyn Queue>,
    clock: Rc<dyn Clock>,
    worker: String,
) {
    if matches!(queue.states().await, Ok(None)) {
        return;
    }
    let mut lanes = LaneRows::default();
    loop {
        let snapshot = {
            let worker = latest.worker.borrow();
            worker.as_ref().map(|worker| worker.snapshot())
        };
        if let Some(snapshot) = snapshot {
            let rows = lanes.rows(&snapshot, clock.since_boot());
            if let Err(error) = lane_rows::publish(queue.as_ref(), &worker, &rows).await {
                tracing::debug!(error, "cannot publish the lanes");
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}
