//! `<stem>.rejected.csv`: the rows that `--skip-invalid` left out, for a person to fix.

use super::error::{RecipientsError, RowError, shortened};
use super::record::Record;
use crate::domain::csv_cell::escape_formula;
use std::fmt::Display;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// A bad row, with the cells that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRow {
    pub error: RowError,
    /// The cells as in the file. Long cells are shortened, and cells after the 4096th dropped.
    pub cells: Vec<String>,
}

/// A longer cell is shortened.
const KEPT_CELL_BYTES: usize = 16 * 1024;
/// Cells after this one are dropped.
const KEPT_CELLS: usize = 4096;

impl RejectedRow {
    pub(super) fn new(error: RowError, record: &Record) -> RejectedRow {
        let kept = |cell: &[u8]| match cell.len() > KEPT_CELL_BYTES {
            true => shortened(cell),
            false => String::from_utf8_lossy(cell).into_owned(),
        };
        RejectedRow {
            error,
            cells: record.cells().take(KEPT_CELLS).map(kept).collect(),
        }
    }
}

/// `lists/spring.csv` → `lists/spring.rejected.csv`.
pub fn rejected_path(recipients: &Path) -> PathBuf {
    recipients.with_extension("rejected.csv")
}

/// Writes a temporary file and renames it when it is complete. Dropped before that, it removes the temporary file.
pub struct RejectedWriter {
    target: PathBuf,
    temporary: PathBuf,
    columns: Vec<String>,
    writer: Option<csv::Writer<File>>,
}

impl RejectedWriter {
    /// `recipients`: the file that the rows come from. No file is created before the first row.
    pub fn new(recipients: &Path, columns: &[String]) -> RejectedWriter {
        let target = rejected_path(recipients);
        let temporary = target.with_extension(format!("csv.{}.tmp", std::process::id()));
        RejectedWriter {
            target,
            temporary,
            columns: columns.to_vec(),
            writer: None,
        }
    }

    /// Writes the cells below the columns of the original, then the reason, then cells beyond the last column.
    pub fn write(&mut self, row: &RejectedRow) -> Result<(), RecipientsError> {
        let width = self.columns.len();
        let mut record: Vec<String> = row
            .cells
            .iter()
            .map(|cell| escape_formula(cell).into_owned())
            .collect();
        let more = record.split_off(width.min(record.len()));
        record.resize(width, String::new());
        let reason = format!("line {}: {}", row.error.line, row.error.reason());
        record.push(escape_formula(&reason).into_owned());
        record.extend(more);
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.create()?,
        };
        let written = writer.write_record(&record);
        self.writer = Some(writer);
        written.map_err(|error| self.unwritable(error))
    }

    /// The path of the file. `None` if no row was rejected. The file is synced before it gets its name.
    pub fn finish(mut self) -> Result<Option<PathBuf>, RecipientsError> {
        let Some(writer) = self.writer.take() else {
            return Ok(None);
        };
        let file = writer
            .into_inner()
            .map_err(|error| self.unwritable(error))?;
        let renamed = file
            .sync_all()
            .and_then(|()| fs::rename(&self.temporary, &self.target));
        renamed.map_err(|error| self.unwritable(error))?;
        Ok(Some(self.target.clone()))
    }

    fn create(&self) -> Result<csv::Writer<File>, RecipientsError> {
        let file = File::create(&self.temporary).map_err(|error| self.unwritable(error))?;
        let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(file);
        let names = self
            .columns
            .iter()
            .map(|column| escape_formula(column).into_owned());
        writer
            .write_record(names.chain(["reason".to_string()]))
            .map_err(|error| self.unwritable(error))?;
        Ok(writer)
    }

    fn unwritable(&self, error: impl Display) -> RecipientsError {
        RecipientsError::Unwritable {
            path: self.target.display().to_string(),
            what: error.to_string(),
        }
    }
}

impl Drop for RejectedWriter {
    fn drop(&mut self) {
        // After the rename there is nothing to remove. Any other failure leaves a temporary file, which does no harm.
        let _ = fs::remove_file(&self.temporary);
    }
}
