//! Recipients and their states: CSV that is safe to open in a spreadsheet, or JSON.

use crate::commands::Failure;
use crate::commands::output::{Align, Cells, Column, Format, Listing, Row};
use crate::engine::account::RecipientRow;
use std::borrow::Cow;

pub struct States(Listing);

const COLUMNS: [Column<'static>; 5] = [
    ("address", Align::Left),
    ("state", Align::Left),
    ("reply", Align::Left),
    ("when", Align::Left),
    ("attempts", Align::Right),
];

impl States {
    pub fn new(json: bool) -> Result<States, Failure> {
        let format = Format::json_or(json, Format::Csv(Cells::Inert));
        Listing::new(format, &COLUMNS).map(States)
    }

    pub fn add(&mut self, recipient: &RecipientRow) -> Result<(), Failure> {
        self.0.add(|| recipient, || cells(recipient))
    }

    pub fn finish(self) -> Result<(), Failure> {
        self.0.finish()
    }
}

fn cells(recipient: &RecipientRow) -> Row<'_> {
    vec![
        Cow::Borrowed(&recipient.address),
        Cow::Borrowed(recipient.state),
        Cow::Borrowed(recipient.reply.as_deref().unwrap_or_default()),
        Cow::Borrowed(recipient.when.as_deref().unwrap_or_default()),
        recipient.attempts.to_string().into(),
    ]
}
