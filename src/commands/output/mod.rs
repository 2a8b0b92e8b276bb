//! Data on stdout, the same way for every command: lines, a JSON document, or a list in the requested format.
//! A closed pipe ends the command quietly, where `println!` panics.

mod listing;
mod stream;
mod table;

pub use listing::{Cells, Format, Listing, Row};
pub use table::{Align, Column, Table, fields, padded};

use super::Failure;
use super::terminal;
use crate::domain::shown::{in_json, on_lines, on_one_line};
use serde::Serialize;
use std::borrow::Cow;
use std::io::IsTerminal;
use stream::unwritten;

/// One line, with hidden characters by name.
pub fn line(text: impl AsRef<str>) -> Result<(), Failure> {
    raw(format!("{}\n", on_one_line(text.as_ref())).as_bytes())
}

/// Lines, written at once.
pub fn lines(lines: &[String]) -> Result<(), Failure> {
    let ended = lines
        .iter()
        .flat_map(|line| [on_one_line(line), Cow::Borrowed("\n")]);
    raw(ended.collect::<String>().as_bytes())
}

/// A foreign text of several lines. Another program gets it byte for byte.
pub fn text(bytes: &[u8]) -> Result<(), Failure> {
    match std::io::stdout().is_terminal() {
        true => raw(on_lines(&String::from_utf8_lossy(bytes)).as_bytes()),
        false => raw(bytes),
    }
}

/// Bytes as they are.
pub fn raw(bytes: &[u8]) -> Result<(), Failure> {
    terminal::write(bytes).map_err(|error| unwritten(&error))
}

/// One JSON document on a line of its own.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::usage("cannot write the result as JSON").caused_by(&error))?;
    raw(format!("{}\n", in_json(&text)).as_bytes())
}
