//! What the contract does not say of the queue on Kafka: settings, results that are not known, and reading at speed.

use mailq::queue::Queue;
use mailq::queue::kafka::{KafkaQueue, KafkaSettings};
use std::rc::Rc;
use std::time::Duration;

/// Of a new environment on the test cluster, so that one cluster serves all tests.
pub fn settings() -> KafkaSettings {
    let brokers = std::env::var("MAILQ_TEST_KAFKA");
    let brokers = brokers.expect("MAILQ_TEST_KAFKA names the brokers of a test cluster");
    let session = ("session.timeout.ms".to_string(), "6000".to_string());
    KafkaSettings {
        brokers,
        env: format!("t{:016x}", fastrand::u64(..)),
        partitions: crate::queue_contract::PARTITIONS,
        replication: 3,
        properties: [session].into(),
        role: "test".to_string(),
        queue_timeout: Some(Duration::from_secs(30)),
        ..KafkaSettings::default()
    }
}

pub fn open(settings: &KafkaSettings) -> Rc<dyn Queue> {
    KafkaQueue::open(settings.clone()).unwrap()
}
