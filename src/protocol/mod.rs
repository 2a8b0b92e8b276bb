//! The queue's protocol as a pure state machine: which messages may be sent, and what is known of them after any fault.
//! No I/O, no clock, no tasks: `engine::worker` carries out what is decided here.
//!
//! - [`positions`] a set of messages within a chunk
//! - [`progress`] what a partition's commit contains
//! - [`text`] how it is written
//! - [`checkpoint`] where to start on a queue that forgets commits
//! - [`invariant`] what must always hold, and the error for when it does not
//! - [`ledger`] what the campaign topic says of every run
//! - [`reservations`] who got how much of a daily quota
//! - [`outcome`] what becomes of a message
//! - [`machine`] one owned partition, from its gain to its release

pub mod checkpoint;
pub mod invariant;
pub mod ledger;
pub mod machine;
pub mod outcome;
pub mod positions;
pub mod progress;
pub mod reservations;
pub mod text;

pub use ledger::{Ledger, RunFacts};
pub use machine::{Machine, MessageRef, OpenMessage};
pub use outcome::Outcome;
pub use positions::Positions;
pub use progress::{BaseId, Move, OpenChunk, Progress, RunEntry, Target};
pub use reservations::Reservations;
pub use text::{Bases, TextError};
