//! The rows of a surveyed file, grouped by chunk, without the batches that are in the queue already.

use crate::domain::ids::Row;
use crate::domain::recipient::RecipientRow;
use crate::recipients::{Options, RecipientsError, Rows, Survey, rows};
use std::collections::BTreeSet;
use std::iter::Peekable;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// At most this many bytes of rows are in memory at once. A chunk with more is rendered in parts.
const MAX_ROWS_BYTES: usize = 4 << 20;

/// A surveyed file, and which of its rows to read.
#[derive(Clone)]
pub struct RowSource {
    pub path: PathBuf,
    pub options: Options,
    pub survey: Arc<Survey>,
    pub layout: BatchLayout,
    /// Batches that are in the queue already.
    pub done: BTreeSet<u64>,
}

/// How rows are divided into chunks, and chunks into batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLayout {
    pub rows: u64,
    pub chunk_rows: u64,
    /// A multiple of `chunk_rows`.
    pub batch_rows: u64,
}

impl BatchLayout {
    /// Corrects senseless numbers, because a manifest is not checked: no zero, and whole chunks in a batch.
    pub fn new(rows: u64, chunk_rows: u64, batch_rows: u64) -> BatchLayout {
        let chunk_rows = chunk_rows.max(1);
        BatchLayout {
            rows,
            chunk_rows,
            batch_rows: (batch_rows / chunk_rows).max(1).saturating_mul(chunk_rows),
        }
    }

    pub fn batches(&self) -> u64 {
        self.rows.div_ceil(self.batch_rows)
    }

    pub fn batch_of_chunk(&self, chunk: u64) -> u64 {
        chunk / (self.batch_rows / self.chunk_rows)
    }

    /// Number of rows in this batch and all before it.
    pub fn rows_through(&self, batch: u64) -> Row {
        let end = batch.saturating_add(1).saturating_mul(self.batch_rows);
        end.min(self.rows)
    }
}

impl RowSource {
    /// The rows from the first missing batch to the end of the file. At the end the file's fingerprint is compared.
    pub fn chunks(&self) -> Result<ChunkRows<'_>, RecipientsError> {
        let first = (0..self.layout.batches()).find(|batch| !self.done.contains(batch));
        let start = first.map_or(self.layout.rows, |batch| batch * self.layout.batch_rows);
        let range: Range<Row> = start..self.layout.rows;
        Ok(ChunkRows {
            rows: rows(&self.path, &self.options, &self.survey, range)?.peekable(),
            layout: self.layout,
            done: &self.done,
        })
    }
}

/// Iterates over (chunk number, rows). A chunk with huge rows comes in several parts.
pub struct ChunkRows<'a> {
    rows: Peekable<Rows<'a>>,
    layout: BatchLayout,
    done: &'a BTreeSet<u64>,
}

impl ChunkRows<'_> {
    /// The next rows of a chunk: all that remain, or fewer if they are huge.
    fn take(&mut self, chunk: u64) -> Result<Vec<RecipientRow>, RecipientsError> {
        let mut rows = Vec::new();
        let chunk_rows = self.layout.chunk_rows;
        let belongs = |row: &Result<RecipientRow, RecipientsError>| {
            row.as_ref()
                .map_or(true, |row| row.row / chunk_rows == chunk)
        };
        let mut bytes = 0;
        while bytes < MAX_ROWS_BYTES
            && let Some(row) = self.rows.next_if(belongs)
        {
            let row = row?;
            bytes += row.bytes();
            rows.push(row);
        }
        Ok(rows)
    }
}

impl Iterator for ChunkRows<'_> {
    type Item = Result<(u64, Vec<RecipientRow>), RecipientsError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Ok(next) = self.rows.peek()? else {
                return self.rows.next()?.err().map(Err);
            };
            let chunk = next.row / self.layout.chunk_rows;
            match self.take(chunk) {
                Err(error) => return Some(Err(error)),
                Ok(_) if self.done.contains(&self.layout.batch_of_chunk(chunk)) => {}
                Ok(rows) => return Some(Ok((chunk, rows))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_batch_ends_with_the_rows() {
        let layout = BatchLayout::new(1201, 500, 1000);
        assert_eq!(layout.batches(), 2);
        assert_eq!([0, 1, 2].map(|c| layout.batch_of_chunk(c)), [0, 0, 1]);
        assert_eq!(
            [0, 1, 9].map(|b| layout.rows_through(b)),
            [1000, 1201, 1201]
        );
        assert_eq!(BatchLayout::new(0, 500, 1000).batches(), 0);
    }

    #[test]
    fn corrects_the_numbers_of_a_senseless_manifest() {
        for (rows, chunk_rows, batch_rows) in [(9, 0, 0), (u64::MAX, 3, u64::MAX), (5, 7, 2)] {
            let layout = BatchLayout::new(rows, chunk_rows, batch_rows);
            assert!(layout.chunk_rows > 0 && layout.batch_rows >= layout.chunk_rows);
            assert!(layout.rows_through(layout.batches()) == rows);
        }
    }
}
