//! Errors of a recipients file, with place and value. A whole row is never shown.

use super::format::ForeignFormat;
use crate::domain::address::AddressError;
use crate::domain::recipient::ListFault;
use crate::domain::shown::on_one_line;
use std::fmt;

/// Why a file cannot be used. Nothing of it is enqueued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipientsError {
    #[error("`{path}` cannot be read: {what}")]
    Unreadable { path: String, what: String },
    #[error("`{path}` cannot be written: {what}")]
    Unwritable { path: String, what: String },
    #[error("{path} is empty")]
    Empty { path: String },
    #[error("{path}:{line}: {problem}")]
    Header {
        path: String,
        line: u64,
        problem: HeaderProblem,
    },
    /// `nearest`: the column with the most similar name.
    #[error("{path}:{line}: no column `{wanted}` (columns: {})", .columns.join(", "))]
    NoEmailColumn {
        path: String,
        line: u64,
        wanted: String,
        columns: Vec<String>,
        nearest: Option<String>,
    },
    /// `first`: the first ten of `count`.
    #[error("{}", bad_rows(.first, *.count))]
    BadRows { first: Vec<RowError>, count: u64 },
    #[error("{path} has no row that can be mailed")]
    Nobody { path: String },
    /// `guess`: the encoding that the text seems to have. `sample`: a cell, decoded with it if there is one.
    #[error("{path}:{line}: `{sample}` is not UTF-8{}", guessed(.guess))]
    Encoding {
        path: String,
        line: u64,
        sample: String,
        guess: Option<String>,
    },
    #[error("{path} is {}, not a list", .format.name)]
    Foreign { path: String, format: ForeignFormat },
    #[error("{path} is no CSV but a workbook (Excel or OpenDocument), and cannot be read: {what}")]
    Workbook { path: String, what: String },
    #[error("{path} has no sheet `{wanted}` (sheets: {})", .sheets.join(", "))]
    NoSheet {
        path: String,
        wanted: String,
        sheets: Vec<String>,
    },
    /// `cell`: the first of `count`.
    #[error("{path}: cell `{cell}` of sheet `{sheet}` is a formula without a result{}", and_more(*.count))]
    Uncomputed {
        path: String,
        sheet: String,
        cell: String,
        count: u64,
    },
    #[error("sheet `{sheet}` of {path} has no rows")]
    EmptySheet { path: String, sheet: String },
    #[error(
        "{path} is in `{encoding}`, in which rows cannot be found again, so `group = true` cannot put them together"
    )]
    GroupEncoding { path: String, encoding: String },
    #[error(
        "{path} has more than 4,294,967,294 addresses, the most that `group = true` can number"
    )]
    ManyGroups { path: String },
    #[error("{path} has changed while it was read")]
    Changed { path: String },
    /// The templates do not fit the cells of the list.
    #[error("{what}")]
    Unfit { what: String, hint: String },
}

impl RecipientsError {
    pub(super) fn of_templates(fault: ListFault) -> RecipientsError {
        RecipientsError::Unfit {
            what: fault.what,
            hint: fault.hint,
        }
    }
}

/// What is wrong with the header row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderProblem {
    /// The header row is further down.
    #[error("`{value}` is not the header row, which is line {header_line}")]
    Title { value: String, header_line: u64 },
    #[error("two columns are called `{name}`")]
    Duplicate { name: String },
    #[error("no header row: `{value}` is an address, not a column name")]
    Missing { value: String },
    #[error("the name of column {number} contains {shown}")]
    Control { number: usize, shown: String },
    #[error("the name of column {number} is not UTF-8")]
    NotUtf8 { number: usize },
    #[error("the header row cannot be read: {0}")]
    Broken(RowProblem),
}

/// A row that cannot be used. Shown as ``recipients.csv:41803: column `email` is `anna@@example.org`: two `@` ``.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    pub file: String,
    /// Line of the file on which the row begins, from 1.
    pub line: u64,
    /// Name of the column, and its cell shortened and escaped. `None` if the problem is not in one cell.
    pub cell: Option<(String, String)>,
    pub what: RowProblem,
}

impl std::error::Error for RowError {}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.reason())
    }
}

impl RowError {
    /// The error without file and line, for the `reason` column of rejected rows.
    pub fn reason(&self) -> String {
        match &self.cell {
            Some((column, value)) => {
                format!("column `{column}` is `{value}`: {}", self.what)
            }
            None => self.what.to_string(),
        }
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowProblem {
    #[error("{count} addresses in one cell")]
    Several { count: usize },
    #[error("{0}")]
    Address(#[from] AddressError),
    #[error("this row has {}, the header has {}", counted(*.found, "cell"), counted(*.expected, "column"))]
    Ragged { found: usize, expected: usize },
    /// Columns are counted from 1.
    #[error("column {number} has no name in the header row, but is `{value}` in this row")]
    Unnamed { number: usize, value: String },
    #[error("not valid UTF-8")]
    NotUtf8,
    #[error("{shown} is not allowed in a cell")]
    Control { shown: String },
    #[error("{shown} is not allowed in a cell that is used in a message header")]
    ControlInHeader { shown: String },
    #[error("a cell is longer than {} bytes", super::MAX_CELL_BYTES)]
    CellTooLong,
    #[error("the row is longer than {} bytes", super::MAX_ROW_BYTES)]
    RowTooLong,
    #[error("a quoted cell is never closed")]
    OpenQuote,
    #[error("text after the closing quote of a cell")]
    TextAfterQuote,
    #[error("a quote inside an unquoted cell")]
    QuoteInside,
    #[error("a space before the opening quote of a cell")]
    SpaceBeforeQuote,
    /// Lists that were put together keep the header rows of all of them.
    #[error("this is the header row again")]
    HeaderAgain,
    /// With `group = true`. The rows of one mail are in memory together.
    #[error(
        "the rows with this address have more than {} bytes",
        super::MAX_ROW_BYTES
    )]
    GroupTooLarge,
    /// The cell is not of its column's type, or the message of the row cannot be made.
    #[error("{0}")]
    Unfit(String),
}

/// An error lists this many bad rows, and counts the rest.
pub(super) const LISTED_ROWS: usize = 10;

/// A cell of which the text was decoded wrongly before it came into the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GarbledCell {
    pub file: String,
    pub line: u64,
    pub column: String,
    pub value: String,
    /// What it seems to have been. The same as `value` if that cannot be restored.
    pub meant: String,
}

impl fmt::Display for GarbledCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, line, column, value) = (&self.file, self.line, &self.column, &self.value);
        write!(f, "{file}:{line}: column `{column}` is `{value}`")?;
        match &self.meant {
            meant if meant == value => write!(f, ", text that was decoded wrongly before"),
            meant => write!(f, ", which is `{meant}` decoded wrongly"),
        }
    }
}

/// A row without a mail of its own, because an earlier row has its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepeatedRow {
    pub file: String,
    pub line: u64,
    /// Line of the row that is mailed.
    pub first_line: u64,
    /// The rows have other cells that are not the same.
    pub differs: bool,
    /// How many rows are like this one.
    pub rows: u64,
}

impl fmt::Display for RepeatedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, line, first) = (&self.file, self.line, self.first_line);
        match self.differs {
            true => write!(
                f,
                "{file}:{line} has the address of line {first} but other cells, and is not mailed"
            ),
            false => write!(f, "{file}:{line} repeats line {first}, and is not mailed"),
        }
    }
}

fn guessed(guess: &Option<String>) -> String {
    match guess {
        Some(name) => format!("; the list looks like {name}"),
        None => String::new(),
    }
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}

fn and_more(count: u64) -> String {
    match count.saturating_sub(1) {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    }
}

fn bad_rows(first: &[RowError], count: u64) -> String {
    let more = count.saturating_sub(1);
    match (first.first(), more) {
        (None, _) => format!("{count} invalid rows"),
        (Some(error), 0) => error.to_string(),
        (Some(error), 1) => format!("{error} (and 1 more invalid row)"),
        (Some(error), more) => format!("{error} (and {more} more invalid rows)"),
    }
}

/// Error messages show this much of a cell.
const SHOWN_CHARACTERS: usize = 80;

/// A cell for error messages: at most 80 characters, hidden characters escaped, invalid UTF-8 replaced.
pub(super) fn shortened(cell: &[u8]) -> String {
    // A character has at most four bytes, so the rest of a long cell need not be decoded.
    let part = cell.get(..SHOWN_CHARACTERS * 4).unwrap_or(cell);
    let text = String::from_utf8_lossy(part);
    let start: String = text.chars().take(SHOWN_CHARACTERS).collect();
    let mut shown = on_one_line(&start).into_owned();
    if part.len() < cell.len() || text.chars().nth(SHOWN_CHARACTERS).is_some() {
        shown.push('…');
    }
    shown
}

/// A control character in words, for error messages.
pub(super) fn control_name(byte: u8) -> String {
    match byte {
        0 => "a NUL byte".to_string(),
        b'\t' => "a tab".to_string(),
        b'\r' | b'\n' => "a line break".to_string(),
        byte => format!("the control character U+{byte:04X}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortens_cells_and_escapes_terminal_sequences() {
        assert_eq!(shortened(b"a\x1b[31m\r\n"), "a\\u{1b}[31m\\r\\n");
        let long = "ü".repeat(500);
        assert_eq!(shortened(long.as_bytes()), format!("{}…", "ü".repeat(80)));
        assert_eq!(shortened(&[b'a'; 80]), "a".repeat(80));
        assert_eq!(shortened(&[b'a'; 81]), format!("{}…", "a".repeat(80)));
    }

    #[test]
    fn an_error_contains_place_value_and_the_number_of_others() {
        let error = RowError {
            file: "recipients.csv".to_string(),
            line: 41803,
            cell: Some(("email".to_string(), "anna@@example.org".to_string())),
            what: RowProblem::Address(AddressError::TwoAts),
        };
        let text = "recipients.csv:41803: column `email` is `anna@@example.org`: two `@`";
        assert_eq!(error.to_string(), text);
        let rows = RecipientsError::BadRows {
            first: vec![error],
            count: 3,
        };
        assert_eq!(
            rows.to_string(),
            format!("{text} (and 2 more invalid rows)")
        );
    }
}
