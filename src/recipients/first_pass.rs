//! The first pass: reads and checks every row before anything is written to the queue.

use super::Options;
use super::address_set::AddressSet;
use super::csv_file::Step;
use super::error::{GarbledCell, RecipientsError, RowError, RowProblem};
use super::raw_row::{Frame, RejectedRow};
use super::row_check::RowCheck;
use super::source::Stamp;
use super::table::Table;
use super::text_survey::TextSurvey;
use crate::domain::digest::hex;
use crate::domain::ids::Row;
use crate::domain::mailbox_key::mailbox_key;
use ring::digest;
use serde::Serialize;
use std::path::Path;

/// An error lists this many bad rows, and counts the rest.
const LISTED_ROWS: usize = 10;

/// What was put right or left out in a list, besides rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tidied {
    /// Rows with nothing but delimiters and white space.
    pub empty_rows: u64,
    /// Columns without a name and without content.
    pub ignored_columns: u64,
    /// Addresses that had white space, marks or a name around them.
    pub cleaned_addresses: u64,
    /// Rows with text that was decoded wrongly before it came into the list.
    pub garbled_rows: u64,
}

/// Counts of the first pass. `rows = accepted + duplicates + invalid + already_sent` always holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub rows: u64,
    pub accepted: u64,
    /// Rows with the address of an earlier row. The first row of an address is accepted.
    pub duplicates: u64,
    pub invalid: u64,
    /// Rows with an address that an earlier run has.
    pub already_sent: u64,
    pub tidied: Tidied,
}

/// The result of the first pass. The second pass needs it to return the same rows.
#[derive(Debug, Clone)]
pub struct Survey {
    /// SHA-256 of the file's bytes, in hexadecimal.
    pub fingerprint: String,
    pub bytes: u64,
    pub columns: Vec<String>,
    pub counts: Counts,
    /// The first of the `garbled_rows`.
    pub garbled: Option<GarbledCell>,
    /// Of the invalid rows those that only the tests of templates refused.
    pub unfit: u64,
    pub(super) stamp: Stamp,
    /// One bit for each row of the file, in order: whether it was accepted. A cell with several addresses counts as so many
    /// rows.
    pub(super) accepted: Vec<u64>,
}

impl Survey {
    /// The number of the `file_row`th row of the file among the accepted rows, both from 0. `None` if it was not
    /// accepted.
    pub fn ordinal(&self, file_row: u64) -> Option<Row> {
        let (words, bit) = (usize::try_from(file_row / 64).ok()?, file_row % 64);
        let word = self.accepted.get(words)?;
        if word >> bit & 1 == 0 {
            return None;
        }
        let before = self.accepted.iter().take(words);
        let before: u64 = before.map(|word| u64::from(word.count_ones())).sum();
        let lower = word & ((1 << bit) - 1);
        Some(before + u64::from(lower.count_ones()))
    }

    /// SHA-256 of which rows were accepted, in hexadecimal.
    pub fn rows_fingerprint(&self) -> String {
        let mut hash = digest::Context::new(&digest::SHA256);
        for word in &self.accepted {
            hash.update(&word.to_le_bytes());
        }
        hex(hash.finish().as_ref())
    }

    /// Whether the `file_row`th row of the file was accepted. False beyond the last row of the first pass.
    pub(super) fn accepts(&self, file_row: u64) -> bool {
        let word = usize::try_from(file_row / 64).ok();
        let word = word.and_then(|index| self.accepted.get(index));
        word.is_some_and(|word| word >> (file_row % 64) & 1 == 1)
    }
}

/// Reads the whole file once. A file that is not UTF-8 is an error as a whole, because a list without the rows that are not
/// would leave out everybody with an umlaut. With `skip_invalid` bad rows go to `on_rejected` and are left out. Without it bad rows
/// are an error that lists the first ten and counts all. Memory: at most 24 bytes a row, for the duplicate check.
pub fn first_pass(
    path: &Path,
    options: &Options,
    mut on_rejected: impl FnMut(&RejectedRow, &Frame),
) -> Result<Survey, RecipientsError> {
    let mut table = Table::open(path, options)?;
    let stamp = table.stamp()?;
    let check = RowCheck::new(&table, options);
    let mut pass = Pass::default();
    let mut addresses = AddressSet::new();
    let mut tests = options.tests.0.as_ref().map(|tests| tests.begin());
    while !pass.is_full(options) {
        let step = table.step()?;
        let row = table.row();
        let checked = match step {
            Step::End => break,
            Step::Row => check
                .addresses(row)
                .and_then(|cell| check.tested(row, cell, tests.as_deref_mut())),
            Step::Broken(what) => Err(check.row_error(row.line, what)),
        };
        match checked {
            Ok(cell) => {
                pass.cleaned_addresses += u64::from(cell.is_cleaned);
                // The limit may be reached within a cell of several addresses.
                for found in &cell.addresses {
                    if !pass.is_full(options) {
                        let mailbox = mailbox_key(found.address.as_str());
                        let is_new = addresses.insert(&mailbox);
                        pass.count_valid(is_new, options.known.contains(&mailbox));
                    }
                }
                pass.text.look_at(&check, row);
            }
            Err(error) => {
                pass.count_invalid();
                pass.unfit += u64::from(matches!(error.what, RowProblem::Unfit(_)));
                if matches!(error.what, RowProblem::NotUtf8) && options.encoding.is_none() {
                    pass.text.look_at_broken(&table, row);
                }
                if options.skip_invalid {
                    on_rejected(&table.rejected(error), &table.frame);
                } else {
                    pass.list(error);
                }
            }
        }
    }
    let survey = pass.into_survey(table, stamp)?;
    match tests.map_or(Ok(()), |tests| tests.finish()) {
        Ok(()) => Ok(survey),
        Err(fault) => Err(RecipientsError::of_templates(fault)),
    }
}

#[derive(Default)]
struct Pass {
    counts: Counts,
    unfit: u64,
    accepted: Vec<u64>,
    listed: Vec<RowError>,
    text: TextSurvey,
    cleaned_addresses: u64,
}

impl Pass {
    fn is_full(&self, options: &Options) -> bool {
        options
            .limit
            .is_some_and(|limit| self.counts.accepted >= limit)
    }

    fn count_valid(&mut self, is_new: bool, is_known: bool) {
        let counts = &mut self.counts;
        match (is_new, is_known) {
            (false, _) => counts.duplicates += 1,
            (true, true) => counts.already_sent += 1,
            (true, false) => counts.accepted += 1,
        }
        self.mark(is_new && !is_known);
    }

    fn count_invalid(&mut self) {
        self.counts.invalid += 1;
        self.mark(false);
    }

    fn list(&mut self, error: RowError) {
        if self.listed.len() < LISTED_ROWS {
            self.listed.push(error);
        }
    }

    /// Appends the row's bit.
    fn mark(&mut self, accepted: bool) {
        let bit = u64::from(accepted) << (self.counts.rows % 64);
        match self.accepted.last_mut() {
            Some(word) if !self.counts.rows.is_multiple_of(64) => *word |= bit,
            _ => self.accepted.push(bit),
        }
        self.counts.rows += 1;
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
            unfit: self.unfit,
            stamp,
            accepted: self.accepted,
        })
    }
}
