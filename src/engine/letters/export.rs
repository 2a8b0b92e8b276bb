//! Letters as CSV, safe to open in a spreadsheet: what a relay wrote must not become a formula.

use super::list::ListedLetter;
use crate::domain::csv_cell::inert;
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
        csv.write_record(cells.map(|cell| inert(cell).into_owned()))?;
    }
    csv.flush()
}

fn name(value: Option<impl Display>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
