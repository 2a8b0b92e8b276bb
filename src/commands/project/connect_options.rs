//! How a command opens the queue.

use std::time::Duration;

/// How a command connects to the queue.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// The command, which is part of the client id on Kafka.
    pub role: &'static str,
    pub instance_id: Option<String>,
    /// How long to wait for a queue that is unavailable. `None`: for ever.
    pub queue_timeout: Option<Duration>,
}

impl Default for ConnectOptions {
    fn default() -> ConnectOptions {
        ConnectOptions {
            role: "look",
            instance_id: None,
            queue_timeout: Some(Duration::from_secs(15)),
        }
    }
}
