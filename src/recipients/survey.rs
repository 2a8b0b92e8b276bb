//! The first pass: every row is read and checked before anything is written to the queue.

use super::check::Checks;
use super::error::{RecipientsError, RowError};
use super::reader::{Reader, Step};
use super::rejected::RejectedRow;
use super::seen::Seen;
use super::source::Stamp;
use super::{Options, error};
use crate::domain::ids::Row;
use std::path::Path;

/// Bad rows that an error names one by one.
const NAMED_ROWS: usize = 10;

/// What the first pass found. `rows = accepted + duplicates + invalid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub rows: u64,
    pub accepted: u64,
    /// Rows whose address came before. The first one is accepted.
    pub duplicates: u64,
    pub invalid: u64,
}

/// The result of the first pass; what the second needs to give the same rows.
#[derive(Debug, Clone)]
pub struct Survey {
    /// SHA-256 of the file's bytes, in hexadecimal.
    pub fingerprint: String,
    pub bytes: u64,
    pub columns: Vec<String>,
    pub counts: Counts,
    pub(super) stamp: Stamp,
    /// One bit for each row, in file order: whether it was accepted.
    pub(super) accepted: Vec<u64>,
}

impl Survey {
    /// The ordinal of the row with this place in the file, from 0; `None` if it was not accepted.
    pub fn ordinal(&self, place: u64) -> Option<Row> {
        if !self.accepts(place) {
            return None;
        }
        let word = usize::try_from(place / 64).ok()?;
        let before = self.accepted.iter().take(word);
        let before: u64 = before.map(|word| u64::from(word.count_ones())).sum();
        let lower = self.accepted.get(word)? & ((1 << (place % 64)) - 1);
        Some(before + u64::from(lower.count_ones()))
    }

    /// Whether the row with this place in the file was accepted.
    pub(super) fn accepts(&self, place: u64) -> bool {
        let word = usize::try_from(place / 64).ok();
        let word = word.and_then(|index| self.accepted.get(index));
        word.is_some_and(|word| word >> (place % 64) & 1 == 1)
    }
}

/// Reads the whole file once. With `skip_invalid` each bad row is given to `on_rejected` and left out; without it bad
/// rows are an error that names the first ten and the count of all. Memory: 24 bytes a row for the duplicate check.
pub fn first_pass(
    path: &Path,
    options: &Options,
    mut on_rejected: impl FnMut(&RejectedRow),
) -> Result<Survey, RecipientsError> {
    let mut reader = Reader::open(path, options)?;
    let stamp = reader.stamp()?;
    let checks = Checks::new(&reader, options);
    let mut pass = Pass::default();
    let mut seen = Seen::new();
    while !pass.is_full(options) {
        let checked = match reader.step()? {
            Step::End => break,
            Step::Row => checks.row(&reader.record, reader.line),
            Step::Broken(what) => Err(checks.row_error(reader.line, what)),
        };
        match checked {
            Ok(address) => pass.count_good(seen.insert(address.duplicate_key())),
            Err(error) if options.skip_invalid => {
                pass.counts.invalid += 1;
                pass.mark(false);
                on_rejected(&RejectedRow::new(error, &reader.record));
            }
            Err(error) => pass.count_bad(error),
        }
    }
    pass.into_survey(reader, stamp)
}

#[derive(Default)]
struct Pass {
    counts: Counts,
    accepted: Vec<u64>,
    bad: Vec<RowError>,
}

impl Pass {
    fn is_full(&self, options: &Options) -> bool {
        options
            .limit
            .is_some_and(|limit| self.counts.accepted >= limit)
    }

    fn count_good(&mut self, is_new: bool) {
        self.counts.accepted += u64::from(is_new);
        self.counts.duplicates += u64::from(!is_new);
        self.mark(is_new);
    }

    fn count_bad(&mut self, error: error::RowError) {
        self.counts.invalid += 1;
        self.mark(false);
        if self.bad.len() < NAMED_ROWS {
            self.bad.push(error);
        }
    }

    fn mark(&mut self, accepted: bool) {
        let bit = self.counts.rows % 64;
        if bit == 0 {
            self.accepted.push(0);
        }
        if let Some(word) = self.accepted.last_mut() {
            *word |= u64::from(accepted) << bit;
        }
        self.counts.rows += 1;
    }

    fn into_survey(self, reader: Reader, stamp: Stamp) -> Result<Survey, RecipientsError> {
        if !self.bad.is_empty() {
            return Err(RecipientsError::BadRows {
                first: self.bad,
                count: self.counts.invalid,
            });
        }
        let columns = reader.columns.clone();
        Ok(Survey {
            fingerprint: reader.fingerprint()?,
            bytes: stamp.bytes,
            columns,
            counts: self.counts,
            stamp,
            accepted: self.accepted,
        })
    }
}
