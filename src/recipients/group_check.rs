//! With `group = true`: tests the message of each mailbox once its rows are known, which is after the first pass.

use super::Options;
use super::error::{LISTED_ROWS, RecipientsError, RowError};
use super::raw_row::{Frame, RejectedRow};
use super::rows::rows;
use super::survey::Survey;
use crate::domain::ids::Row;
use crate::domain::recipient::RowTest;
use std::path::Path;

/// With `skip_invalid` all rows of a mailbox without a message go to `on_rejected` and are left out. Without it they are
/// an error.
pub fn test_messages(
    path: &Path,
    options: &Options,
    survey: &mut Survey,
    tests: &dyn RowTest,
    on_rejected: &mut dyn FnMut(&RejectedRow, &Frame),
) -> Result<(), RecipientsError> {
    let mut failed: Vec<Row> = Vec::new();
    let mut listed: Vec<RowError> = Vec::new();
    let mut all = rows(path, options, survey, 0..survey.counts.accepted)?;
    while let Some(row) = all.next() {
        let row = row?;
        let Err(fault) = tests.message(&row) else {
            continue;
        };
        failed.push(row.row);
        let (error, rejected) = all.reject(&row, fault)?;
        if options.skip_invalid {
            for (bad, frame) in &rejected {
                on_rejected(bad, frame);
            }
        } else if listed.len() < LISTED_ROWS {
            listed.push(error);
        }
    }
    if !options.skip_invalid && !failed.is_empty() {
        return Err(RecipientsError::BadRows {
            first: listed,
            count: failed.len() as u64,
        });
    }
    survey.reject(&failed);
    Ok(())
}
