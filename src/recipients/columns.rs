//! Which columns a list has: the names in its header row, which one holds the address, and which ones reach a header of
//! the message.

use super::Options;
use super::error::{HeaderProblem, RowProblem, control_name, shortened};
use super::record::Record;
use crate::domain::address::Address;
use std::collections::HashSet;

#[derive(Debug, Clone)]
pub struct Columns {
    /// The columns with a name.
    columns: Vec<Column>,
    /// Index of the column with the addresses among those with a name.
    address: usize,
    /// Cells of the header row up to the last one with a name.
    width: usize,
    /// Cells of the header row without a name. Spreadsheet programs write them for cells that were cleared.
    unnamed: u64,
}

/// Why a header row cannot be used.
pub enum ColumnsError {
    Header(HeaderProblem),
    /// None of these columns is the one with the addresses.
    NoEmailColumn(Vec<String>),
}

#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    /// Index of the column's cell in a row.
    cell: usize,
    /// Templates of headers use the column, or it holds the addresses.
    pub reaches_header: bool,
}

impl Columns {
    /// From the header row. White space around names is ignored.
    pub fn from_header(header: &Record, options: &Options) -> Result<Columns, ColumnsError> {
        let columns = columns(header, options).map_err(ColumnsError::Header)?;
        let is_address = |column: &Column| column.name == options.email_column;
        let Some(address) = columns.iter().position(is_address) else {
            let names = columns.into_iter().map(|column| column.name);
            return Err(ColumnsError::NoEmailColumn(names.collect()));
        };
        Ok(Columns {
            width: columns.last().map_or(0, |column| column.cell + 1),
            unnamed: (header.len() - columns.len()) as u64,
            columns,
            address,
        })
    }

    pub fn address_index(&self) -> usize {
        self.address
    }

    pub fn address_name(&self) -> &str {
        let column = self.columns.get(self.address);
        column.map_or("", |column| column.name.as_str())
    }

    /// Columns without a name.
    pub fn unnamed(&self) -> u64 {
        self.unnamed
    }

    pub fn names(&self) -> Vec<String> {
        let names = self.columns.iter().map(|column| column.name.clone());
        names.collect()
    }

    /// The cells of a row that have a name, with their columns.
    pub fn cells<'a>(
        &'a self,
        record: &'a Record,
    ) -> impl Iterator<Item = (&'a Column, &'a [u8])> + 'a {
        let mut columns = self.columns.iter().peekable();
        record.cells().enumerate().filter_map(move |(index, cell)| {
            let column = columns.next_if(|column| column.cell == index)?;
            Some((column, cell))
        })
    }

    /// Whether each named cell of a row is the name of its column, in upper or lower case.
    pub fn is_header(&self, record: &Record) -> bool {
        let mut cells = self.cells(record);
        cells.all(|(column, cell)| {
            name(cell, 0).is_ok_and(|name| name.to_lowercase() == column.name.to_lowercase())
        })
    }

    /// Whether a row has a cell for each column, and nothing in cells that have no column.
    pub fn check_width(&self, record: &Record) -> Result<(), RowProblem> {
        if record.len() == self.columns.len() && self.unnamed == 0 {
            return Ok(());
        }
        let mut columns = self.columns.iter().peekable();
        let mut is_full = true;
        for (index, cell) in record.cells().enumerate() {
            let is_named = columns.next_if(|column| column.cell == index).is_some();
            if is_named || cell.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if index < self.width {
                let value = shortened(cell);
                return Err(RowProblem::Unnamed {
                    number: index + 1,
                    value,
                });
            }
            is_full = false;
        }
        match is_full && record.len() >= self.width {
            true => Ok(()),
            false => Err(RowProblem::Ragged {
                found: record.len(),
                expected: self.width,
            }),
        }
    }
}

/// The columns with a name. Names are not given twice, and are not addresses.
fn columns(header: &Record, options: &Options) -> Result<Vec<Column>, HeaderProblem> {
    let mut seen = HashSet::new();
    let mut columns = Vec::with_capacity(header.len());
    for (index, cell) in header.cells().enumerate() {
        let name = name(cell, index + 1)?;
        if name.is_empty() {
            continue;
        }
        if !seen.insert(name.clone()) {
            return Err(HeaderProblem::Duplicate { name });
        }
        columns.push(Column {
            reaches_header: name == options.email_column || options.header_columns.contains(&name),
            name,
            cell: index,
        });
    }
    Ok(columns)
}

fn name(cell: &[u8], number: usize) -> Result<String, HeaderProblem> {
    let name = match std::str::from_utf8(cell) {
        Ok(name) => name.trim_matches(|c: char| c.is_whitespace() || c == '\u{FEFF}'),
        Err(_) => return Err(HeaderProblem::NotUtf8 { number }),
    };
    if let Some(byte) = name.bytes().find(u8::is_ascii_control) {
        let shown = control_name(byte);
        return Err(HeaderProblem::Control { number, shown });
    }
    if Address::parse(name).is_ok() {
        let value = shortened(name.as_bytes());
        return Err(HeaderProblem::Missing { value });
    }
    Ok(name.to_string())
}
