//! CSV cells for spreadsheet programs: text from a relay or a list must not be run as a formula (CSV injection).

use std::borrow::Cow;

/// A spreadsheet program may take a cell that begins with one of these for a formula.
const FORMULA_STARTS: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\n'];

/// Puts an apostrophe before a cell that a spreadsheet program would take for a formula.
pub fn escape_formula(cell: &str) -> Cow<'_, str> {
    escaped_if(cell, cell.starts_with(FORMULA_STARTS))
}

/// Like [`escape_formula`], and [`unescape_formula`] gives the cell back: a cell that looks escaped already gets
/// another apostrophe.
pub fn escape_formula_reversibly(cell: &str) -> Cow<'_, str> {
    escaped_if(cell, is_formula_behind_apostrophes(cell))
}

/// The cell that [`escape_formula_reversibly`] was given.
pub fn unescape_formula(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if is_formula_behind_apostrophes(rest) => rest,
        _ => cell,
    }
}

fn escaped_if(cell: &str, is_formula: bool) -> Cow<'_, str> {
    if is_formula {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

fn is_formula_behind_apostrophes(cell: &str) -> bool {
    cell.trim_start_matches('\'').starts_with(FORMULA_STARTS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn puts_an_apostrophe_before_formulas() {
        for (cell, expected) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("'=1", "'=1"),
            ("550 5.1.1 no", "550 5.1.1 no"),
            ("", ""),
        ] {
            assert_eq!(escape_formula(cell), expected);
        }
    }

    proptest! {
        #[test]
        fn a_reversibly_escaped_cell_is_no_formula_and_comes_back(cell in "['=+a-]{0,6}") {
            let escaped = escape_formula_reversibly(&cell);
            prop_assert!(!escaped.starts_with(FORMULA_STARTS));
            prop_assert_eq!(unescape_formula(&escaped), cell.as_str());
        }
    }
}
