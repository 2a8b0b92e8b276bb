//! Proves the sum. Reads every event, what is still queued and the letters of the dlq, each log once, and wants for every
//! row a final event or a place in the queue; then compares with what the workers have counted.

mod events;
mod judge;
mod proof;

pub use proof::{Verification, VerifyRequest, verify};
