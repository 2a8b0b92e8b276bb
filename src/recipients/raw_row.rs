//! Rows as the file has them, byte for byte, and the frame that makes a file of rejected rows read like the list.

use super::columns::Columns;
use super::error::{RowError, RowProblem};
use super::record::Record;

/// What stands around the rows of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The list is not plain UTF-8. Rows are written as UTF-8, and a byte order mark says so.
    pub has_mark: bool,
    /// The list begins with `sep=;`.
    pub has_sep_line: bool,
    pub delimiter: u8,
    /// With its line end.
    pub header: Vec<u8>,
    /// Cells of the header row.
    pub width: usize,
    /// Name of the column for the reasons: one that the list does not have.
    pub reason: String,
}

/// A bad row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRow {
    pub error: RowError,
    /// As in the file, without the line end.
    pub raw: Vec<u8>,
}

/// Of a row that is too long, only so much is kept.
const KEPT_BYTES: usize = 16 * 1024;

impl RejectedRow {
    pub fn new(error: RowError, raw: &[u8], record: &Record, frame: &Frame) -> RejectedRow {
        let raw = match error.what {
            RowProblem::CellTooLong | RowProblem::RowTooLong => shortened(raw),
            // These rows are not whole, so the number of their cells means nothing.
            RowProblem::Ragged { .. }
            | RowProblem::OpenQuote
            | RowProblem::TextAfterQuote
            | RowProblem::QuoteInside
            | RowProblem::SpaceBeforeQuote => raw.to_vec(),
            _ => fitted(raw, record.len(), frame),
        };
        RejectedRow { error, raw }
    }
}

impl Frame {
    pub fn reason_column(columns: &Columns) -> String {
        let names = columns.names();
        let numbered = (2..).map(|number| format!("reason {number}"));
        let mut free = std::iter::once("reason".to_string()).chain(numbered);
        free.find(|name| !names.contains(name)).unwrap_or_default()
    }
}

/// The beginning of a row that is too long. A quote that is open there is closed, so that the next row is read apart.
fn shortened(raw: &[u8]) -> Vec<u8> {
    let is_inside_character = |at: &usize| raw.get(*at).is_some_and(|byte| byte & 0xC0 == 0x80);
    // A character of UTF-8 has at most three bytes behind its first one.
    let mut ends = (KEPT_BYTES.saturating_sub(3)..=KEPT_BYTES).rev();
    let end = ends.find(|at| !is_inside_character(at));
    let end = end.unwrap_or(KEPT_BYTES);
    let mut kept = raw.get(..end).unwrap_or(raw).to_vec();
    let quotes = kept.iter().filter(|byte| **byte == b'"').count();
    if !quotes.is_multiple_of(2) {
        kept.push(b'"');
    }
    kept
}

/// The row with as many cells as the header, so that the reason gets below its name. Cells without content may be missing
/// at its end, or be too many.
fn fitted(raw: &[u8], cells: usize, frame: &Frame) -> Vec<u8> {
    let mut raw = raw.to_vec();
    for _ in frame.width..cells {
        while raw.pop().is_some_and(|byte| byte != frame.delimiter) {}
    }
    let missing = frame.width.saturating_sub(cells);
    raw.extend(std::iter::repeat_n(frame.delimiter, missing));
    raw
}

/// A row without its line end.
pub fn without_line_end(row: &[u8]) -> &[u8] {
    let row = row.strip_suffix(b"\n").unwrap_or(row);
    row.strip_suffix(b"\r").unwrap_or(row)
}

/// The cells of a row of a workbook as a row of CSV.
pub fn as_csv(record: &Record) -> Vec<u8> {
    let mut row = Vec::new();
    for (index, cell) in record.cells().enumerate() {
        if index > 0 {
            row.push(b',');
        }
        push_cell(cell, &mut row);
    }
    row
}

/// Appends a cell, with quotes if it needs them.
pub fn push_cell(cell: &[u8], row: &mut Vec<u8>) {
    let is_plain = |byte: &u8| {
        !matches!(
            byte,
            b'"' | b',' | b';' | b'\t' | b'|' | b'\r' | b'\n' | b'='
        )
    };
    if cell.iter().all(is_plain) {
        row.extend_from_slice(cell);
        return;
    }
    quote_cell(cell, row);
}

/// Appends a cell in quotes.
pub fn quote_cell(cell: &[u8], row: &mut Vec<u8>) {
    row.push(b'"');
    for byte in cell {
        row.push(*byte);
        if *byte == b'"' {
            row.push(b'"');
        }
    }
    row.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_cut_between_characters() {
        for (character, before) in [("x", 0), ("é", 1), ("京", 1), ("京", 2), ("𝄞", 3)] {
            let row = "x".repeat(before) + &character.repeat(KEPT_BYTES);
            let kept = String::from_utf8(shortened(row.as_bytes())).unwrap();
            assert!(row.starts_with(&kept) && kept.len() > KEPT_BYTES - 4);
        }
        assert_eq!(shortened("é".as_bytes()), "é".as_bytes());
    }
}
