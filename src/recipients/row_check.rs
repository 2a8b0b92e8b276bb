//! Checks one row: as many cells as columns, valid text, a valid address. Both passes use it, so they accept the same
//! rows.

use super::cell;
use super::columns::Columns;
use super::error::{GarbledCell, RowError, RowProblem, shortened};
use super::table::{RawRow, Table};
use super::text_guess::before_wrong_decoding;
use crate::domain::address::{Address, AddressError};

pub struct RowCheck {
    file: String,
    columns: Columns,
}

impl RowCheck {
    pub fn new(table: &Table) -> RowCheck {
        RowCheck {
            file: table.path(),
            columns: table.columns.clone(),
        }
    }

    /// The recipient's address, if the whole row can be used.
    pub fn address(&self, row: RawRow<'_>) -> Result<Address, RowError> {
        let width = self.columns.check_width(row.record);
        width.map_err(|what| self.row_error(row.line, what))?;
        let columns = || self.columns.cells(row.record);
        let Some((column, cell)) = columns().nth(self.columns.address_index()) else {
            return Err(self.row_error(row.line, RowProblem::Address(AddressError::Empty)));
        };
        if !cell::is_printable_ascii(row.record.text()) {
            for (column, cell) in columns() {
                cell::text(cell, column.reaches_header)
                    .map_err(|what| self.cell_error(row.line, &column.name, cell, what))?;
            }
        }
        cell::address(cell).map_err(|what| self.cell_error(row.line, &column.name, cell, what))
    }

    /// The cells as text. For a row that [`RowCheck::address`] accepted.
    pub fn texts(&self, row: RawRow<'_>) -> Result<Vec<String>, RowError> {
        let cells = self.columns.cells(row.record);
        let text = cells.map(|(column, cell)| {
            let text = cell::text(cell, column.reaches_header);
            text.map(str::to_string)
                .map_err(|what| self.cell_error(row.line, &column.name, cell, what))
        });
        text.collect()
    }

    /// The first cell that was decoded wrongly before it came into the list. For a row that [`RowCheck::address`]
    /// accepted.
    pub fn garbled(&self, row: RawRow<'_>) -> Option<GarbledCell> {
        let mut cells = self.columns.cells(row.record);
        cells.find_map(|(column, cell)| {
            let text = std::str::from_utf8(cell).ok()?;
            let meant = before_wrong_decoding(text)?;
            Some(GarbledCell {
                file: self.file.clone(),
                line: row.line,
                column: column.name.clone(),
                value: shortened(cell),
                meant: shortened(meant.as_bytes()),
            })
        })
    }

    pub fn row_error(&self, line: u64, what: RowProblem) -> RowError {
        RowError {
            file: self.file.clone(),
            line,
            cell: None,
            what,
        }
    }

    fn cell_error(&self, line: u64, column: &str, cell: &[u8], what: RowProblem) -> RowError {
        RowError {
            cell: Some((column.to_string(), shortened(cell))),
            ..self.row_error(line, what)
        }
    }
}
