//! The second pass: returns the accepted rows in file order, and checks that the file is still the one of the first
//! pass.

use super::Options;
use super::csv_file::Step;
use super::error::RecipientsError;
use super::first_pass::Survey;
use super::row_check::RowCheck;
use super::table::Table;
use crate::domain::ids::Row;
use crate::domain::recipient::RecipientRow;
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
        check: RowCheck::new(&table),
        table: Some(table),
        survey,
        range,
        file_row: 0,
        ordinal: 0,
    })
}

pub struct Rows<'a> {
    /// `None` after the last item.
    table: Option<Table>,
    check: RowCheck,
    survey: &'a Survey,
    range: Range<Row>,
    /// Number of the next row in the file.
    file_row: u64,
    /// Number of the next accepted row.
    ordinal: Row,
}

impl Iterator for Rows<'_> {
    type Item = Result<RecipientRow, RecipientsError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.advance();
        match found {
            Ok(Some(row)) => Some(Ok(row)),
            Ok(None) => self.finish().err().map(Err),
            Err(error) => {
                self.table = None;
                Some(Err(error))
            }
        }
    }
}

impl Rows<'_> {
    /// Bytes of the file read so far, for progress.
    pub fn bytes_read(&self) -> u64 {
        self.table.as_ref().map_or(0, Table::bytes_read)
    }

    fn advance(&mut self) -> Result<Option<RecipientRow>, RecipientsError> {
        let end = self.range.end.min(self.survey.counts.accepted);
        let Some(table) = &mut self.table else {
            return Ok(None);
        };
        while self.ordinal < end {
            let step = table.step()?;
            let is_accepted = self.survey.accepts(self.file_row);
            self.file_row += 1;
            match step {
                Step::Row if is_accepted => {}
                // The first pass found more rows, or found this one good.
                Step::End => return Err(changed(table)),
                Step::Broken(_) if is_accepted => return Err(changed(table)),
                Step::Row | Step::Broken(_) => continue,
            }
            let number = self.ordinal;
            self.ordinal += 1;
            if number >= self.range.start {
                return recipient(table, &self.check, number).map(Some);
            }
        }
        Ok(None)
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

/// A row that the first pass accepted. If it is not valid now, the file was written to in between.
fn recipient(
    table: &Table,
    check: &RowCheck,
    number: Row,
) -> Result<RecipientRow, RecipientsError> {
    let row = table.row();
    let address = check.address(row).map_err(|_| changed(table))?;
    let fields = check.texts(row).map_err(|_| changed(table))?;
    Ok(RecipientRow {
        row: number,
        line: row.line,
        address,
        fields,
    })
}

fn changed(table: &Table) -> RecipientsError {
    RecipientsError::Changed { path: table.path() }
}
