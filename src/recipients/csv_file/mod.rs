//! CSV (RFC 4180), read strictly: records of bytes with line numbers, or what is wrong with a row.

mod delimiter;
mod header_below;
mod reader;
mod split;

pub use reader::{CsvReader, Step};
