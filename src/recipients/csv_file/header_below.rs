//! Looks for a header row below a first line that is none: exports often begin with a title.

use super::delimiter::DELIMITERS;
use super::split::{Found, scan};
use crate::recipients::record::Record;

/// Lines that are looked at.
const LINES: usize = 20;

/// How many lines below the beginning of `window` there is one with a cell that `is_wanted`, under any delimiter.
pub fn lines_to_header(window: &[u8], is_wanted: &dyn Fn(&[u8]) -> bool) -> Option<u64> {
    let mut record = Record::default();
    let lines = window.split(|byte| *byte == b'\n').take(LINES);
    for (line, number) in lines.zip(0..) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        for delimiter in DELIMITERS {
            let found = scan(line, true, delimiter, &mut record);
            if matches!(found, Found::Row { .. }) && record.cells().any(is_wanted) {
                return Some(number);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_header_row_under_any_delimiter() {
        let is_email = |cell: &[u8]| cell == b"email";
        for (window, wanted) in [
            ("email,name\n", Some(0)),
            ("\r\n\r\nname;email\r\n", Some(2)),
            ("a,b\n\"email\"|x\n", Some(1)),
            ("a,b\nmy email,c\n", None),
            ("", None),
        ] {
            assert_eq!(
                lines_to_header(window.as_bytes(), &is_email),
                wanted,
                "{window:?}"
            );
        }
        let far = "x\n".repeat(100) + "email\n";
        assert_eq!(lines_to_header(far.as_bytes(), &is_email), None);
    }
}
