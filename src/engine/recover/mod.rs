//! Where partitions stood whose commits the queue has forgotten: from the last checkpoint, the events and what was
//! moved. What may have been with a relay is claimed, so that the next worker names it in doubt.
//!
//! - `evidence` what the logs say of each message
//! - `walk` the chunks that may have been open, read against the evidence
//! - `send`, `tier` a partition's new string
//! - `run` which partitions, and the commit

mod evidence;
mod run;
mod send;
mod tier;
mod walk;

pub use run::{Doubt, From, RecoverError, Recovered, Recovery, recover};
