//! Addresses that are never mailed: records of the suppression topic, the set that a worker checks before each attempt,
//! and lists as files, imported and exported. Knows keys and bytes, no queue.

mod entry;
mod export;
mod import;
mod set;

pub use entry::{Entry, SuppressionKey, fold};
pub use export::{HEADER, cells};
pub use import::{Import, ImportError, ImportedAddress};
pub use set::{RecordError, SuppressionSet};
