//! With `group = true`: tests the mail of each mailbox once its rows are known, which is after the first pass.

use super::error::{LISTED_ROWS, RecipientsError, RowError, RowProblem};
use super::mailboxes::Groups;
use super::raw_row::{Frame, RejectedRow};
use super::rows::{Found, rows};
use super::survey::Survey;
use super::{MAX_ROW_BYTES, Options};
use crate::domain::address::MAX_ADDRESS_BYTES;
use crate::domain::ids::Row;
use crate::domain::recipient::RowTest;
use std::path::Path;

/// Whether the rows of a mailbox could be too large together. `longest_row`: the bytes of its cells. Nearly every list is
/// answered by this, without reading it once more.
pub fn may_be_too_large(groups: &Groups, longest_row: usize) -> bool {
    // An address may be longer than its cell, because domains are mailed in ASCII.
    let bytes = longest_row.saturating_add(MAX_ADDRESS_BYTES);
    let rows = groups.longest();
    rows > 0 && bytes.saturating_mul(rows + 1) > MAX_ROW_BYTES
}

/// With `skip_invalid` all rows of a mailbox without a message go to `on_rejected` and are left out. Without it they are
/// an error. `tests`: those of messages, if there are any.
pub fn test_messages(
    path: &Path,
    options: &Options,
    survey: &mut Survey,
    tests: Option<&(dyn RowTest + '_)>,
    on_rejected: &mut dyn FnMut(&RejectedRow, &Frame),
) -> Result<(), RecipientsError> {
    let mut failed: Vec<Row> = Vec::new();
    let mut listed: Vec<RowError> = Vec::new();
    let mut all = rows(path, options, survey, 0..survey.counts.accepted)?;
    while let Some(found) = all.next_found() {
        let found = found?;
        let Err(what) = test(&found, tests) else {
            continue;
        };
        let recipient = &found.recipient;
        failed.push(recipient.row);
        let error = all.error(recipient, what);
        if options.skip_invalid {
            all.reject(recipient, &error, on_rejected)?;
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

fn test(found: &Found, tests: Option<&(dyn RowTest + '_)>) -> Result<(), RowProblem> {
    if found.is_too_large {
        return Err(RowProblem::GroupTooLarge);
    }
    let tested = tests.map_or(Ok(()), |tests| tests.message(&found.recipient));
    tested.map_err(|fault| RowProblem::Unfit(fault.what))
}
