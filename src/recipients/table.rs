//! An opened recipients file: its columns, then its rows one after the other. Both passes read a list through this.

use super::Options;
use super::columns::{Columns, ColumnsError};
use super::csv_file::Step;
use super::error::{HeaderProblem, RecipientsError, RowError, shortened};
use super::fetched::Fetched;
use super::list_reader::ListReader;
use super::raw_row::{Frame, RejectedRow};
use super::record::Record;
use super::source::{FileEncoding, Stamp};
use super::text_guess::{BrokenText, EncodingEvidence};
use crate::domain::nearest::nearest;
use std::path::Path;

/// The names of the columns, after the same checks of the header row as in the first pass.
pub fn columns(path: &Path, options: &Options) -> Result<Vec<String>, RecipientsError> {
    Table::open(path, options).map(|table| table.columns.names())
}

/// The first rows of a list, to see what its columns hold.
#[derive(Debug)]
pub struct Sample {
    pub columns: Vec<String>,
    /// Each with a cell for each column.
    pub rows: Vec<Vec<String>>,
    /// What the text seems to be if it is not UTF-8.
    pub encoding: Option<FileEncoding>,
}

/// Reads the header row and up to `count` rows. Bad rows are left out, and no column need hold addresses.
pub fn sample(path: &Path, count: usize) -> Result<Sample, RecipientsError> {
    let mut options = Options::default();
    let mut table = match Table::open(path, &options) {
        Err(RecipientsError::Encoding {
            guess: Some(name), ..
        }) => {
            options.encoding = FileEncoding::of_name(&name);
            Table::open(path, &options)
        }
        opened => opened,
    };
    if let Err(RecipientsError::NoEmailColumn { columns, .. }) = &table {
        // Any column will do.
        options.email_column = columns.first().cloned().unwrap_or_default();
        table = Table::open(path, &options);
    }
    let mut table = table?;
    let columns = table.columns.names();
    let mut rows = Vec::new();
    let mut evidence = EncodingEvidence::default();
    while rows.len() < count {
        match table.step()? {
            Step::End => break,
            Step::Broken(_) => continue,
            Step::Row => {}
        }
        let record = table.row().record;
        if std::str::from_utf8(record.text()).is_err() {
            evidence.add(record.text());
        }
        let cells = table.columns.cells(record);
        rows.push(
            cells
                .map(|(_, cell)| String::from_utf8_lossy(cell).into_owned())
                .collect(),
        );
    }
    Ok(Sample {
        columns,
        rows,
        encoding: options.encoding.or_else(|| evidence.guess()),
    })
}

pub struct Table {
    pub columns: Columns,
    pub frame: Frame,
    reader: ListReader,
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
        let mut reader = ListReader::open(path, options)?;
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
            Ok(columns) => Ok(Table {
                frame: reader.frame(&columns),
                columns,
                reader,
            }),
            Err(error) => Err(title(&reader, &error, options)
                .unwrap_or_else(|| header_error(&reader, error, options))),
        }
    }

    /// Reads the next row, which [`Table::row`] then returns. Empty rows are skipped.
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

    /// Where the row that was read last is, for [`Table::fetch`].
    pub fn offset(&mut self) -> u64 {
        self.reader.offset()
    }

    /// Reads the row at an offset again. The row that was read last stays. `false`: there is no row.
    pub fn fetch(&self, offset: u64, row: &mut Fetched) -> Result<bool, RecipientsError> {
        self.reader.fetch(offset, row)
    }

    /// Errors: rows of this list cannot be fetched.
    pub fn require_fetching(&self) -> Result<(), RecipientsError> {
        match self.reader.unsearchable() {
            None => Ok(()),
            Some(encoding) => Err(RecipientsError::GroupEncoding {
                path: self.path(),
                encoding,
            }),
        }
    }

    /// The row that was read last, for the file of rejected rows.
    pub fn rejected(&self, error: RowError) -> RejectedRow {
        let raw = self.reader.raw();
        RejectedRow::new(error, &raw, self.reader.record(), &self.frame)
    }

    pub fn path(&self) -> String {
        self.reader.path()
    }

    /// Rows skipped so far that had nothing but delimiters and white space.
    pub fn empty_rows(&self) -> u64 {
        self.reader.empty_rows()
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

/// The error for a first row that is a title, because the header row follows below. A first row with a column that may
/// hold addresses is no title.
fn title(reader: &ListReader, error: &ColumnsError, options: &Options) -> Option<RecipientsError> {
    if let ColumnsError::Header(problem) = error
        && !matches!(problem, HeaderProblem::Duplicate { .. })
    {
        return None;
    }
    let first = reader.record();
    if first.cells().any(names_mail) {
        return None;
    }
    let is_wanted = |cell: &[u8]| {
        let name = std::str::from_utf8(cell).map(str::trim);
        name == Ok(options.email_column.as_str()) || names_mail(cell)
    };
    let header_line = reader.header_below(&is_wanted)?;
    let value = first.cells().find(|cell| !cell.is_empty())?;
    Some(RecipientsError::Header {
        path: reader.path(),
        line: reader.line(),
        problem: HeaderProblem::Title {
            value: shortened(value),
            header_line,
        },
    })
}

/// Whether a cell looks like the name of a column with addresses.
fn names_mail(cell: &[u8]) -> bool {
    let text = String::from_utf8_lossy(cell).to_lowercase();
    text.contains("mail") && !text.contains('@') && text.chars().count() <= 40
}

fn header_error(reader: &ListReader, error: ColumnsError, options: &Options) -> RecipientsError {
    let (path, line) = (reader.path(), reader.line());
    match error {
        ColumnsError::Header(HeaderProblem::NotUtf8 { .. }) if options.encoding.is_none() => {
            let mut evidence = EncodingEvidence::default();
            evidence.add(reader.record().text());
            evidence.add(reader.unused());
            BrokenText::new(path, line, reader.record()).error(&evidence)
        }
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
