//! Dead letters: messages that nobody tries any more, each a record of the dlq topic until it is replayed or purged.
//!
//! - `list` what is there, by filter; `show` one with its history
//! - `replay` sends letters again as a run of its own; `purge` removes them

mod list;
mod purge;
mod replay;
mod show;

pub use crate::engine::read_model::letter::{LetterError, key, read, record};
pub use crate::engine::read_model::naming::{By, Naming, namings};
pub use list::{LetterFilter, ListedLetter, list};
pub use purge::{Purged, purge};
pub use replay::{ReplayReport, Replayer};
pub use show::{Shown, show};
