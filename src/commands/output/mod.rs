//! Data on stdout, the same way for every command: lines, a JSON document, or a list in the requested format.
//! A closed pipe ends the command quietly, where `println!` panics.

mod listing;
mod stream;
mod table;

pub use listing::{Cells, Format, Listing, Row};
pub use table::{Align, Column, Table, fields, padded};

use super::Failure;
use super::terminal;
use serde::Serialize;
use stream::unwritten;

/// One line.
pub fn line(text: impl AsRef<str>) -> Result<(), Failure> {
    raw(format!("{}\n", text.as_ref()).as_bytes())
}

/// Lines, written at once.
pub fn lines(lines: &[String]) -> Result<(), Failure> {
    let ended = lines.iter().flat_map(|line| [line.as_str(), "\n"]);
    raw(ended.collect::<String>().as_bytes())
}

/// Bytes as they are.
pub fn raw(bytes: &[u8]) -> Result<(), Failure> {
    terminal::write(bytes).map_err(|error| unwritten(&error))
}

/// One JSON document on a line of its own.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::usage("cannot write the result as JSON").caused_by(&error))?;
    line(text)
}
