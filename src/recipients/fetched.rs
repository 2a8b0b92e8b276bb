//! A row that was read again, out of its turn.

use super::raw_row::{as_csv, without_line_end};
use super::record::Record;

#[derive(Debug, Default)]
pub struct Fetched {
    pub record: Record,
    /// The text that begins with the row, as UTF-8; of a workbook nothing.
    pub text: Vec<u8>,
    /// Bytes of the row in `text`.
    pub bytes: usize,
}

impl Fetched {
    /// The row as the file has it, without its line end. A row of a workbook is written as CSV.
    pub fn raw(&self) -> Vec<u8> {
        match self.text.get(..self.bytes).filter(|row| !row.is_empty()) {
            Some(row) => without_line_end(row).to_vec(),
            None => as_csv(&self.record),
        }
    }
}
