//! Recipients as CSV that is safe to open in a spreadsheet, or as JSON.

use crate::commands::{Failure, output};
use crate::domain::csv_cell::inert;
use crate::engine::account::RecipientRow;
use std::io;

pub enum States {
    Csv(Box<csv::Writer<output::Stream>>),
    Json(output::List),
}

const COLUMNS: [&str; 5] = ["address", "state", "reply", "when", "attempts"];

impl States {
    pub fn new(json: bool) -> Result<States, Failure> {
        if json {
            return Ok(States::Json(output::List::default()));
        }
        let mut csv = csv::Writer::from_writer(output::Stream::default());
        csv.write_record(COLUMNS).map_err(unwritten)?;
        Ok(States::Csv(Box::new(csv)))
    }

    pub fn add(&mut self, row: &RecipientRow) -> Result<(), Failure> {
        match self {
            States::Json(list) => list.add(row),
            States::Csv(csv) => {
                let attempts = row.attempts.to_string();
                let cells = [
                    &row.address,
                    row.state,
                    row.reply.as_deref().unwrap_or_default(),
                    row.when.as_deref().unwrap_or_default(),
                    &attempts,
                ];
                csv.write_record(cells.map(|cell| inert(cell).into_owned()))
                    .map_err(unwritten)
            }
        }
    }

    pub fn finish(self) -> Result<(), Failure> {
        match self {
            States::Json(list) => list.finish(),
            States::Csv(csv) => csv
                .into_inner()
                .map_err(|error| output::unwritten(error.error()))?
                .finish(),
        }
    }
}

fn unwritten(error: csv::Error) -> Failure {
    output::unwritten(&io::Error::from(error))
}
