//! Checks one row: as many cells as columns, UTF-8, no control characters where they do harm, a good address.

use super::Options;
use super::error::{RowError, RowProblem, control_name, shortened};
use super::reader::Reader;
use super::record::Record;
use crate::domain::address::Address;

/// What the checks need to know of the file and its campaign.
pub struct Checks {
    file: String,
    columns: Vec<String>,
    email: usize,
    /// For each column whether its cells reach a header.
    reaches_header: Vec<bool>,
}

impl Checks {
    pub fn new(reader: &Reader, options: &Options) -> Checks {
        let reaches_header = reader.columns.iter().enumerate().map(|(index, column)| {
            index == reader.email || options.header_columns.contains(column)
        });
        Checks {
            file: reader.path(),
            columns: reader.columns.clone(),
            email: reader.email,
            reaches_header: reaches_header.collect(),
        }
    }

    pub fn row(&self, record: &Record, line: u64) -> Result<Address, RowError> {
        if record.len() != self.columns.len() {
            let what = RowProblem::Ragged {
                found: record.len(),
                expected: self.columns.len(),
            };
            return Err(self.row_error(line, what));
        }
        if !is_harmless(record.text()) {
            self.cells(record, line)?;
        }
        self.address(record, line)
    }

    pub fn row_error(&self, line: u64, what: RowProblem) -> RowError {
        RowError {
            file: self.file.clone(),
            line,
            cell: None,
            what,
        }
    }

    fn cells(&self, record: &Record, line: u64) -> Result<(), RowError> {
        for (index, cell) in record.cells().enumerate() {
            let in_header = self.reaches_header.get(index) == Some(&true);
            check_cell(cell, in_header)
                .map_err(|what| self.cell_error(record, index, line, what))?;
        }
        Ok(())
    }

    fn address(&self, record: &Record, line: u64) -> Result<Address, RowError> {
        let parsed = match std::str::from_utf8(record.cell(self.email)) {
            Ok(text) => Address::parse(text).map_err(RowProblem::Address),
            Err(_) => Err(RowProblem::NotUtf8),
        };
        parsed.map_err(|what| self.cell_error(record, self.email, line, what))
    }

    fn cell_error(&self, record: &Record, index: usize, line: u64, what: RowProblem) -> RowError {
        let column = self.columns.get(index).cloned().unwrap_or_default();
        RowError {
            cell: Some((column, shortened(record.cell(index)))),
            ..self.row_error(line, what)
        }
    }
}

/// Printable ASCII only, as most rows are.
fn is_harmless(text: &[u8]) -> bool {
    // Folded rather than searched, so that the compiler can look at many bytes at once.
    text.iter().fold(true, |harmless, byte| {
        harmless & matches!(byte, b' '..=b'~')
    })
}

fn check_cell(cell: &[u8], in_header: bool) -> Result<(), RowProblem> {
    if std::str::from_utf8(cell).is_err() {
        return Err(RowProblem::NotUtf8);
    }
    for byte in cell.iter().copied().filter(u8::is_ascii_control) {
        let shown = control_name(byte);
        if !matches!(byte, b'\t' | b'\r' | b'\n') {
            return Err(RowProblem::Control { shown });
        }
        if in_header {
            return Err(RowProblem::ControlInHeader { shown });
        }
    }
    Ok(())
}
