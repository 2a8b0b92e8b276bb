//! Splits CSV text into records (RFC 4180), strictly: a quote in the wrong place is an error and not a guess, because
//! a guess would mail one person another's data. Pure: looks at a window of bytes and says what it found.

use super::error::RowProblem;
use super::{MAX_CELL_BYTES, MAX_ROW_BYTES};

/// The cells of one row, quotes removed. Used again for each row.
#[derive(Debug, Default)]
pub struct Record {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Record {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn cell(&self, index: usize) -> &[u8] {
        let start = match index.checked_sub(1) {
            Some(before) => self.ends.get(before).copied().unwrap_or(0),
            None => 0,
        };
        let end = self.ends.get(index).copied().unwrap_or(start);
        self.text.get(start..end).unwrap_or_default()
    }

    pub fn cells(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.cell(index))
    }

    /// All cells without what was between them.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }
}

/// What the beginning of a window holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// The row does not end within the window.
    More,
    /// A row of as many bytes, its line end included, over as many lines.
    Row {
        bytes: usize,
        lines: u64,
    },
    /// An empty line.
    Blank {
        bytes: usize,
    },
    Broken(RowProblem),
}

/// How one cell ended.
enum Cell {
    /// The delimiter is at this position.
    Next(usize),
    /// The row's line end is at this position.
    Last(usize),
    More,
    Broken(RowProblem),
}

/// Reads one record from the beginning of `window`; `ended` says that nothing follows it.
pub fn scan(window: &[u8], ended: bool, delimiter: u8, record: &mut Record) -> Found {
    record.clear();
    let mut at = 0;
    let mut quoted = false;
    loop {
        let before = record.text.len();
        let cell = match window.get(at) {
            Some(b'"') => {
                quoted = true;
                quoted_cell(window, at + 1, ended, delimiter, &mut record.text)
            }
            _ => plain_cell(window, at, ended, delimiter, &mut record.text),
        };
        record.ends.push(record.text.len());
        if record.text.len() - before > MAX_CELL_BYTES {
            return Found::Broken(RowProblem::CellTooLong);
        }
        match cell {
            Cell::Next(delimiter_at) => at = delimiter_at + 1,
            Cell::Last(end) => return row(window, end, quoted, record),
            Cell::More if window.len() > MAX_ROW_BYTES => {
                return Found::Broken(RowProblem::RowTooLong);
            }
            Cell::More => return Found::More,
            Cell::Broken(problem) => return Found::Broken(problem),
        }
    }
}

fn row(window: &[u8], end: usize, quoted: bool, record: &Record) -> Found {
    let bytes = end + line_end_bytes(window, end);
    if record.len() == 1 && record.text.is_empty() && !quoted {
        return Found::Blank { bytes };
    }
    let lines = match quoted {
        true => 1 + line_ends(window.get(..end).unwrap_or_default()),
        false => 1,
    };
    Found::Row { bytes, lines }
}

/// CRLF, LF, or a CR alone; nothing at the end of the file.
pub fn line_end_bytes(window: &[u8], at: usize) -> usize {
    match (window.get(at), window.get(at + 1)) {
        (Some(b'\r'), Some(b'\n')) => 2,
        (Some(_), _) => 1,
        (None, _) => 0,
    }
}

fn line_ends(bytes: &[u8]) -> u64 {
    let mut count = 0;
    let mut before = 0;
    for byte in bytes {
        count += u64::from(*byte == b'\r' || (*byte == b'\n' && before != b'\r'));
        before = *byte;
    }
    count
}

fn plain_cell(window: &[u8], start: usize, ended: bool, delimiter: u8, text: &mut Vec<u8>) -> Cell {
    let rest = window.get(start..).unwrap_or_default();
    let stop = rest
        .iter()
        .position(|byte| *byte == delimiter || matches!(byte, b'\n' | b'\r' | b'"'));
    let length = stop.unwrap_or(rest.len());
    text.extend_from_slice(rest.get(..length).unwrap_or_default());
    let end = start + length;
    match window.get(end) {
        Some(b'"') => Cell::Broken(RowProblem::QuoteInside),
        Some(byte) if *byte == delimiter => Cell::Next(end),
        _ => last(window, end, ended),
    }
}

/// At a line end or at the window's; a CR there may be half of a CRLF.
fn last(window: &[u8], end: usize, ended: bool) -> Cell {
    let cut = match window.get(end) {
        None => true,
        Some(b'\r') => end + 1 == window.len(),
        Some(_) => false,
    };
    if cut && !ended {
        return Cell::More;
    }
    Cell::Last(end)
}

fn quoted_cell(
    window: &[u8],
    start: usize,
    ended: bool,
    delimiter: u8,
    text: &mut Vec<u8>,
) -> Cell {
    let mut at = start;
    loop {
        let rest = window.get(at..).unwrap_or_default();
        let Some(length) = rest.iter().position(|byte| *byte == b'"') else {
            text.extend_from_slice(rest);
            return match ended {
                true => Cell::Broken(RowProblem::OpenQuote),
                false => Cell::More,
            };
        };
        text.extend_from_slice(rest.get(..length).unwrap_or_default());
        let after = at + length + 1;
        match window.get(after) {
            Some(b'"') => {
                text.push(b'"');
                at = after + 1;
            }
            Some(byte) if *byte == delimiter => return Cell::Next(after),
            Some(b'\n' | b'\r') | None => return last(window, after, ended),
            Some(_) => return Cell::Broken(RowProblem::TextAfterQuote),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cells(window: &str) -> (Found, Vec<String>) {
        let mut record = Record::default();
        let found = scan(window.as_bytes(), true, b',', &mut record);
        let cells = record.cells().map(|c| String::from_utf8_lossy(c).into());
        (found, cells.collect())
    }

    #[test]
    fn rows_end_where_they_should() {
        for (window, bytes, lines, wanted) in [
            ("a,b\r\nc", 5, 1, vec!["a", "b"]),
            ("a,b\nc", 4, 1, vec!["a", "b"]),
            ("a,b\rc", 4, 1, vec!["a", "b"]),
            ("a,b", 3, 1, vec!["a", "b"]),
            ("a,\n", 3, 1, vec!["a", ""]),
            (
                "\"a\"\"b\",\"c,\r\nd\ne\"\nf",
                17,
                3,
                vec!["a\"b", "c,\r\nd\ne"],
            ),
            ("\"\"\n", 3, 1, vec![""]),
        ] {
            let (found, cells) = cells(window);
            assert_eq!(found, Found::Row { bytes, lines }, "{window:?}");
            assert_eq!(cells, wanted);
        }
        assert_eq!(cells("\r\na").0, Found::Blank { bytes: 2 });
    }

    #[test]
    fn a_quote_in_the_wrong_place_is_an_error() {
        for (window, problem) in [
            ("a,\"b", RowProblem::OpenQuote),
            ("a,\"b\"c\n", RowProblem::TextAfterQuote),
            ("a, \"b\"\n", RowProblem::QuoteInside),
            ("5\" pipe\n", RowProblem::QuoteInside),
        ] {
            assert_eq!(cells(window).0, Found::Broken(problem));
        }
    }

    #[test]
    fn a_window_that_ends_early_asks_for_more() {
        let mut record = Record::default();
        for window in ["a,b", "a,b\r", "\"a", "\"a\"", "\"a\"\r", ""] {
            let found = scan(window.as_bytes(), false, b',', &mut record);
            assert_eq!(found, Found::More, "{window:?}");
        }
    }

    proptest! {
        #[test]
        fn what_the_csv_crate_writes_is_read_back(row in prop::collection::vec("[a,;\"\r\n\té ]{0,6}", 2..5)) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(&row).unwrap();
            let written = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let (found, cells) = cells(&written);
            let whole = matches!(found, Found::Row { bytes, .. } if bytes == written.len());
            prop_assert!(whole);
            prop_assert_eq!(cells, row);
        }
    }
}
