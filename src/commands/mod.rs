//! Floor 3: one file for each command, with its `Args` and its `run`. What they share (failures, output, global flags)
//! is here too, because commands know nothing of the clap tree above them.

mod access;
pub mod bounce;
pub mod campaign;
pub mod check;
pub mod completions;
pub mod control;
pub mod dlq;
pub mod enqueue;
pub mod events;
mod failure;
pub mod global;
pub mod init;
mod lookup;
pub mod manual;
pub mod output;
pub mod preview;
pub mod print_config;
pub mod progress;
pub mod project;
pub mod recipients;
pub mod recover;
pub mod relays;
pub mod run;
pub mod send;
pub mod status;
pub mod suppress;
mod temporary;
pub mod terminal;
pub mod test;
mod text;
pub mod time;
pub mod topics;
pub mod verify;
pub mod worker;

pub use failure::{Exit, Failure, MORE_FILES};
pub use global::Global;
