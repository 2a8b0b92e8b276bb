//! Addresses that are never mailed: the records of the suppression topic, the set that a worker asks before each
//! message, and the lists that people bring and take away. Works on plain keys and bytes; knows no queue.

mod entry;
mod list;
mod set;

pub use entry::{Entry, Token, fold};
pub use list::{Import, ImportError, Listed, export};
pub use set::{RecordError, SuppressionSet};
