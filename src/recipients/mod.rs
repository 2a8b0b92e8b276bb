//! Recipients from a file, in two passes: the first reads and checks all rows before anything is written, the second
//! returns the accepted ones. Both stream. Only the duplicate check needs memory that grows with the list.

mod address_cell;
mod address_set;
mod cell;
mod columns;
mod csv_file;
mod error;
mod fetched;
mod first_pass;
mod format;
mod group_check;
#[cfg(test)]
mod grouping_tests;
mod list_reader;
mod mailboxes;
mod raw_row;
mod record;
mod rejected;
#[cfg(test)]
mod rejected_tests;
mod repeated;
mod row_check;
mod rows;
mod sheet;
mod sheet_cells;
mod sheet_formula;
#[cfg(test)]
mod sheet_tests;
mod source;
mod survey;
mod table;
#[cfg(test)]
mod tests;
mod text_guess;
mod text_survey;
mod zip_directory;

pub use crate::domain::recipient::RecipientRow;
use crate::domain::recipient::RowTests;
use crate::domain::records::SeveralPolicy;
pub use address_cell::holds_address;
pub use address_set::AddressSet;
pub use error::{GarbledCell, HeaderProblem, RecipientsError, RepeatedRow, RowError, RowProblem};
pub use first_pass::first_pass;
pub use format::{Cure, ForeignFormat};
pub use raw_row::{Frame, RejectedRow};
pub use rejected::{RejectedWriter, rejected_path};
pub use rows::{Rows, rows};
pub use source::FileEncoding;
pub use survey::{Counts, Survey, Tidied};
pub use table::{Sample, columns, sample};

use std::fmt;
use std::sync::Arc;

/// Longest cell.
pub const MAX_CELL_BYTES: usize = 1 << 20;
/// Longest row, with quotes and delimiters.
pub const MAX_ROW_BYTES: usize = 8 << 20;

/// How a file is read. Both passes need the same options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub email_column: String,
    /// Of a file without a byte order mark. `None`: UTF-8, or UTF-16 where that is unmistakable.
    pub encoding: Option<FileEncoding>,
    /// Sheet of a workbook. `None`: the first one.
    pub sheet: Option<String>,
    /// Columns that templates of headers use. Their cells may not contain control characters.
    pub header_columns: Vec<String>,
    /// A cell may hold several addresses: one message to each.
    pub several: SeveralPolicy,
    /// One message has all rows of a mailbox, wherever they stand.
    pub group: bool,
    pub duplicates: DuplicatesPolicy,
    /// Bad rows are left out and reported, instead of being an error.
    pub skip_invalid: bool,
    /// Accept at most this many rows. The fingerprint still covers the whole file.
    pub limit: Option<u64>,
    /// What templates demand of rows. The first pass tests it; the second one relies on that.
    pub tests: Tests,
    /// Addresses that are left out and counted, because earlier runs have them.
    pub known: Known,
}

/// Whether a row with the address of an earlier row may have other cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DuplicatesPolicy {
    /// It is counted as differing, because its other cells reach nobody.
    #[default]
    Error,
    /// The first row is enough.
    First,
}

/// Addresses that earlier runs have, if anybody asked for them. Equal if they are the same object.
#[derive(Clone, Default)]
pub struct Known(pub Option<Arc<AddressSet>>);

impl Known {
    fn contains(&self, mailbox: &str) -> bool {
        self.0.as_ref().is_some_and(|known| known.contains(mailbox))
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Known" } else { "nobody" })
    }
}

impl PartialEq for Known {
    fn eq(&self, other: &Known) -> bool {
        match (&self.0, &other.0) {
            (Some(mine), Some(theirs)) => Arc::ptr_eq(mine, theirs),
            (mine, theirs) => mine.is_none() && theirs.is_none(),
        }
    }
}

impl Eq for Known {}

/// Tests of rows, if there are any. Equal if they are the same object.
#[derive(Clone, Default)]
pub struct Tests(pub Option<Arc<dyn RowTests>>);

impl fmt::Debug for Tests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Tests"
        } else {
            "no tests"
        })
    }
}

impl PartialEq for Tests {
    fn eq(&self, other: &Tests) -> bool {
        match (&self.0, &other.0) {
            (Some(mine), Some(theirs)) => Arc::ptr_eq(mine, theirs),
            (mine, theirs) => mine.is_none() && theirs.is_none(),
        }
    }
}

impl Eq for Tests {}

impl Default for Options {
    fn default() -> Options {
        Options {
            email_column: "email".to_string(),
            encoding: None,
            sheet: None,
            header_columns: Vec::new(),
            several: SeveralPolicy::Error,
            group: false,
            duplicates: DuplicatesPolicy::Error,
            skip_invalid: false,
            limit: None,
            tests: Tests::default(),
            known: Known::default(),
        }
    }
}
