//! The real binary with a fake relay: status, verify, recipients, events, dlq, pause, resume, cancel and signals.

mod control;
mod dlq;
mod locked;
pub mod metrics;
mod project;
mod recipients;
mod status;
mod stop;
mod verify;
