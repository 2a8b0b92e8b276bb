//! Walks through a recipients file record by record, with physical line numbers, and goes on after a broken row.

use super::MAX_CELL_BYTES;
use super::Options;
use super::error::{HeaderProblem, RecipientsError, RowProblem};
use super::header;
use super::record::{self, Found, Record, line_end_bytes};
use super::source::{Source, Stamp};
use std::path::Path;

/// The names of the columns, after the same checks of the header row as the first pass makes.
pub fn columns(path: &Path, options: &Options) -> Result<Vec<String>, RecipientsError> {
    Reader::open(path, options).map(|reader| reader.columns)
}

/// A file whose header row has been read.
pub struct Reader {
    pub columns: Vec<String>,
    /// Index of the address among the columns.
    pub email: usize,
    pub record: Record,
    /// Physical line on which the current record begins, from 1.
    pub line: u64,
    source: Source,
    window: Vec<u8>,
    start: usize,
    ended: bool,
    next_line: u64,
    delimiter: u8,
    /// What comes up to the next line end belongs to a row already reported.
    in_broken_line: bool,
}

/// One step through the file. The cells are in `Reader::record`.
pub enum Step {
    Row,
    /// `Reader::record` holds what could be read of it.
    Broken(RowProblem),
    End,
}

impl Reader {
    pub fn open(path: &Path, options: &Options) -> Result<Reader, RecipientsError> {
        let mut reader = Reader {
            columns: Vec::new(),
            email: 0,
            record: Record::default(),
            line: 0,
            source: Source::open(path)?,
            window: Vec::new(),
            start: 0,
            ended: false,
            next_line: 1,
            delimiter: b',',
            in_broken_line: false,
        };
        reader.fill_line()?;
        reader.delimiter = header::delimiter(&reader.window);
        let problem = match reader.step()? {
            Step::End => {
                return Err(RecipientsError::Empty {
                    path: reader.path(),
                });
            }
            Step::Row => None,
            Step::Broken(problem) => Some(HeaderProblem::Broken(problem)),
        };
        if let Some(problem) = problem {
            return Err(reader.header_error(problem));
        }
        match header::columns(&reader.record) {
            Ok(columns) => reader.columns = columns,
            Err(problem) => return Err(reader.header_error(problem)),
        }
        let path = reader.path();
        reader.email = header::email(&reader.columns, &options.email_column, path, reader.line)?;
        Ok(reader)
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

    /// SHA-256 over the whole file, whatever part of it has been walked through.
    pub fn fingerprint(self) -> Result<String, RecipientsError> {
        self.source.fingerprint()
    }

    /// Reads the next record that is not an empty line.
    pub fn step(&mut self) -> Result<Step, RecipientsError> {
        loop {
            if self.in_broken_line && !self.leave_line()? {
                continue;
            }
            let window = self.window.get(self.start..).unwrap_or_default();
            if window.is_empty() && self.ended {
                return Ok(Step::End);
            }
            self.line = self.next_line;
            match record::scan(window, self.ended, self.delimiter, &mut self.record) {
                Found::More => self.fill()?,
                Found::Blank { bytes } => self.advance(bytes, 1),
                Found::Row { bytes, lines } => {
                    self.advance(bytes, lines);
                    return Ok(Step::Row);
                }
                Found::Broken(problem) => {
                    // Every line that follows may be a row of its own: better to report it than to lose it.
                    self.in_broken_line = true;
                    return Ok(Step::Broken(problem));
                }
            }
        }
    }

    fn advance(&mut self, bytes: usize, lines: u64) {
        self.start += bytes;
        self.next_line += lines;
    }

    /// Goes behind the next line end; `false` if the window ended before it.
    fn leave_line(&mut self) -> Result<bool, RecipientsError> {
        let window = self.window.get(self.start..).unwrap_or_default();
        let end = window.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let is_cut = match end {
            Some(end) => window.get(end) == Some(&b'\r') && end + 1 == window.len(),
            None => true,
        };
        if is_cut && !self.ended {
            self.start += end.unwrap_or(window.len());
            self.fill()?;
            return Ok(false);
        }
        let bytes = match end {
            Some(end) => end + line_end_bytes(window, end),
            None => window.len(),
        };
        self.advance(bytes, 1);
        self.in_broken_line = false;
        Ok(true)
    }

    /// Drops what has been walked through and reads one more piece.
    fn fill(&mut self) -> Result<(), RecipientsError> {
        self.window.drain(..self.start.min(self.window.len()));
        self.start = 0;
        self.ended = !self.source.read(&mut self.window)?;
        Ok(())
    }

    /// Reads until the window holds the header row, from which the delimiter is recognised.
    fn fill_line(&mut self) -> Result<(), RecipientsError> {
        while !self.ended && self.window.len() <= MAX_CELL_BYTES && !self.window.contains(&b'\n') {
            self.fill()?;
        }
        Ok(())
    }

    fn header_error(&self, problem: HeaderProblem) -> RecipientsError {
        RecipientsError::Header {
            path: self.path(),
            line: self.line,
            problem,
        }
    }
}
