//! Dead letters: messages that nobody tries any more, each a record of the dlq topic until it is replayed or purged.
//!
//! - [`record`] a letter as a record and back

mod record;

pub use record::{LetterError, key, letter, place, read, record};
