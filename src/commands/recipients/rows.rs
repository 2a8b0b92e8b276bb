//! `--rows`: prints original rows of the recipients file, after checking that it is the file that was enqueued.

use crate::commands::Failure;
use crate::commands::output::{Align, Cells, Column, Format, Listing};
use crate::domain::ids::Row;
use crate::engine::enqueue::LEFT_OUT;
use crate::protocol::RunFacts;
use crate::recipients::{DuplicatesPolicy, FileEncoding, Options, Survey, first_pass, rows};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::path::Path;

/// A set of rows, one bit each.
#[derive(Debug, Clone, Default)]
pub struct RowSet(Vec<u64>);

impl RowSet {
    pub fn add(&mut self, row: Row) {
        let Ok(index) = usize::try_from(row / 64) else {
            return;
        };
        if self.0.len() <= index {
            self.0.resize(index + 1, 0);
        }
        if let Some(word) = self.0.get_mut(index) {
            *word |= 1 << (row % 64);
        }
    }

    fn has(&self, row: Row) -> bool {
        let word = usize::try_from(row / 64).ok();
        let word = word.and_then(|index| self.0.get(index));
        word.is_some_and(|word| word >> (row % 64) & 1 == 1)
    }
}

/// Reads the file as `enqueue` did. Errors: it is missing or has changed.
pub fn survey(run: &RunFacts) -> Result<Survey, Failure> {
    let path = Path::new(&run.manifest.recipients);
    let survey = first_pass(path, &options(run), |_, _| ())?;
    let is_same = run.manifest.inputs.get("recipients") == Some(&survey.fingerprint);
    if is_same && run.manifest.inputs.contains_key(LEFT_OUT) {
        return Err(some_left_out(run, "rows that no message could be made for"));
    }
    if is_same && run.manifest.rows_fingerprint.is_some() {
        return Err(some_left_out(run, "recipients whom earlier runs have"));
    }
    match is_same && survey.counts.accepted == run.manifest.rows {
        true => Ok(survey),
        false => Err(changed(run)),
    }
}

/// Which rows have no message follows from templates or events, which the queue need not have any more.
fn some_left_out(run: &RunFacts, rows: &str) -> Failure {
    let id = &run.manifest.id;
    let what = format!(
        "{}/{} left out {rows}; no row was printed",
        id.campaign, id.run
    );
    Failure::usage(what).with_hint("leave out `--rows` to get addresses and states")
}

fn changed(run: &RunFacts) -> Failure {
    let id = &run.manifest.id;
    let what = format!(
        "`{}` has changed since {}/{} was enqueued; no row was printed",
        run.manifest.recipients, id.campaign, id.run
    );
    Failure::usage(what).with_hint("restore that version, or leave out `--rows`")
}

/// Invalid rows either stopped the run or were skipped, so skipping them fits both cases.
fn options(run: &RunFacts) -> Options {
    let reading = &run.manifest.reading;
    let limit = run.manifest.inputs.get("limit");
    Options {
        email_column: reading.email_column.clone(),
        sheet: reading.sheet.clone(),
        several: reading.several,
        group: reading.group,
        duplicates: DuplicatesPolicy::First,
        encoding: reading.encoding.as_deref().and_then(FileEncoding::of_name),
        header_columns: reading.header_columns.clone(),
        skip_invalid: true,
        limit: limit.and_then(|limit| limit.parse().ok()),
        tests: Default::default(),
        known: Default::default(),
    }
}

/// Prints the selected rows after the header.
pub fn print(run: &RunFacts, survey: &Survey, wanted: &RowSet, json: bool) -> Result<(), Failure> {
    let path = Path::new(&run.manifest.recipients);
    let all = rows(path, &options(run), survey, 0..survey.counts.accepted)?;
    let columns: Vec<Column<'_>> = survey
        .columns
        .iter()
        .map(|name| (name.as_str(), Align::Left))
        .collect();
    let format = Format::json_or(json, Format::Csv(Cells::Exact));
    let mut list = Listing::new(format, &columns)?;
    for row in all {
        let row = row?;
        if !wanted.has(row.row) {
            continue;
        }
        for cells in std::iter::once(&row.fields).chain(&row.others) {
            list.add(
                || document(&survey.columns, cells),
                || cells.iter().map(Cow::from).collect(),
            )?;
        }
    }
    list.finish()
}

fn document(columns: &[String], cells: &[String]) -> Map<String, Value> {
    let cells = columns.iter().cloned().zip(cells.iter().cloned());
    cells
        .map(|(name, cell)| (name, Value::String(cell)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_row_set_contains_exactly_the_added_rows(rows in prop::collection::btree_set(0u64..1_000, 0..50)) {
            let mut wanted = RowSet::default();
            rows.iter().for_each(|row| wanted.add(*row));
            let found: BTreeSet<Row> = (0..2_000).filter(|row| wanted.has(*row)).collect();
            prop_assert_eq!(found, rows);
        }
    }
}
