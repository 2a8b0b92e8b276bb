//! The first pass: reads and checks every row before anything is written to the queue.

use super::address_cell::AddressCell;
use super::csv_file::Step;
use super::error::{LISTED_ROWS, RecipientsError, RowError, RowProblem};
use super::group_check::{may_be_too_large, test_messages};
use super::mailboxes::{Candidate, Mailboxes, Place};
use super::raw_row::{Frame, RejectedRow};
use super::repeated::Repeated;
use super::row_check::RowCheck;
use super::source::Stamp;
use super::survey::{Counts, Survey, Tidied};
use super::table::{RawRow, Table};
use super::text_survey::TextSurvey;
use super::{DuplicatesPolicy, Options};
use crate::domain::mailbox_key::mailbox_key;
use std::path::Path;

/// Reads the whole file once. A file that is not UTF-8 is an error as a whole, because a list without the rows that are not
/// would leave out everybody with an umlaut. With `skip_invalid` bad rows go to `on_rejected` and are left out. Without it
/// bad rows are an error that lists the first ten and counts all. Memory: at most 24 bytes a row, for the duplicate check
/// and, with `group = true`, for the places of rows.
pub fn first_pass(
    path: &Path,
    options: &Options,
    mut on_rejected: impl FnMut(&RejectedRow, &Frame),
) -> Result<Survey, RecipientsError> {
    let mut table = Table::open(path, options)?;
    let stamp = table.stamp()?;
    if options.group {
        table.require_fetching()?;
    }
    let check = RowCheck::new(&table, options);
    let mut pass = Pass::new(options);
    let mut tests = options.tests.0.as_ref().map(|tests| tests.begin());
    // Rows of a mailbox may stand behind the row that reaches the limit.
    while options.group || !pass.is_full() {
        let step = table.step()?;
        let offset = if options.group { table.offset() } else { 0 };
        let row = table.row();
        let found = match step {
            Step::End => break,
            Step::Row => check.addresses(row),
            Step::Broken(what) => Err(check.row_error(row.line, what)),
        };
        if pass.is_full() && is_for_nobody(&found, &pass.mailboxes) {
            pass.pass_by(&found);
            continue;
        }
        let tested = found.and_then(|cell| check.tested(row, cell, tests.as_deref_mut()));
        match tested {
            Ok(cell) => pass.take(&cell, row, offset, &check)?,
            Err(error) => {
                pass.refuse(&error, &table);
                if options.skip_invalid {
                    on_rejected(&table.rejected(error), &table.frame);
                } else {
                    pass.list(error);
                }
            }
        }
    }
    let repeated = std::mem::take(&mut pass.repeated);
    let longest_row = pass.longest_row;
    let mut survey = pass.into_survey(table, stamp)?;
    let of_messages = tests.as_deref().filter(|tests| tests.needs_messages());
    if options.group && (of_messages.is_some() || may_be_too_large(&survey.groups, longest_row)) {
        test_messages(path, options, &mut survey, of_messages, &mut on_rejected)?;
    }
    if let Some(tests) = tests {
        tests.finish().map_err(RecipientsError::of_templates)?;
    }
    if !options.group {
        survey.repeated = repeated.row(path, options, &survey)?;
    }
    Ok(survey)
}

/// Once the limit is reached: whether a row is of no mailbox that gets a mail.
fn is_for_nobody(found: &Result<AddressCell, RowError>, mailboxes: &Mailboxes<'_>) -> bool {
    found.as_ref().map_or(true, |cell| {
        let mut keys = cell
            .addresses
            .iter()
            .map(|found| mailbox_key(found.address.as_str()));
        keys.all(|mailbox| mailboxes.is_new(&mailbox))
    })
}

struct Pass<'a> {
    options: &'a Options,
    mailboxes: Mailboxes<'a>,
    counts: Counts,
    /// Rows that have a bit. More than are counted, if some are beyond the limit.
    marked: u64,
    unfit: u64,
    accepted: Vec<u64>,
    listed: Vec<RowError>,
    text: TextSurvey,
    repeated: Repeated,
    cleaned_addresses: u64,
    /// Bytes of its cells.
    longest_row: usize,
}

impl<'a> Pass<'a> {
    fn new(options: &'a Options) -> Pass<'a> {
        Pass {
            options,
            mailboxes: Mailboxes::new(&options.known, options.group),
            counts: Counts::default(),
            marked: 0,
            unfit: 0,
            accepted: Vec::new(),
            listed: Vec::new(),
            text: TextSurvey::default(),
            repeated: Repeated::default(),
            cleaned_addresses: 0,
            longest_row: 0,
        }
    }

    fn is_full(&self) -> bool {
        let limit = self.options.limit;
        limit.is_some_and(|limit| self.counts.accepted >= limit)
    }

    /// A good row, which begins at this offset.
    fn take(
        &mut self,
        cell: &AddressCell,
        row: RawRow<'_>,
        offset: u64,
        check: &RowCheck,
    ) -> Result<(), RecipientsError> {
        let options = self.options;
        self.cleaned_addresses += u64::from(cell.is_cleaned);
        self.longest_row = self.longest_row.max(row.record.text().len());
        let is_compared = !options.group && options.duplicates == DuplicatesPolicy::Error;
        let cells = if is_compared { check.digest(row) } else { 0 };
        for found in &cell.addresses {
            let is_full = self.is_full();
            // The limit may be reached within a cell of several addresses.
            if is_full && !options.group {
                break;
            }
            let candidate = Candidate {
                number: self.counts.accepted,
                cells,
                offset,
                is_full,
            };
            let mailbox = mailbox_key(found.address.as_str());
            let place = self.mailboxes.place(&mailbox, candidate);
            if place == Place::TooMany {
                return Err(check.many_groups());
            }
            self.count_valid(place);
            if !options.known.contains(&mailbox) {
                self.repeated.note(place, row.line, &mailbox);
            }
        }
        self.text.look_at(check, row);
        Ok(())
    }

    /// A bad row, the table's current one.
    fn refuse(&mut self, error: &RowError, table: &Table) {
        self.count_invalid();
        self.unfit += u64::from(matches!(error.what, RowProblem::Unfit(_)));
        if matches!(error.what, RowProblem::NotUtf8) && self.options.encoding.is_none() {
            self.text.look_at_broken(table, table.row());
        }
    }

    fn count_valid(&mut self, place: Place) {
        let counts = &mut self.counts;
        match place {
            Place::First => counts.accepted += 1,
            Place::Repeated => counts.duplicates += 1,
            Place::Differing => {
                counts.duplicates += 1;
                counts.differing += 1;
            }
            Place::AlreadySent => counts.already_sent += 1,
            Place::BeyondLimit | Place::TooMany => return self.mark(false),
        }
        counts.rows += 1;
        self.mark(place == Place::First);
    }

    fn count_invalid(&mut self) {
        self.counts.invalid += 1;
        self.counts.rows += 1;
        self.mark(false);
    }

    /// A row that is not counted, because the limit was reached before it.
    fn pass_by(&mut self, found: &Result<AddressCell, RowError>) {
        let recipients = found.as_ref().map_or(1, |cell| cell.addresses.len());
        (0..recipients).for_each(|_| self.mark(false));
    }

    fn list(&mut self, error: RowError) {
        if self.listed.len() < LISTED_ROWS {
            self.listed.push(error);
        }
    }

    /// Appends the row's bit.
    fn mark(&mut self, accepted: bool) {
        let bit = u64::from(accepted) << (self.marked % 64);
        match self.accepted.last_mut() {
            Some(word) if !self.marked.is_multiple_of(64) => *word |= bit,
            _ => self.accepted.push(bit),
        }
        self.marked += 1;
    }

    fn into_survey(mut self, table: Table, stamp: Stamp) -> Result<Survey, RecipientsError> {
        if let Some(error) = self.text.error() {
            return Err(error);
        }
        if !self.listed.is_empty() {
            return Err(RecipientsError::BadRows {
                first: self.listed,
                count: self.counts.invalid,
            });
        }
        let columns = table.columns.names();
        let tidied = Tidied {
            empty_rows: table.empty_rows(),
            ignored_columns: table.columns.unnamed(),
            cleaned_addresses: self.cleaned_addresses,
            garbled_rows: self.text.garbled_rows,
        };
        Ok(Survey {
            fingerprint: table.fingerprint()?,
            bytes: stamp.bytes,
            columns,
            counts: Counts {
                tidied,
                ..self.counts
            },
            garbled: self.text.garbled,
            repeated: None,
            unfit: self.unfit,
            stamp,
            accepted: self.accepted,
            groups: self.mailboxes.into_groups(),
        })
    }
}
