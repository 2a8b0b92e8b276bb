//! Splits CSV text into records (RFC 4180). A quote in the wrong place is an error: a guess could send one person
//! another's data. Pure: looks at a window of bytes and says what it found.

use crate::recipients::error::RowProblem;
use crate::recipients::record::Record;
use crate::recipients::{MAX_CELL_BYTES, MAX_ROW_BYTES};

/// What a window begins with.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// The row does not end within the window.
    More,
    /// A row. `bytes` includes its line end.
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

/// Reads the record that `window` begins with. `is_last`: the window holds the last bytes of the file.
pub fn scan(window: &[u8], is_last: bool, delimiter: u8, record: &mut Record) -> Found {
    scan_within(MAX_CELL_BYTES, (window, is_last), delimiter, record)
}

/// The same for a row with a cell that is too long, to find where the row ends.
pub fn scan_long(window: &[u8], is_last: bool, delimiter: u8, record: &mut Record) -> Found {
    scan_within(usize::MAX, (window, is_last), delimiter, record)
}

fn scan_within(
    max_cell_bytes: usize,
    (window, is_last): (&[u8], bool),
    delimiter: u8,
    record: &mut Record,
) -> Found {
    record.clear();
    let mut at = 0;
    let mut quoted = false;
    loop {
        let cell = match (window.get(at), window.get(at + 1)) {
            (Some(b'"'), _) => {
                quoted = true;
                quoted_cell(window, at + 1, is_last, delimiter, record)
            }
            // `="00123"`: shops write it so that Excel keeps the zeros.
            (Some(b'='), Some(b'"')) => {
                quoted = true;
                quoted_cell(window, at + 2, is_last, delimiter, record)
            }
            _ => plain_cell(window, at, is_last, delimiter, record),
        };
        record.unwrap_formula_text();
        if record.end_cell() > max_cell_bytes {
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
    if record.len() == 1 && record.text().is_empty() && !quoted {
        return Found::Blank { bytes };
    }
    let lines = match quoted {
        true => 1 + line_ends(window.split_at(end).0),
        false => 1,
    };
    Found::Row { bytes, lines }
}

/// Length of the line end at this position: CRLF, LF, a CR alone, or 0 at the end of the file.
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

fn plain_cell(
    window: &[u8],
    start: usize,
    is_last: bool,
    delimiter: u8,
    record: &mut Record,
) -> Cell {
    let (_, rest) = window.split_at(start);
    let stop = rest
        .iter()
        .position(|byte| *byte == delimiter || matches!(byte, b'\n' | b'\r' | b'"'));
    let length = stop.unwrap_or(rest.len());
    let (cell, _) = rest.split_at(length);
    record.push(cell);
    let end = start + length;
    match window.get(end) {
        Some(b'"') if !cell.is_empty() && cell.iter().all(|byte| *byte == b' ') => {
            Cell::Broken(RowProblem::SpaceBeforeQuote)
        }
        Some(b'"') => Cell::Broken(RowProblem::QuoteInside),
        Some(byte) if *byte == delimiter => Cell::Next(end),
        _ => last(window, end, is_last),
    }
}

/// At a line end, or at the end of the window. A CR at the window's end may be half of a CRLF.
fn last(window: &[u8], end: usize, is_last: bool) -> Cell {
    let is_cut = match window.get(end) {
        None => true,
        Some(b'\r') => end + 1 == window.len(),
        Some(_) => false,
    };
    if is_cut && !is_last {
        return Cell::More;
    }
    Cell::Last(end)
}

fn quoted_cell(
    window: &[u8],
    start: usize,
    is_last: bool,
    delimiter: u8,
    record: &mut Record,
) -> Cell {
    let mut at = start;
    loop {
        let (_, rest) = window.split_at(at);
        let Some(length) = rest.iter().position(|byte| *byte == b'"') else {
            record.push(rest);
            return match is_last {
                true => Cell::Broken(RowProblem::OpenQuote),
                false => Cell::More,
            };
        };
        let (part, _) = rest.split_at(length);
        record.push(part);
        let after = at + length + 1;
        match window.get(after) {
            Some(b'"') => {
                record.push(b"\"");
                at = after + 1;
            }
            Some(byte) if *byte == delimiter => return Cell::Next(after),
            Some(b'\n' | b'\r') | None => return last(window, after, is_last),
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
    fn finds_the_end_of_a_row_and_its_cells() {
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
            ("=\"00123\",=\"\"\n", 13, 1, vec!["00123", ""]),
            ("\"=\"\"00123\"\"\",=1+1\n", 18, 1, vec!["00123", "=1+1"]),
        ] {
            let (found, cells) = cells(window);
            assert_eq!(found, Found::Row { bytes, lines }, "{window:?}");
            assert_eq!(cells, wanted);
        }
        assert_eq!(cells("\r\na").0, Found::Blank { bytes: 2 });
    }

    #[test]
    fn refuses_a_quote_in_the_wrong_place() {
        for (window, problem) in [
            ("a,\"b", RowProblem::OpenQuote),
            ("a,\"b\"c\n", RowProblem::TextAfterQuote),
            ("a, \"b\"\n", RowProblem::SpaceBeforeQuote),
            ("5\" pipe\n", RowProblem::QuoteInside),
            ("=\"a\"&B1\n", RowProblem::TextAfterQuote),
        ] {
            assert_eq!(cells(window).0, Found::Broken(problem));
        }
    }

    #[test]
    fn asks_for_more_when_the_window_ends_early() {
        let mut record = Record::default();
        for window in ["a,b", "a,b\r", "a,=", "=\"", "\"a", "\"a\"", "\"a\"\r", ""] {
            let found = scan(window.as_bytes(), false, b',', &mut record);
            assert_eq!(found, Found::More, "{window:?}");
        }
    }

    proptest! {
        #[test]
        fn reads_what_the_csv_crate_writes(row in prop::collection::vec("[a,;\"\r\n\té ]{0,6}", 2..5)) {
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
