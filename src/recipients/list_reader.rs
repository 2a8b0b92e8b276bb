//! Reads the rows of a file, whichever format it has.

use super::Options;
use super::columns::Columns;
use super::csv_file::{CsvReader, Step};
use super::error::RecipientsError;
use super::fetched::Fetched;
use super::format::{Format, recognise};
use super::raw_row::{Frame, as_csv, without_line_end};
use super::record::Record;
use super::sheet::SheetReader;
use super::source::{Stamp, unreadable};
use crate::bounded_file;
use std::borrow::Cow;
use std::path::Path;

pub enum ListReader {
    Csv(CsvReader),
    Sheet(SheetReader),
}

impl ListReader {
    pub fn open(path: &Path, options: &Options) -> Result<ListReader, RecipientsError> {
        let format = bounded_file::open(path).and_then(|mut file| recognise(&mut file));
        Ok(match format.map_err(|error| unreadable(path, &error))? {
            Format::Text => ListReader::Csv(CsvReader::open(path, options.encoding)?),
            Format::Xlsx => ListReader::Sheet(SheetReader::open_xlsx(path, options)?),
            Format::Ods => ListReader::Sheet(SheetReader::open_ods(path, options)?),
            Format::Foreign(format) => {
                let path = path.display().to_string();
                return Err(RecipientsError::Foreign { path, format });
            }
        })
    }

    /// Reads the next row. Empty rows are skipped.
    pub fn step(&mut self) -> Result<Step, RecipientsError> {
        match self {
            ListReader::Csv(reader) => reader.step(),
            ListReader::Sheet(reader) => Ok(reader.step()),
        }
    }

    /// Where the current row is, for [`ListReader::fetch`].
    pub fn offset(&mut self) -> u64 {
        match self {
            ListReader::Csv(reader) => reader.offset(),
            ListReader::Sheet(reader) => reader.offset(),
        }
    }

    /// Reads the row at an offset, without moving. `false`: there is no row.
    pub fn fetch(&self, offset: u64, row: &mut Fetched) -> Result<bool, RecipientsError> {
        match self {
            ListReader::Csv(reader) => reader.fetch(offset, row),
            ListReader::Sheet(reader) => Ok(reader.fetch(offset, row)),
        }
    }

    /// The name of the encoding if rows of it cannot be fetched.
    pub fn unsearchable(&self) -> Option<String> {
        match self {
            ListReader::Csv(reader) => reader.unsearchable(),
            ListReader::Sheet(_) => None,
        }
    }

    pub fn record(&self) -> &Record {
        match self {
            ListReader::Csv(reader) => reader.record(),
            ListReader::Sheet(reader) => reader.record(),
        }
    }

    /// The current row as the file has it, without its line end. A row of a workbook is written as CSV.
    pub fn raw(&self) -> Cow<'_, [u8]> {
        match self {
            ListReader::Csv(reader) => Cow::Borrowed(without_line_end(reader.raw())),
            ListReader::Sheet(reader) => Cow::Owned(as_csv(reader.record())),
        }
    }

    /// What stands around the rows. Call it after the header row.
    pub fn frame(&self, columns: &Columns) -> Frame {
        let reason = Frame::reason_column(columns);
        let width = self.record().len();
        match self {
            ListReader::Csv(reader) => Frame {
                has_mark: reader.is_marked(),
                has_sep_line: reader.has_sep_line(),
                delimiter: reader.delimiter(),
                header: reader.raw().to_vec(),
                width,
                reason,
            },
            ListReader::Sheet(reader) => Frame {
                has_mark: true,
                has_sep_line: false,
                delimiter: b',',
                header: as_csv(reader.record()),
                width,
                reason,
            },
        }
    }

    /// Line or row of the file on which the current row begins, from 1.
    pub fn line(&self) -> u64 {
        match self {
            ListReader::Csv(reader) => reader.line(),
            ListReader::Sheet(reader) => reader.line(),
        }
    }

    pub fn empty_rows(&self) -> u64 {
        match self {
            ListReader::Csv(reader) => reader.empty_rows(),
            ListReader::Sheet(reader) => reader.empty_rows(),
        }
    }

    /// The line of a row further down with a cell that `is_wanted`. Call it after the first row.
    pub fn header_below(&self, is_wanted: &dyn Fn(&[u8]) -> bool) -> Option<u64> {
        match self {
            ListReader::Csv(reader) => reader.header_below(is_wanted),
            ListReader::Sheet(reader) => reader.header_below(is_wanted),
        }
    }

    /// Bytes that have been read and not used yet.
    pub fn unused(&self) -> &[u8] {
        match self {
            ListReader::Csv(reader) => reader.unused(),
            ListReader::Sheet(_) => &[],
        }
    }

    pub fn path(&self) -> String {
        match self {
            ListReader::Csv(reader) => reader.path(),
            ListReader::Sheet(reader) => reader.path(),
        }
    }

    pub fn stamp(&self) -> Result<Stamp, RecipientsError> {
        match self {
            ListReader::Csv(reader) => reader.stamp(),
            ListReader::Sheet(reader) => reader.stamp(),
        }
    }

    /// 0 for a workbook, which is read when it is opened.
    pub fn bytes_read(&self) -> u64 {
        match self {
            ListReader::Csv(reader) => reader.bytes_read(),
            ListReader::Sheet(_) => 0,
        }
    }

    /// SHA-256 of the whole file in hexadecimal. Reads what has not been read yet.
    pub fn fingerprint(self) -> Result<String, RecipientsError> {
        match self {
            ListReader::Csv(reader) => reader.fingerprint(),
            ListReader::Sheet(reader) => reader.fingerprint(),
        }
    }
}
