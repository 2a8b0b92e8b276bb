//! Dead letters: messages that nobody tries any more, each a record of the dlq topic until it is replayed or purged.
//!
//! - `record` a letter as a record and back
//! - `named` which letters replays and purges have
//! - `list` what is there, by filter; `show` one with its history; `export` as CSV
//! - `replay` sends letters again as a run of its own; `purge` removes them

mod export;
mod list;
mod named;
mod purge;
mod record;
mod replay;
mod show;

pub use export::export;
pub use list::{LetterFilter, ListedLetter, list};
pub use named::{By, Naming, namings};
pub use purge::{Purged, purge};
pub use record::{LetterError, key, letter, place, read, record};
pub use replay::{ReplayReport, Replayer};
pub use show::{Shown, show};
