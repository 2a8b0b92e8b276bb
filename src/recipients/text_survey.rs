//! What the text of a list looks like, row by row: not UTF-8 as a whole, or decoded wrongly before.

use super::error::{GarbledCell, RecipientsError};
use super::row_check::RowCheck;
use super::table::{RawRow, Table};
use super::text_guess::{BrokenText, EncodingEvidence};

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
