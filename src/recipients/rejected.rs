//! `<stem>.rejected.csv`: the rows that `--skip-invalid` left out, for a person to fix and enqueue. They are as in the
//! list, byte for byte, so nothing is escaped for spreadsheet programs.

use super::error::RecipientsError;
use super::raw_row::{Frame, RejectedRow, quote_cell, without_line_end};
use crate::private_file;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// `lists/spring.csv` → `lists/spring.rejected.csv`.
pub fn rejected_path(recipients: &Path) -> PathBuf {
    recipients.with_extension("rejected.csv")
}

/// Writes a temporary file and renames it when it is complete. Dropped before that, it removes the temporary file.
pub struct RejectedWriter {
    target: PathBuf,
    temporary: PathBuf,
    writer: Option<BufWriter<File>>,
}

impl RejectedWriter {
    /// `recipients`: the file that the rows come from. No file is created before the first row.
    pub fn new(recipients: &Path) -> RejectedWriter {
        let target = rejected_path(recipients);
        let temporary = target.with_extension(format!("csv.{}.tmp", std::process::id()));
        RejectedWriter {
            target,
            temporary,
            writer: None,
        }
    }

    /// Writes the row with the reason behind its last cell. `frame`: of the list.
    pub fn write(&mut self, row: &RejectedRow, frame: &Frame) -> Result<(), RecipientsError> {
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.create(frame).map_err(|error| self.unwritable(error))?,
        };
        let reason = format!("line {}: {}", row.error.line, row.error.reason());
        let mut line = row.raw.clone();
        line.push(frame.delimiter);
        quote_cell(reason.as_bytes(), &mut line);
        line.extend_from_slice(line_end(frame));
        let written = writer.write_all(&line);
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

    /// The file with the beginning of the list and its header row.
    fn create(&self, frame: &Frame) -> std::io::Result<BufWriter<File>> {
        let mut start = Vec::new();
        if frame.has_mark {
            start.extend_from_slice("\u{FEFF}".as_bytes());
        }
        if frame.has_sep_line {
            start.extend_from_slice(b"sep=");
            start.push(frame.delimiter);
            start.extend_from_slice(line_end(frame));
        }
        start.extend_from_slice(without_line_end(&frame.header));
        start.push(frame.delimiter);
        start.extend_from_slice(frame.reason.as_bytes());
        start.extend_from_slice(line_end(frame));
        let mut writer = BufWriter::new(private_file::create(&self.temporary)?);
        writer.write_all(&start)?;
        Ok(writer)
    }

    fn unwritable(&self, error: impl Display) -> RecipientsError {
        RecipientsError::Unwritable {
            path: self.target.display().to_string(),
            what: error.to_string(),
        }
    }
}

fn line_end(frame: &Frame) -> &'static [u8] {
    match frame.header.ends_with(b"\r\n") {
        true => b"\r\n",
        false => b"\n",
    }
}

impl Drop for RejectedWriter {
    fn drop(&mut self) {
        // After the rename there is nothing to remove. Any other failure leaves a temporary file, which does no harm.
        let _ = fs::remove_file(&self.temporary);
    }
}
