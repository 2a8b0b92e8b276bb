//! How a command opens the queue.

use std::time::Duration;

/// What a command opens the queue for.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// The verb, for whoever looks at the cluster's clients.
    pub role: &'static str,
    pub instance_id: Option<String>,
    /// How long a queue that is away is waited for; `None`: for ever.
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
