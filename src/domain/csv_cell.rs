//! CSV cells for spreadsheet programs: text from a relay or a list must not be run as a formula (CSV injection).

use std::borrow::Cow;

/// Puts an apostrophe before a cell that a spreadsheet program would take for a formula.
pub fn escape_formula(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_an_apostrophe_before_formulas() {
        for (cell, expected) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("550 5.1.1 no", "550 5.1.1 no"),
            ("", ""),
        ] {
            assert_eq!(escape_formula(cell), expected);
        }
    }
}
