//! How a command opens the queue.

use std::time::Duration;

/// What a command opens the queue for.
#[derive(Debug, Clone)]
pub struct Opening {
    /// The verb, for whoever looks at the cluster's clients.
    pub role: &'static str,
    pub instance_id: Option<String>,
    /// How long a queue that is away is waited for; `None`: for ever.
    pub queue_timeout: Option<Duration>,
}

impl Default for Opening {
    fn default() -> Opening {
        Opening {
            role: "look",
            instance_id: None,
            queue_timeout: Some(Duration::from_secs(15)),
        }
    }
}
