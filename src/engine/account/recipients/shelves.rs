//! Entries sorted by ranges of rows into temporary files, so that they can be read back in row order.

use super::fold::Fold;
use crate::domain::event::{Event, EventType};
use crate::domain::ids::Row;
use crate::engine::read_model::AccountError;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Files at a time.
const FILES: u64 = 64;
/// A file for fewer rows is not worth it.
const LEAST_ROWS: u64 = 10_000;

/// One thing that is known of one row.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    pub row: Row,
    pub rank: (u32, u32, u64),
    pub kind: Kind,
    pub is_final: bool,
    pub address: String,
    pub reply: Option<String>,
    pub when: Option<String>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Kind {
    Event(EventType),
    Pending,
    Retrying,
    Moving,
}

impl Entry {
    pub fn event(event: Event) -> Entry {
        Entry {
            row: event.payload.row,
            rank: event.rank(),
            kind: Kind::Event(event.header.event_type),
            is_final: event.payload.is_final,
            address: event.payload.address,
            reply: event.payload.reply,
            when: Some(event.header.timestamp),
        }
    }
}

/// Removed when dropped.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Debug)]
pub(super) struct Shelves {
    folder: Folder,
    rows: u64,
    rows_each: u64,
    files: Vec<BufWriter<File>>,
}

impl Shelves {
    pub fn new(scratch: &Path, rows: u64) -> Result<Shelves, AccountError> {
        let name = format!("recipients-{}-{:x}", std::process::id(), fastrand::u64(..));
        let folder = Folder(scratch.join(name));
        fs::create_dir_all(&folder.0).map_err(|error| failed(&folder.0, error))?;
        let rows_each = rows.div_ceil(FILES).max(LEAST_ROWS);
        let files = (0..rows.div_ceil(rows_each))
            .map(|index| {
                let path = path(&folder.0, index);
                let file = File::create(&path).map_err(|error| failed(&path, error))?;
                Ok(BufWriter::new(file))
            })
            .collect::<Result<_, AccountError>>()?;
        Ok(Shelves {
            folder,
            rows,
            rows_each,
            files,
        })
    }

    /// An entry of a row that the run does not have is left out.
    pub fn put(&mut self, entry: &Entry) -> Result<(), AccountError> {
        let index = usize::try_from(entry.row / self.rows_each).unwrap_or(usize::MAX);
        let Some(file) = self.files.get_mut(index).filter(|_| entry.row < self.rows) else {
            return Ok(());
        };
        let json = serde_json::to_vec(entry)?;
        let wrote = file.write_all(&json).and_then(|()| file.write_all(b"\n"));
        wrote.map_err(|error| failed(&self.folder.0, error))
    }

    /// The files in row order. They are there until the last of them is dropped.
    pub fn finish(mut self) -> Result<impl Iterator<Item = Shelf>, AccountError> {
        for file in &mut self.files {
            file.flush()
                .map_err(|error| failed(&self.folder.0, error))?;
        }
        let (rows, each, folder) = (self.rows, self.rows_each, std::rc::Rc::new(self.folder));
        Ok((0..rows.div_ceil(each)).map(move |index| Shelf {
            folder: folder.clone(),
            index,
            first: index * each,
            end: (index * each + each).min(rows),
        }))
    }
}

/// The entries of one range of rows.
pub(super) struct Shelf {
    folder: std::rc::Rc<Folder>,
    index: u64,
    first: Row,
    end: Row,
}

impl Shelf {
    /// Every row of the range, entries or not.
    pub fn read(&self) -> Result<impl Iterator<Item = (Row, Fold)>, AccountError> {
        let path = path(&self.folder.0, self.index);
        let file = File::open(&path).map_err(|error| failed(&path, error))?;
        let count = usize::try_from(self.end - self.first).unwrap_or(0);
        let mut folds = vec![Fold::default(); count];
        for line in BufReader::new(file).lines() {
            let line = line.map_err(|error| failed(&path, error))?;
            let entry: Entry = serde_json::from_str(&line)?;
            let position = entry.row.checked_sub(self.first);
            let position = position.and_then(|position| usize::try_from(position).ok());
            if let Some(fold) = position.and_then(|position| folds.get_mut(position)) {
                fold.add(entry);
            }
        }
        Ok((self.first..self.end).zip(folds))
    }
}

fn path(folder: &Path, index: u64) -> PathBuf {
    folder.join(format!("{index}.jsonl"))
}

fn failed(path: &Path, error: std::io::Error) -> AccountError {
    AccountError::Scratch {
        path: path.display().to_string(),
        error,
    }
}
