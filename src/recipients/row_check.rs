//! Checks one row: as many cells as columns, valid text, a valid address. Both passes use it, so they accept the same
//! rows.

use super::Options;
use super::address_cell::{self, AddressCell};
use super::cell;
use super::columns::Columns;
use super::error::{GarbledCell, RecipientsError, RowError, RowProblem, shortened};
use super::table::{RawRow, Table};
use super::text_guess::before_wrong_decoding;
use crate::domain::address::{Address, AddressError};
use crate::domain::mailbox_key::mailbox_key;
use crate::domain::recipient::{RecipientRow, RowTest};
use crate::domain::records::SeveralPolicy;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

pub struct RowCheck {
    file: String,
    columns: Columns,
    several: SeveralPolicy,
    /// The message of a row has other rows too, so it is tested when all are known.
    is_grouped: bool,
    cells: RandomState,
}

impl RowCheck {
    pub fn new(table: &Table, options: &Options) -> RowCheck {
        RowCheck {
            file: table.path(),
            columns: table.columns.clone(),
            several: options.several,
            is_grouped: options.group,
            cells: RandomState::new(),
        }
    }

    /// The recipients' addresses, if the whole row can be used.
    pub fn addresses(&self, row: RawRow<'_>) -> Result<AddressCell, RowError> {
        let width = self.columns.check_width(row.record);
        width.map_err(|what| self.row_error(row.line, better_reason(what, row)))?;
        let mut address = None;
        let is_plain = cell::is_printable_ascii(row.record.text());
        for (index, (column, cell)) in self.columns.cells(row.record).enumerate() {
            if index == self.columns.address_index() {
                address = Some((column, cell));
            } else if !is_plain {
                cell::text(cell, column.reaches_header)
                    .map_err(|what| self.cell_error(row.line, &column.name, cell, what))?;
            }
        }
        let (column, cell) =
            address.ok_or_else(|| self.row_error(row.line, AddressError::Empty.into()))?;
        let found = address_cell::read(cell, self.several == SeveralPolicy::Each);
        found.map_err(|what| {
            // A control character is the better reason. Around an address it does no harm.
            let what = match what {
                RowProblem::Address(_) if self.columns.is_header(row.record) => {
                    return self.row_error(row.line, RowProblem::HeaderAgain);
                }
                RowProblem::Address(_) => cell::text(cell, true).err().unwrap_or(what),
                what => what,
            };
            self.cell_error(row.line, &column.name, cell, what)
        })
    }

    /// The cells as text, for a row that [`RowCheck::addresses`] accepted. The cell of the address is the address that is
    /// mailed, so that links in the mail hold it.
    pub fn texts(&self, row: RawRow<'_>, address: &Address) -> Result<Vec<String>, RowError> {
        let cells = self.columns.cells(row.record).enumerate();
        let text = cells.map(|(index, (column, cell))| {
            if index == self.columns.address_index() {
                return Ok(address.to_string());
            }
            let text = cell::text(cell, column.reaches_header);
            text.map(str::to_string)
                .map_err(|what| self.cell_error(row.line, &column.name, cell, what))
        });
        text.collect()
    }

    /// Tells rows apart by their cells beside the address. The same in one process only.
    pub fn digest(&self, row: RawRow<'_>) -> u32 {
        let mut hasher = self.cells.build_hasher();
        for (index, (_, cell)) in self.columns.cells(row.record).enumerate() {
            if index != self.columns.address_index() {
                cell.trim_ascii().hash(&mut hasher);
            }
        }
        hasher.finish() as u32
    }

    /// The cells of one more row of a mailbox. `None`: it is no row of it.
    pub fn texts_of(&self, row: RawRow<'_>, mailbox: &str) -> Option<Vec<String>> {
        let addresses = self.addresses(row).ok()?.addresses;
        let mut addresses = addresses.iter().map(|found| &found.address);
        let address = addresses.find(|address| mailbox_key(address.as_str()) == mailbox)?;
        self.texts(row, address).ok()
    }

    /// The first cell that was decoded wrongly before it came into the list. For a row that [`RowCheck::addresses`]
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

    /// The cell of addresses, if the row passes the tests of templates. They see its first address.
    pub fn tested(
        &self,
        row: RawRow<'_>,
        cell: AddressCell,
        tests: Option<&mut (dyn RowTest + '_)>,
    ) -> Result<AddressCell, RowError> {
        let (Some(tests), Some(first)) = (tests, cell.addresses.first()) else {
            return Ok(cell);
        };
        let recipient = RecipientRow {
            row: 0,
            line: row.line,
            address: first.address.clone(),
            name: first.name.clone(),
            fields: self.texts(row, &first.address)?,
            others: Vec::new(),
        };
        let message = || match self.is_grouped {
            true => Ok(()),
            false => tests.message(&recipient),
        };
        let fault = match tests.cells(&recipient).and_then(|()| message()) {
            Ok(()) => {
                tests.observe(&recipient);
                return Ok(cell);
            }
            Err(fault) => fault,
        };
        let place = fault.column.and_then(|index| {
            let (column, _) = self.columns.cells(row.record).nth(index)?;
            Some((column, recipient.fields.get(index)?))
        });
        let what = RowProblem::Unfit(fault.what);
        Err(match place {
            Some((column, cell)) => self.cell_error(row.line, &column.name, cell.as_bytes(), what),
            None => self.row_error(row.line, what),
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

    /// An error about the address of a recipient.
    pub fn address_error(&self, recipient: &RecipientRow, what: RowProblem) -> RowError {
        let address = recipient.address.as_str().as_bytes();
        let column = self.columns.address_name();
        self.cell_error(recipient.line, column, address, what)
    }

    pub fn many_groups(&self) -> RecipientsError {
        let path = self.file.clone();
        RecipientsError::ManyGroups { path }
    }

    fn cell_error(&self, line: u64, column: &str, cell: &[u8], what: RowProblem) -> RowError {
        RowError {
            cell: Some((column.to_string(), shortened(cell))),
            ..self.row_error(line, what)
        }
    }
}

/// For a row of another width: the end of a file of DOS (Ctrl-Z) or of a damaged one (NUL) is no row that lacks cells.
fn better_reason(what: RowProblem, row: RawRow<'_>) -> RowProblem {
    let mut cells = row.record.cells();
    match what {
        RowProblem::Ragged { .. } => cells
            .find_map(|cell| cell::text(cell, false).err())
            .filter(|found| matches!(found, RowProblem::Control { .. }))
            .unwrap_or(what),
        what => what,
    }
}
