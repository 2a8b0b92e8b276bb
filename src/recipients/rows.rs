//! The second pass: the accepted rows in file order, and proof that the file is the one that was checked.

use super::Options;
use super::check::Checks;
use super::error::RecipientsError;
use super::reader::{Reader, Step};
use super::survey::Survey;
use crate::domain::ids::Row;
use crate::domain::recipient::RecipientRow;
use std::ops::Range;
use std::path::Path;

/// Gives the accepted rows of a range of ordinals. Rows before it are walked over without being looked at.
/// Errors: `Changed` at once if length or time of the file differ from the first pass's, and as the last item if its
/// bytes do; who stops before the last item knows nothing about that.
pub fn rows<'a>(
    path: &Path,
    options: &Options,
    survey: &'a Survey,
    range: Range<Row>,
) -> Result<Rows<'a>, RecipientsError> {
    let reader = Reader::open(path, options)?;
    let changed = reader.stamp()? != survey.stamp || reader.columns != survey.columns;
    if changed {
        return Err(RecipientsError::Changed {
            path: reader.path(),
        });
    }
    Ok(Rows {
        checks: Checks::new(&reader, options),
        reader: Some(reader),
        survey,
        range,
        place: 0,
        ordinal: 0,
    })
}

pub struct Rows<'a> {
    /// `None` after the last item.
    reader: Option<Reader>,
    checks: Checks,
    survey: &'a Survey,
    range: Range<Row>,
    /// Of the next row of the file, accepted or not.
    place: u64,
    /// Of the next accepted row.
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
                self.reader = None;
                Some(Err(error))
            }
        }
    }
}

impl Rows<'_> {
    /// Bytes of the file read so far, for progress.
    pub fn bytes_read(&self) -> u64 {
        self.reader.as_ref().map_or(0, Reader::bytes_read)
    }

    fn advance(&mut self) -> Result<Option<RecipientRow>, RecipientsError> {
        let end = self.range.end.min(self.survey.counts.accepted);
        let Some(reader) = &mut self.reader else {
            return Ok(None);
        };
        while self.ordinal < end {
            let step = reader.step()?;
            if let Step::End = step {
                return Err(changed(reader));
            }
            let accepted = self.survey.accepts(self.place);
            self.place += 1;
            if !accepted {
                continue;
            }
            let row = self.ordinal;
            self.ordinal += 1;
            if row < self.range.start {
                continue;
            }
            return match step {
                Step::Row => row_of(reader, &self.checks, row).map(Some),
                _ => Err(changed(reader)),
            };
        }
        Ok(None)
    }

    /// Reads the rest of the file, whose bytes must be those of the first pass.
    fn finish(&mut self) -> Result<(), RecipientsError> {
        let Some(reader) = self.reader.take() else {
            return Ok(());
        };
        let error = changed(&reader);
        match reader.fingerprint()? == self.survey.fingerprint {
            true => Ok(()),
            false => Err(error),
        }
    }
}

/// A row that was good in the first pass and is not now: somebody wrote to the file.
fn row_of(reader: &Reader, checks: &Checks, row: Row) -> Result<RecipientRow, RecipientsError> {
    let address = checks
        .row(&reader.record, reader.line)
        .map_err(|_| changed(reader))?;
    let mut fields = Vec::with_capacity(reader.record.len());
    for cell in reader.record.cells() {
        let text = std::str::from_utf8(cell).map_err(|_| changed(reader))?;
        fields.push(text.to_string());
    }
    Ok(RecipientRow {
        row,
        line: reader.line,
        address,
        fields,
    })
}

fn changed(reader: &Reader) -> RecipientsError {
    RecipientsError::Changed {
        path: reader.path(),
    }
}
