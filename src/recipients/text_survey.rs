//! What the text of a list looks like, row by row: not UTF-8 as a whole, or decoded wrongly before.

use super::error::{GarbledCell, RecipientsError, shortened};
use super::record::Record;
use super::row_check::RowCheck;
use super::source::FileEncoding;
use super::table::{RawRow, Table};
use super::text_guess::EncodingEvidence;

/// Of a cell that is not UTF-8, so much is decoded for a message.
const SAMPLE_BYTES: usize = 240;

/// A row that is not UTF-8.
pub struct BrokenText {
    path: String,
    line: u64,
    /// The beginning of its first cell that is not UTF-8.
    cell: Vec<u8>,
}

impl BrokenText {
    pub fn new(path: String, line: u64, record: &Record) -> BrokenText {
        let is_broken = |cell: &&[u8]| std::str::from_utf8(cell).is_err();
        let cell = record.cells().find(is_broken).unwrap_or_default();
        let cell = cell.get(..SAMPLE_BYTES).unwrap_or(cell).to_vec();
        BrokenText { path, line, cell }
    }

    /// The error for the whole file.
    pub fn error(self, evidence: &EncodingEvidence) -> RecipientsError {
        let guess = evidence.guess();
        let sample = match guess {
            Some(encoding) => shortened(encoding.shown(&self.cell).as_bytes()),
            None => shortened(&self.cell),
        };
        RecipientsError::Encoding {
            path: self.path,
            line: self.line,
            sample,
            guess: guess.map(FileEncoding::name),
        }
    }
}

/// What the text of a list looks like.
#[derive(Default)]
pub struct TextSurvey {
    /// Rows that are UTF-8 beyond ASCII.
    utf8_rows: u64,
    pub garbled_rows: u64,
    pub garbled: Option<GarbledCell>,
    evidence: EncodingEvidence,
    /// The first row that is not UTF-8.
    broken: Option<BrokenText>,
}

impl TextSurvey {
    pub fn look_at(&mut self, check: &RowCheck, row: RawRow<'_>) {
        if row.record.text().is_ascii() {
            return;
        }
        self.utf8_rows += 1;
        if let Some(garbled) = check.garbled(row) {
            self.garbled_rows += 1;
            self.garbled.get_or_insert(garbled);
        }
    }

    pub fn look_at_broken(&mut self, table: &Table, row: RawRow<'_>) {
        self.evidence.add(row.record.text());
        if self.broken.is_none() {
            self.broken = Some(BrokenText::new(table.path(), row.line, row.record));
        }
    }

    /// The error, if no row is UTF-8 beyond ASCII and some are something else.
    pub fn error(&mut self) -> Option<RecipientsError> {
        match self.utf8_rows {
            0 => self
                .broken
                .take()
                .map(|broken| broken.error(&self.evidence)),
            _ => None,
        }
    }
}
