//! Recipients from a CSV file, in two passes: the first reads and checks everything before anything is written, the
//! second gives the accepted rows. Both read the file as a stream; memory does not depend on its length but for the
//! duplicate check.

mod check;
mod error;
mod header;
mod reader;
mod record;
mod rejected;
mod rows;
mod seen;
mod source;
mod survey;
#[cfg(test)]
mod tests;
mod utf16;

pub use crate::domain::recipient::RecipientRow;
pub use error::{HeaderProblem, RecipientsError, RowError, RowProblem};
pub use reader::columns;
pub use rejected::{RejectedRow, RejectedWriter, rejected_path};
pub use rows::{Rows, rows};
pub use survey::{Counts, Survey, first_pass};

/// A cell may have as many bytes.
pub const MAX_CELL_BYTES: usize = 1 << 20;
/// A row may have as many bytes, quotes and delimiters included.
pub const MAX_ROW_BYTES: usize = 8 << 20;

/// How a file is read. Both passes must be given the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub email_column: String,
    /// Columns whose cells reach a header of the message: no control character may stand in them.
    pub header_columns: Vec<String>,
    /// Bad rows are rejected one by one instead of being an error of the file.
    pub skip_invalid: bool,
    /// Reading rows ends when as many are accepted; the fingerprint is of the whole file all the same.
    pub limit: Option<u64>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            email_column: "email".to_string(),
            header_columns: Vec::new(),
            skip_invalid: false,
            limit: None,
        }
    }
}
