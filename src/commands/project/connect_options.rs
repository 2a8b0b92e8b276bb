//! How a command opens the queue.

use crate::queue::sqlite::BUSY_WAIT;
use std::time::Duration;

/// How a command connects to the queue.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// The command, which is part of the client id on Kafka.
    pub role: &'static str,
    pub instance_id: Option<String>,
    /// How long to wait for a queue that is unavailable. `None`: for ever.
    pub queue_timeout: Option<Duration>,
    /// The command repeats what fails within that time by itself, and says so.
    pub repeats: bool,
}

/// A repeated write on SQLite waits no longer than this for the write lock, so that the wait is reported.
const LONGEST_REPEATED: Duration = Duration::from_secs(5);

/// How long SQLite waits for the write lock.
impl ConnectOptions {
    pub fn open_wait(&self) -> Duration {
        match self.repeats {
            true => self.queue_timeout.unwrap_or(Duration::MAX),
            false => BUSY_WAIT,
        }
    }

    /// The timeout counts from the first failure, so that failure must come early.
    pub fn write_wait(&self) -> Duration {
        match self.repeats {
            true => (self.open_wait() / 4).min(LONGEST_REPEATED),
            false => BUSY_WAIT,
        }
    }
}

impl Default for ConnectOptions {
    fn default() -> ConnectOptions {
        ConnectOptions {
            role: "look",
            instance_id: None,
            queue_timeout: Some(Duration::from_secs(15)),
            repeats: false,
        }
    }
}
