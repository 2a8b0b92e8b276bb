//! The second pass: returns the accepted rows in file order, and checks that the file is still the one of the first
//! pass.

use super::csv_file::Step;
use super::error::{RecipientsError, RowError, RowProblem};
use super::fetched::Fetched;
use super::raw_row::{Frame, RejectedRow};
use super::row_check::RowCheck;
use super::survey::Survey;
use super::table::{RawRow, Table};
use super::{MAX_ROW_BYTES, Options};
use crate::domain::ids::Row;
use crate::domain::mailbox::Mailbox;
use crate::domain::mailbox_key::mailbox_key;
use crate::domain::recipient::RecipientRow;
use crate::domain::records::SeveralPolicy;
use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;

/// Iterates over the accepted rows with these numbers. Rows before the range are skipped unchecked. Errors: `Changed`
/// at once if the file's length or time of modification differ from those of the first pass, and as the last item if
/// its bytes differ. A caller that stops before the last item does not learn about the bytes.
pub fn rows<'a>(
    path: &Path,
    options: &Options,
    survey: &'a Survey,
    range: Range<Row>,
) -> Result<Rows<'a>, RecipientsError> {
    let table = Table::open(path, options)?;
    if table.stamp()? != survey.stamp || table.columns.names() != survey.columns {
        return Err(changed(&table));
    }
    Ok(Rows {
        check: RowCheck::new(&table, options),
        path: table.path(),
        table: Some(table),
        survey,
        range,
        file_row: 0,
        ordinal: 0,
        several: options.several,
        waiting: VecDeque::new(),
    })
}

pub struct Rows<'a> {
    /// `None` after the last item.
    table: Option<Table>,
    path: String,
    check: RowCheck,
    survey: &'a Survey,
    range: Range<Row>,
    /// Number of the next row in the file.
    file_row: u64,
    /// Number of the next accepted row.
    ordinal: Row,
    several: SeveralPolicy,
    /// Addresses of the row that was read last.
    waiting: VecDeque<Mailbox>,
}

/// A recipient of the list.
pub struct Found {
    pub recipient: RecipientRow,
    /// Its rows do not fit into one mail. Only some of them are in `recipient`.
    pub is_too_large: bool,
}

impl Iterator for Rows<'_> {
    type Item = Result<RecipientRow, RecipientsError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.next_found()?;
        Some(found.and_then(|found| match found.is_too_large {
            // The first pass left these out.
            true => Err(self.stop()),
            false => Ok(found.recipient),
        }))
    }
}

impl Rows<'_> {
    /// As `next`, for a first pass that has not looked yet whether the rows of each mailbox fit into one mail.
    pub fn next_found(&mut self) -> Option<Result<Found, RecipientsError>> {
        match self.advance() {
            Ok(Some(found)) => Some(Ok(found)),
            Ok(None) => self.finish().err().map(Err),
            Err(error) => {
                self.table = None;
                Some(Err(error))
            }
        }
    }

    /// No item comes after this error.
    fn stop(&mut self) -> RecipientsError {
        self.table = None;
        let path = self.path.clone();
        RecipientsError::Changed { path }
    }

    /// Bytes of the file read so far, for progress.
    pub fn bytes_read(&self) -> u64 {
        self.table.as_ref().map_or(0, Table::bytes_read)
    }

    fn advance(&mut self) -> Result<Option<Found>, RecipientsError> {
        let end = self.range.end.min(self.survey.counts.accepted);
        while self.ordinal < end {
            if let Some(found) = self.waiting.pop_front() {
                if let Some(row) = self.take(found)? {
                    return Ok(Some(row));
                }
                continue;
            }
            let Some(table) = &mut self.table else {
                return Ok(None);
            };
            let step = table.step()?;
            let is_accepted = self.survey.accepts(self.file_row);
            let is_wanted = is_accepted && self.ordinal >= self.range.start;
            match step {
                // The first pass found more rows.
                Step::End => return Err(changed(table)),
                Step::Broken(_) if is_accepted => return Err(changed(table)),
                Step::Broken(_) => self.file_row += 1,
                Step::Row if is_wanted || self.several == SeveralPolicy::Each => {
                    match self.check.addresses(table.row()) {
                        Ok(cell) => self.waiting.extend(cell.addresses),
                        // The first pass found this row good.
                        Err(_) if is_accepted => return Err(changed(table)),
                        Err(_) => self.file_row += 1,
                    }
                }
                Step::Row => {
                    self.file_row += 1;
                    self.ordinal += u64::from(is_accepted);
                }
            }
        }
        Ok(None)
    }

    /// The recipient with the next address of the row that was read last. `None` if it is a duplicate or not wanted.
    fn take(&mut self, found: Mailbox) -> Result<Option<Found>, RecipientsError> {
        let is_accepted = self.survey.accepts(self.file_row);
        self.file_row += 1;
        let Some(table) = self.table.as_ref().filter(|_| is_accepted) else {
            return Ok(None);
        };
        let number = self.ordinal;
        self.ordinal += 1;
        if number < self.range.start {
            return Ok(None);
        }
        let row = table.row();
        let fields = self
            .check
            .texts(row, &found.address)
            .map_err(|_| changed(table))?;
        let mut recipient = RecipientRow {
            row: number,
            line: row.line,
            address: found.address,
            name: found.name,
            fields,
            others: Vec::new(),
        };
        let is_too_large = !self.add_others(table, &mut recipient)?;
        Ok(Some(Found {
            recipient,
            is_too_large,
        }))
    }

    /// Reads the other rows of the recipient's mailbox, with `group = true`. `false`: they are too large together.
    fn add_others(
        &self,
        table: &Table,
        recipient: &mut RecipientRow,
    ) -> Result<bool, RecipientsError> {
        let mut others_at = self.survey.groups.of(recipient.row).peekable();
        if others_at.peek().is_none() {
            return Ok(true);
        }
        let mailbox = mailbox_key(recipient.address.as_str());
        let mut bytes = recipient.bytes();
        let mut others = Vec::new();
        let mut fetched = Fetched::default();
        for offset in others_at {
            let is_there = table.fetch(offset, &mut fetched)?;
            let row = RawRow {
                record: &fetched.record,
                line: recipient.line,
            };
            // Where another row is now, the file is another one. Nobody gets the rows of somebody else.
            let cells = is_there
                .then(|| self.check.texts_of(row, &mailbox))
                .flatten();
            let cells = cells.ok_or_else(|| changed(table))?;
            bytes += cells.iter().map(String::len).sum::<usize>();
            if bytes > MAX_ROW_BYTES {
                return Ok(false);
            }
            others.push(cells);
        }
        recipient.others = others;
        Ok(true)
    }

    /// The error for a recipient without a message.
    pub fn error(&self, recipient: &RecipientRow, what: RowProblem) -> RowError {
        match what {
            RowProblem::GroupTooLarge => self.check.address_error(recipient, what),
            what => self.check.row_error(recipient.line, what),
        }
    }

    /// Gives back the rows of a recipient's mailbox as the file has them, one after the other, because together they may
    /// be large. Call it for the recipient that was returned last.
    pub fn reject(
        &self,
        recipient: &RecipientRow,
        error: &RowError,
        on_rejected: &mut dyn FnMut(&RejectedRow, &Frame),
    ) -> Result<(), RecipientsError> {
        let Some(table) = &self.table else {
            return Ok(());
        };
        on_rejected(&table.rejected(error.clone()), &table.frame);
        let mut fetched = Fetched::default();
        for offset in self.survey.groups.of(recipient.row) {
            if !table.fetch(offset, &mut fetched)? {
                return Err(changed(table));
            }
            let (raw, record) = (fetched.raw(), &fetched.record);
            let row = RejectedRow::new(error.clone(), &raw, record, &table.frame);
            on_rejected(&row, &table.frame);
        }
        Ok(())
    }

    /// Reads the rest of the file and compares its fingerprint with that of the first pass.
    fn finish(&mut self) -> Result<(), RecipientsError> {
        let Some(table) = self.table.take() else {
            return Ok(());
        };
        let error = changed(&table);
        match table.fingerprint()? == self.survey.fingerprint {
            true => Ok(()),
            false => Err(error),
        }
    }
}

fn changed(table: &Table) -> RecipientsError {
    RecipientsError::Changed { path: table.path() }
}
