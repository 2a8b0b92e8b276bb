//! Whether the worker stops, until when it may drain, and why.

use crate::engine::worker::settings::{LeftWork, WorkerError};
use std::time::Duration;

#[derive(Default)]
pub struct Stopping {
    /// Boot time at which draining ends. `None`: the worker is not stopping.
    by: Option<Duration>,
    left: Option<LeftWork>,
    error: Option<WorkerError>,
}

impl Stopping {
    pub fn is_begun(&self) -> bool {
        self.by.is_some()
    }

    pub fn begin(&mut self, by: Duration, left: Option<LeftWork>) {
        self.by = Some(by);
        self.left = left;
    }

    pub fn is_over(&self, now: Duration) -> bool {
        self.by.is_some_and(|by| by <= now)
    }

    pub fn left_work(&self) -> Option<LeftWork> {
        self.left
    }

    /// The worker ends with this error once it has drained. The first one counts.
    pub fn fail_with(&mut self, error: WorkerError) {
        self.error.get_or_insert(error);
    }

    pub fn take_result(&mut self) -> Result<(), WorkerError> {
        self.error.take().map_or(Ok(()), Err)
    }
}
