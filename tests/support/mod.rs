//! What several tests share: a fake relay that does what the recipient's address says, and certificates for it.
#![allow(dead_code)] // Each level uses a part of it.

pub mod behaviour;
pub mod certificate;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod log;
pub mod ports;
pub mod relay;
pub mod visit;
