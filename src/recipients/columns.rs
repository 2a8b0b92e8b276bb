//! Which columns a list has: the names in its header row, which one holds the address, and which ones reach a header of
//! the message.

use super::Options;
use super::error::{HeaderProblem, control_name, shortened};
use super::record::Record;
use crate::domain::address::Address;
use std::collections::HashSet;

#[derive(Debug, Clone)]
pub struct Columns {
    columns: Vec<Column>,
    /// Index of the column with the addresses.
    address: usize,
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
    /// Templates of headers use the column, or it holds the addresses.
    pub reaches_header: bool,
}

impl Columns {
    /// From the header row. White space around names is ignored.
    pub fn from_header(header: &Record, options: &Options) -> Result<Columns, ColumnsError> {
        let names = names(header).map_err(ColumnsError::Header)?;
        let address = names.iter().position(|name| *name == options.email_column);
        let Some(address) = address else {
            return Err(ColumnsError::NoEmailColumn(names));
        };
        let column = |(index, name): (usize, String)| Column {
            reaches_header: index == address || options.header_columns.contains(&name),
            name,
        };
        Ok(Columns {
            columns: names.into_iter().enumerate().map(column).collect(),
            address,
        })
    }

    pub fn address_index(&self) -> usize {
        self.address
    }

    pub fn len(&self) -> usize {
        self.columns.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter()
    }

    pub fn names(&self) -> Vec<String> {
        self.iter().map(|column| column.name.clone()).collect()
    }
}

/// Names that are not empty, not given twice, and not addresses.
fn names(header: &Record) -> Result<Vec<String>, HeaderProblem> {
    let mut seen = HashSet::new();
    let mut names = Vec::with_capacity(header.len());
    for (cell, number) in header.cells().zip(1..) {
        let name = name(cell, number)?;
        if !seen.insert(name.clone()) {
            return Err(HeaderProblem::Duplicate { name });
        }
        names.push(name);
    }
    Ok(names)
}

fn name(cell: &[u8], number: usize) -> Result<String, HeaderProblem> {
    let name = match std::str::from_utf8(cell) {
        Ok(name) => name.trim(),
        Err(_) => return Err(HeaderProblem::NotUtf8 { number }),
    };
    if name.is_empty() {
        return Err(HeaderProblem::Empty { number });
    }
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
