//! Where partitions stood whose commits the queue has forgotten: from the last checkpoint, the events and what was
//! moved. What may have been with a relay is claimed, so that the next worker names it in doubt.
//!
//! - `evidence` what the logs say of each message; `stay` of one message at one place on its way
//! - `judge` a chunk that may have been open, against the evidence
//! - `send`, `tier` a partition's new string
//! - `visited` messages of chunks that were read, where the rest is counted by events
//! - `run` which partitions; `commit` the new strings; `report` what is asked and answered

mod commit;
mod evidence;
mod judge;
mod report;
mod run;
mod send;
mod stay;
mod tier;
mod visited;

pub use report::{PossibleDuplicate, RebuiltPartition, RecoverError, Recovered, Recovery};
pub use run::recover;
