//! The queue's protocol as a pure state machine: who may be sent what, and what is known of it after any fault.
//! No I/O, no clock, no tasks: `engine::worker` is the shell that carries out what is decided here.
//!
//! - [`positions`] a set of messages within a chunk
//! - [`progress`] what a partition's commit string holds, and its text
//! - [`checkpoint`] where to begin on a queue that forgets commits
//! - [`invariant`] what must always hold, and the error for when it does not
//! - [`ledger`] what the campaign topic says of every run
//! - [`outcome`] what becomes of a message
//! - [`machine`] one owned partition: gained, results in, moves and claims out, left

pub mod checkpoint;
pub mod invariant;
pub mod ledger;
pub mod machine;
pub mod outcome;
pub mod positions;
pub mod progress;

pub use ledger::{Ledger, RunFacts};
pub use machine::{Machine, MessageRef, OpenMessage};
pub use outcome::Outcome;
pub use positions::Positions;
pub use progress::{Move, OpenChunk, Progress, RunEntry, Target};
