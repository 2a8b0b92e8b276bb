//! What the first pass finds in a list: counts, and which rows get a mail.

use super::error::{GarbledCell, RepeatedRow};
use super::mailboxes::Groups;
use super::source::Stamp;
use crate::domain::digest::hex;
use crate::domain::ids::Row;
use ring::digest;
use serde::Serialize;

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
    /// Rows with the address of an earlier row. The first row of an address is accepted; with `group = true` its mail has
    /// the others too.
    pub duplicates: u64,
    /// Duplicates whose other cells are not those of the first row, unless that was said to be enough.
    pub differing: u64,
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
    /// The first of the `differing` rows, or of the `duplicates`.
    pub repeated: Option<RepeatedRow>,
    /// Of the invalid rows those that only the tests of templates refused.
    pub unfit: u64,
    pub(super) stamp: Stamp,
    /// One bit for each row of the file, in order: whether it was accepted. A cell with several addresses counts as so many
    /// rows.
    pub(super) accepted: Vec<u64>,
    /// Where the other rows of each accepted one are, with `group = true`.
    pub(super) groups: Groups,
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

    /// Takes accepted rows back, given by their numbers in ascending order, with the rows that are in their mail: no
    /// message can be made of them.
    pub(super) fn reject(&mut self, recipients: &[Row]) {
        let others = self.groups.remove(recipients);
        let mut open = recipients.iter().copied().peekable();
        let mut number = 0;
        for word in &mut self.accepted {
            for bit in 0..64 {
                if *word >> bit & 1 == 0 {
                    continue;
                }
                if open.next_if_eq(&number).is_some() {
                    *word &= !(1 << bit);
                }
                number += 1;
            }
        }
        let rejected = recipients.len() as u64;
        self.counts.accepted -= rejected;
        self.counts.duplicates -= others;
        self.counts.invalid += rejected + others;
        self.unfit += rejected + others;
    }

    /// Whether the `file_row`th row of the file was accepted. False beyond the last row of the first pass.
    pub(super) fn accepts(&self, file_row: u64) -> bool {
        let word = usize::try_from(file_row / 64).ok();
        let word = word.and_then(|index| self.accepted.get(index));
        word.is_some_and(|word| word >> (file_row % 64) & 1 == 1)
    }
}
