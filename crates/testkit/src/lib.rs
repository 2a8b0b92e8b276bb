//! What mailq's tests share and the product does not contain: a queue in memory whose faults come from one seed, logs
//! written by hand, fake relays, Kafka brokers, ports, and the acceptance lines. README.md says what is where.

pub mod acceptance;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod memory;
pub mod ports;
pub mod relay;
pub mod story;
