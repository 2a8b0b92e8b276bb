//! The real binary against a fake relay: what status, verify, recipients, events, dlq and the controls say of a queue.

mod control;
mod dlq;
mod look;
mod metrics;
mod project;
mod recipients;
mod stop;
mod verify;
