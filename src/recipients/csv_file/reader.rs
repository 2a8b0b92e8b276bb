//! Reads a CSV file record by record, with physical line numbers, and reads on after a broken row.

use super::delimiter;
use super::header_below::lines_to_header;
use super::split::{Found, line_end_bytes, scan, scan_long};
use crate::recipients::error::{RecipientsError, RowProblem};
use crate::recipients::fetched::Fetched;
use crate::recipients::raw_row::without_line_end;
use crate::recipients::record::Record;
use crate::recipients::source::{FileEncoding, Source, Stamp};
use crate::recipients::{MAX_CELL_BYTES, MAX_ROW_BYTES};
use std::ops::Range;
use std::path::Path;

/// Enough for most rows.
const FETCHED_BYTES: usize = 4096;

pub struct CsvReader {
    record: Record,
    /// Line on which the current record begins, from 1.
    line: u64,
    source: Source,
    /// Bytes read from the file and not dropped yet.
    window: Vec<u8>,
    /// Bytes of the window that have been used.
    used: usize,
    /// Where the current row is in the window, with its line end.
    raw: Range<usize>,
    /// A byte of the window, and its place in the file.
    known_place: (usize, u64),
    has_sep_line: bool,
    /// The window holds the file's last bytes.
    is_at_end: bool,
    next_line: u64,
    delimiter: u8,
    /// Rows that had nothing but delimiters and white space, and were skipped.
    empty_rows: u64,
    /// A broken row was reported. The rest of its line is skipped.
    in_broken_line: bool,
}

/// The result of reading one row.
pub enum Step {
    /// [`CsvReader::record`] is the row.
    Row,
    /// [`CsvReader::record`] has the cells that could be read.
    Broken(RowProblem),
    End,
}

impl CsvReader {
    /// Opens the file and recognises its delimiter.
    pub fn open(path: &Path, encoding: Option<FileEncoding>) -> Result<CsvReader, RecipientsError> {
        let mut reader = CsvReader {
            record: Record::default(),
            line: 0,
            source: Source::open(path, encoding)?,
            window: Vec::new(),
            used: 0,
            raw: 0..0,
            known_place: (0, 0),
            has_sep_line: false,
            is_at_end: false,
            next_line: 1,
            delimiter: b',',
            empty_rows: 0,
            in_broken_line: false,
        };
        reader.fill_line()?;
        reader.known_place.1 = reader.source.mark_bytes();
        match delimiter::sep_line(&reader.window) {
            Some((delimiter, bytes)) => {
                reader.delimiter = delimiter;
                reader.advance(bytes, 1);
                reader.has_sep_line = true;
            }
            None => reader.delimiter = delimiter::recognise(&reader.window),
        }
        Ok(reader)
    }

    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The row as UTF-8, as the file has it, with its line end. Of a broken row: its line, or as much as is known of it.
    pub fn raw(&self) -> &[u8] {
        self.window.get(self.raw.clone()).unwrap_or_default()
    }

    /// Where the current row is in the file, for [`CsvReader::fetch`].
    pub fn offset(&mut self) -> u64 {
        self.place(self.raw.start)
    }

    /// Where a byte of the window is in the file. Not before the last one that was asked for.
    fn place(&mut self, at: usize) -> u64 {
        let (known, place) = self.known_place;
        let between = self.window.get(known..at).unwrap_or_default();
        self.known_place = (at, place + self.source.bytes_of(between));
        self.known_place.1
    }

    /// The name of the encoding if rows of it cannot be fetched.
    pub fn unsearchable(&self) -> Option<String> {
        self.source.unsearchable()
    }

    /// Reads the row at an offset, without moving. `false`: there is no row.
    pub fn fetch(&self, offset: u64, row: &mut Fetched) -> Result<bool, RecipientsError> {
        let mut count = FETCHED_BYTES;
        loop {
            let is_end = self.source.read_at(offset, count, &mut row.text)?;
            match scan(&row.text, is_end, self.delimiter, &mut row.record) {
                Found::Row { bytes, .. } => {
                    row.bytes = bytes;
                    return Ok(true);
                }
                Found::More if !is_end => count *= 4,
                _ => return Ok(false),
            }
        }
    }

    pub fn delimiter(&self) -> u8 {
        self.delimiter
    }

    pub fn has_sep_line(&self) -> bool {
        self.has_sep_line
    }

    /// Whether the file has a byte order mark or another encoding than UTF-8.
    pub fn is_marked(&self) -> bool {
        self.source.is_marked()
    }

    pub fn line(&self) -> u64 {
        self.line
    }

    pub fn path(&self) -> String {
        self.source.path()
    }

    pub fn stamp(&self) -> Result<Stamp, RecipientsError> {
        self.source.stamp()
    }

    pub fn bytes_read(&self) -> u64 {
        self.source.bytes_read()
    }

    /// Rows read so far that had nothing but delimiters and white space.
    pub fn empty_rows(&self) -> u64 {
        self.empty_rows
    }

    /// The line of a row further down with a cell that `is_wanted`. Call it after the first row.
    pub fn header_below(&self, is_wanted: &dyn Fn(&[u8]) -> bool) -> Option<u64> {
        lines_to_header(self.unused(), is_wanted).map(|lines| self.next_line + lines)
    }

    /// What has been read and not used yet.
    pub fn unused(&self) -> &[u8] {
        self.window.split_at(self.used).1
    }

    /// SHA-256 of the whole file in hexadecimal. Reads what has not been read yet.
    pub fn fingerprint(self) -> Result<String, RecipientsError> {
        self.source.fingerprint()
    }

    /// Reads the next record. Skips empty lines, and rows with nothing but delimiters and white space.
    pub fn step(&mut self) -> Result<Step, RecipientsError> {
        loop {
            if self.in_broken_line && !self.skip_line()? {
                continue;
            }
            let (_, unused) = self.window.split_at(self.used);
            if unused.is_empty() && self.is_at_end {
                return Ok(Step::End);
            }
            self.line = self.next_line;
            match scan(unused, self.is_at_end, self.delimiter, &mut self.record) {
                Found::More => self.fill()?,
                Found::Blank { bytes } => self.advance(bytes, 1),
                Found::Row { bytes, lines } => {
                    self.raw = self.used..self.used + bytes;
                    self.advance(bytes, lines);
                    if self.record.is_blank() {
                        self.empty_rows += 1;
                        continue;
                    }
                    return Ok(Step::Row);
                }
                Found::Broken(problem) => {
                    if let Some(step) = self.broken(problem)? {
                        return Ok(step);
                    }
                }
            }
        }
    }

    /// A broken row. `None`: its line goes on behind the window, which has been filled.
    fn broken(&mut self, problem: RowProblem) -> Result<Option<Step>, RecipientsError> {
        if problem == RowProblem::CellTooLong && self.find_end_of_long_row()? {
            return Ok(Some(Step::Broken(problem)));
        }
        let (_, unused) = self.window.split_at(self.used);
        let line = unused.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        // The rest of the line belongs to the file of rejected rows.
        if line.is_none() && !self.is_at_end && unused.len() <= MAX_ROW_BYTES {
            self.fill()?;
            return Ok(None);
        }
        self.raw = self.used..self.used + line.unwrap_or(unused.len());
        // Each line after this may be a row. To report a line that is none is better than to lose a row.
        self.in_broken_line = true;
        Ok(Some(Step::Broken(problem)))
    }

    /// Goes past a row with a cell that is too long. `false`: it does not end within the longest row, so that its lines
    /// are looked at one by one.
    fn find_end_of_long_row(&mut self) -> Result<bool, RecipientsError> {
        loop {
            let (_, unused) = self.window.split_at(self.used);
            match scan_long(unused, self.is_at_end, self.delimiter, &mut self.record) {
                Found::Row { bytes, lines } => {
                    let row = unused.get(..bytes).unwrap_or_default();
                    self.raw = self.used..self.used + without_line_end(row).len();
                    self.advance(bytes, lines);
                    return Ok(true);
                }
                Found::More if !self.is_at_end => self.fill()?,
                _ => return Ok(false),
            }
        }
    }

    fn advance(&mut self, bytes: usize, lines: u64) {
        self.used += bytes;
        self.next_line += lines;
    }

    /// Skips up to and past the next line end. `false` if the window ended before it.
    fn skip_line(&mut self) -> Result<bool, RecipientsError> {
        let (_, unused) = self.window.split_at(self.used);
        let end = unused.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let is_cut = match end {
            // The LF of a CRLF may be in the next piece.
            Some(end) => unused.get(end) == Some(&b'\r') && end + 1 == unused.len(),
            None => true,
        };
        if is_cut && !self.is_at_end {
            self.used += end.unwrap_or(unused.len());
            self.fill()?;
            return Ok(false);
        }
        let bytes = match end {
            Some(end) => end + line_end_bytes(unused, end),
            None => unused.len(),
        };
        self.advance(bytes, 1);
        self.in_broken_line = false;
        Ok(true)
    }

    /// Drops the used bytes and reads one more piece.
    fn fill(&mut self) -> Result<(), RecipientsError> {
        let place = self.place(self.used);
        self.known_place = (0, place);
        self.window.drain(..self.used);
        self.used = 0;
        self.is_at_end = !self.source.read(&mut self.window)?;
        Ok(())
    }

    /// Reads until the window holds the header row.
    fn fill_line(&mut self) -> Result<(), RecipientsError> {
        while !self.is_at_end
            && self.window.len() <= MAX_CELL_BYTES
            && !self.window.contains(&b'\n')
        {
            self.fill()?;
        }
        Ok(())
    }
}
