//! Letters as CSV, safe to open in a spreadsheet: what a relay wrote must not become a formula.

use super::list::ListedLetter;
use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, Write};

const COLUMNS: [&str; 11] = [
    "id",
    "campaign",
    "run",
    "row",
    "address",
    "class",
    "reason",
    "scope",
    "attempts",
    "last_reply",
    "since",
];

/// Writes a header row and a row for each letter.
pub fn export(letters: &[ListedLetter], out: &mut dyn Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(COLUMNS)?;
    for letter in letters {
        let (row, attempts) = (letter.row.to_string(), letter.attempts.to_string());
        let (class, reason, scope) = (name(letter.class), name(letter.reason), name(letter.scope));
        let cells = [
            &letter.id,
            &letter.campaign,
            &letter.run,
            &row,
            &letter.address,
            &class,
            &reason,
            &scope,
            &attempts,
            letter.last_reply.as_deref().unwrap_or_default(),
            &letter.since,
        ];
        csv.write_record(cells.map(|cell| plain(cell).into_owned()))?;
    }
    csv.flush()
}

fn name(value: Option<impl Display>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// A cell that a spreadsheet would calculate gets an apostrophe before it.
fn plain(cell: &str) -> Cow<'_, str> {
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
            assert_eq!(plain(cell), expected);
        }
    }
}
