//! The rows of a surveyed file, a chunk's at a time, without those that are in the queue already.

use crate::domain::ids::Row;
use crate::domain::recipient::RecipientRow;
use crate::recipients::{Options, RecipientsError, Rows, Survey, rows};
use std::collections::BTreeSet;
use std::iter::Peekable;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// Which rows of which file.
#[derive(Clone)]
pub struct Source {
    pub path: PathBuf,
    pub options: Options,
    pub survey: Arc<Survey>,
    pub shape: Shape,
    /// Batches that are in the queue already.
    pub done: BTreeSet<u64>,
}

/// How rows are cut into chunks and chunks into batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub rows: u64,
    pub chunk_rows: u64,
    /// A multiple of `chunk_rows`.
    pub batch_rows: u64,
}

impl Shape {
    /// Whatever a manifest says, nothing is divided by zero and a batch is of whole chunks.
    pub fn new(rows: u64, chunk_rows: u64, batch_rows: u64) -> Shape {
        let chunk_rows = chunk_rows.max(1);
        Shape {
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

    /// Rows in this batch and all before it.
    pub fn rows_through(&self, batch: u64) -> Row {
        let end = batch.saturating_add(1).saturating_mul(self.batch_rows);
        end.min(self.rows)
    }
}

impl Source {
    /// Rows from the first batch that is missing to the end of the file, whose bytes are compared there.
    pub fn chunks(&self) -> Result<ChunkRows<'_>, RecipientsError> {
        let first = (0..self.shape.batches()).find(|batch| !self.done.contains(batch));
        let start = first.map_or(self.shape.rows, |batch| batch * self.shape.batch_rows);
        let range: Range<Row> = start..self.shape.rows;
        Ok(ChunkRows {
            rows: rows(&self.path, &self.options, &self.survey, range)?.peekable(),
            shape: self.shape,
            done: &self.done,
        })
    }
}

/// A chunk's number and rows, in order.
pub struct ChunkRows<'a> {
    rows: Peekable<Rows<'a>>,
    shape: Shape,
    done: &'a BTreeSet<u64>,
}

impl ChunkRows<'_> {
    fn take(&mut self, chunk: u64) -> Result<Vec<RecipientRow>, RecipientsError> {
        let mut rows = Vec::new();
        let chunk_rows = self.shape.chunk_rows;
        let belongs = |row: &Result<RecipientRow, RecipientsError>| {
            row.as_ref()
                .map_or(true, |row| row.row / chunk_rows == chunk)
        };
        while let Some(row) = self.rows.next_if(belongs) {
            rows.push(row?);
        }
        Ok(rows)
    }
}

impl Iterator for ChunkRows<'_> {
    type Item = Result<(u64, Vec<RecipientRow>), RecipientsError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let chunk = match self.rows.peek()? {
                Ok(row) => row.row / self.shape.chunk_rows,
                Err(_) => 0,
            };
            match self.take(chunk) {
                Err(error) => return Some(Err(error)),
                Ok(_) if self.done.contains(&self.shape.batch_of_chunk(chunk)) => {}
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
        let shape = Shape::new(1201, 500, 1000);
        assert_eq!(shape.batches(), 2);
        assert_eq!([0, 1, 2].map(|c| shape.batch_of_chunk(c)), [0, 0, 1]);
        assert_eq!([0, 1, 9].map(|b| shape.rows_through(b)), [1000, 1201, 1201]);
        assert_eq!(Shape::new(0, 500, 1000).batches(), 0);
    }

    #[test]
    fn a_senseless_manifest_is_survived() {
        for (rows, chunk_rows, batch_rows) in [(9, 0, 0), (u64::MAX, 3, u64::MAX), (5, 7, 2)] {
            let shape = Shape::new(rows, chunk_rows, batch_rows);
            assert!(shape.chunk_rows > 0 && shape.batch_rows >= shape.chunk_rows);
            assert!(shape.rows_through(shape.batches()) == rows);
        }
    }
}
