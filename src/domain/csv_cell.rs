//! Cells of CSV that people open in spreadsheets: what came from a relay or a list must not be run as a formula.

use std::borrow::Cow;

/// A cell that spreadsheet programs would calculate gets an apostrophe in front.
pub fn inert(cell: &str) -> Cow<'_, str> {
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
    fn formulas_are_text() {
        for (cell, expected) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("550 5.1.1 no", "550 5.1.1 no"),
            ("", ""),
        ] {
            assert_eq!(inert(cell), expected);
        }
    }
}
