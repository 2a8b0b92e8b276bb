//! An opened recipients file: its columns, then its rows one after the other. Both passes read a list through this;
//! only this file knows which format the list has.

use super::Options;
use super::columns::{Columns, ColumnsError};
use super::csv_file::{CsvReader, Step};
use super::error::{HeaderProblem, RecipientsError};
use super::record::Record;
use super::source::Stamp;
use crate::domain::nearest::nearest;
use std::path::Path;

/// The names of the columns, after the same checks of the header row as in the first pass.
pub fn columns(path: &Path, options: &Options) -> Result<Vec<String>, RecipientsError> {
    Table::open(path, options).map(|table| table.columns.names())
}

pub struct Table {
    pub columns: Columns,
    reader: CsvReader,
}

/// A row as the file has it.
#[derive(Clone, Copy)]
pub struct RawRow<'a> {
    pub record: &'a Record,
    /// Line of the file on which the row begins, from 1.
    pub line: u64,
}

impl Table {
    /// Reads and checks the header row.
    pub fn open(path: &Path, options: &Options) -> Result<Table, RecipientsError> {
        let mut reader = CsvReader::open(path)?;
        let columns = match reader.step()? {
            Step::Row => Columns::from_header(reader.record(), options),
            Step::Broken(problem) => Err(ColumnsError::Header(HeaderProblem::Broken(problem))),
            Step::End => {
                return Err(RecipientsError::Empty {
                    path: reader.path(),
                });
            }
        };
        match columns {
            Ok(columns) => Ok(Table { columns, reader }),
            Err(error) => Err(header_error(&reader, error, options)),
        }
    }

    /// Reads the next row, which [`Table::row`] then returns. Empty lines are skipped.
    pub fn step(&mut self) -> Result<Step, RecipientsError> {
        self.reader.step()
    }

    /// The row that was read last.
    pub fn row(&self) -> RawRow<'_> {
        RawRow {
            record: self.reader.record(),
            line: self.reader.line(),
        }
    }

    pub fn path(&self) -> String {
        self.reader.path()
    }

    pub fn stamp(&self) -> Result<Stamp, RecipientsError> {
        self.reader.stamp()
    }

    pub fn bytes_read(&self) -> u64 {
        self.reader.bytes_read()
    }

    /// SHA-256 of the whole file in hexadecimal. Reads what has not been read yet.
    pub fn fingerprint(self) -> Result<String, RecipientsError> {
        self.reader.fingerprint()
    }
}

fn header_error(reader: &CsvReader, error: ColumnsError, options: &Options) -> RecipientsError {
    let (path, line) = (reader.path(), reader.line());
    match error {
        ColumnsError::Header(problem) => RecipientsError::Header {
            path,
            line,
            problem,
        },
        ColumnsError::NoEmailColumn(columns) => {
            let wanted = options.email_column.clone();
            let nearest = nearest(&wanted, columns.iter().map(String::as_str)).map(str::to_string);
            RecipientsError::NoEmailColumn {
                path,
                line,
                wanted,
                columns,
                nearest,
            }
        }
    }
}
