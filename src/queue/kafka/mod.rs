//! The queue on Apache Kafka: topics, a consumer group, and progress in the metadata of its offsets.

mod locked;
pub mod settings;

pub use settings::KafkaSettings;

use crate::queue::QueueError;
use std::rc::Rc;

/// A handle on a cluster. One per process; its clients have threads of their own.
pub struct KafkaQueue {
    settings: KafkaSettings,
}

impl KafkaQueue {
    /// Checks the settings and asks the cluster for its topics; blocks while it does. Errors: `Setting`, `Login`,
    /// `Denied`, `Away`.
    pub fn open(settings: KafkaSettings) -> Result<Rc<KafkaQueue>, QueueError> {
        settings.check()?;
        Ok(Rc::new(KafkaQueue { settings }))
    }

    pub fn url(&self) -> String {
        self.settings.url()
    }
}
