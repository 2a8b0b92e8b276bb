//! Histories in a temporary file, for those who look recipients up one by one. Memory holds one block of the file, and
//! of every block the first recipient.

use super::error::AccountError;
use super::fact::RecipientKey;
use super::history::History;
use super::sorter::{Sorted, read_entry, write_entry};
use super::temporary_file::{Span, TemporaryFile};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// At least so many bytes are read at once; a block ends where a recipient's entries do.
const BLOCK_BYTES: u64 = 32 * 1024;

pub struct HistoryFile {
    folder: PathBuf,
    file: TemporaryFile,
    blocks: Vec<(RecipientKey, Span)>,
    /// Index of the block that is in memory.
    loaded: Option<usize>,
    block: Vec<u8>,
    /// Where the entries after the last recipient that was looked up begin.
    next: usize,
    history: History,
    entry: Vec<u8>,
}

impl HistoryFile {
    pub(super) fn write(mut sorted: Sorted, folder: &Path) -> io::Result<HistoryFile> {
        let mut file = TemporaryFile::new(folder);
        let mut blocks = Vec::new();
        while let Some(first) = sorted.entry().map(key) {
            let first = first?;
            let mut block = file.append()?;
            let (mut last, mut bytes) = (first, 0);
            while let Some(entry) = sorted.entry() {
                let key = key(entry)?;
                if key != last && bytes >= BLOCK_BYTES {
                    break;
                }
                (last, bytes) = (key, bytes + entry.len() as u64);
                write_entry(&mut block, entry)?;
                sorted.advance()?;
            }
            blocks.push((first, block.finish()?));
        }
        Ok(HistoryFile {
            folder: folder.to_path_buf(),
            file,
            blocks,
            loaded: None,
            block: Vec::new(),
            next: 0,
            history: History::default(),
            entry: Vec::new(),
        })
    }

    /// Everything that is known of a recipient. Cheap where recipients are asked for in order.
    pub fn get(&mut self, wanted: RecipientKey) -> Result<&History, AccountError> {
        match self.find(wanted) {
            Ok(()) => Ok(&self.history),
            Err(error) => Err(AccountError::scratch(&self.folder, error)),
        }
    }

    fn find(&mut self, wanted: RecipientKey) -> io::Result<()> {
        let index = self.blocks.partition_point(|(first, _)| *first <= wanted);
        let Some(index) = index.checked_sub(1) else {
            self.history.begin(wanted);
            // The next lookup compares with this key, so it would go on behind entries that it needs.
            self.next = 0;
            return Ok(());
        };
        if self.loaded != Some(index) {
            self.load(index)?;
        } else if wanted <= self.history.key {
            self.next = 0;
        }
        self.history.begin(wanted);
        let mut rest = self.block.get(self.next..).unwrap_or_default();
        loop {
            let before = rest.len();
            if !read_entry(&mut rest, &mut self.entry)? {
                break;
            }
            let key = key(&self.entry)?;
            if key > wanted {
                break;
            }
            self.next += before - rest.len();
            if key == wanted {
                self.history.add(&self.entry)?;
            }
        }
        Ok(())
    }

    fn load(&mut self, index: usize) -> io::Result<()> {
        self.loaded = None;
        let (_, span) = self.blocks.get(index).ok_or(io::ErrorKind::InvalidInput)?;
        self.block.clear();
        self.file.read(*span)?.read_to_end(&mut self.block)?;
        (self.loaded, self.next) = (Some(index), 0);
        Ok(())
    }

    /// Every recipient of whom something is known, in order.
    pub fn each(
        &mut self,
        out: &mut dyn FnMut(&History) -> Result<(), AccountError>,
    ) -> Result<(), AccountError> {
        let mut history = History::default();
        for index in 0..self.blocks.len() {
            let loaded = self.load(index);
            loaded.map_err(|error| AccountError::scratch(&self.folder, error))?;
            let mut rest = self.block.as_slice();
            let mut take = |history: &mut History| take(&mut rest, &mut self.entry, history);
            while take(&mut history).map_err(|error| AccountError::scratch(&self.folder, error))? {
                out(&history)?;
            }
        }
        Ok(())
    }
}

/// Takes the entries of the next recipient of a block. `false`: there is none.
fn take(block: &mut &[u8], entry: &mut Vec<u8>, history: &mut History) -> io::Result<bool> {
    let mut next = *block;
    if !read_entry(&mut next, entry)? {
        return Ok(false);
    }
    history.begin(key(entry)?);
    while key(entry)? == history.key {
        history.add(entry)?;
        *block = next;
        if !read_entry(&mut next, entry)? {
            break;
        }
    }
    Ok(true)
}

fn key(entry: &[u8]) -> io::Result<RecipientKey> {
    RecipientKey::of(entry).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::read_model::fact::Fact;
    use crate::engine::read_model::sorter::Sorter;

    #[test]
    fn recipients_are_found_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(folder.path());
        let mut entry = Vec::new();
        // Every third row from 300 on is known, each by three facts; together they are many blocks.
        for row in (300..30_000).step_by(3) {
            for hop in 0..3 {
                let fact = Fact::Copied {
                    round: row as u32,
                    hop,
                };
                fact.encode(RecipientKey::new(0, row), &mut entry);
                sorter.push(&entry).unwrap();
            }
        }
        let mut file = HistoryFile::write(sorter.finish().unwrap(), folder.path()).unwrap();
        assert!(file.blocks.len() > 10);
        let mut random = fastrand::Rng::with_seed(7);
        let ascending = (0..30_010).chain((0..2_000).map(|_| random.u64(0..30_010)));
        // A row before all others, between two of the first block.
        for row in ascending.chain([900, 0, 303]) {
            let history = file.get(RecipientKey::new(0, row)).unwrap();
            let is_known = row % 3 == 0 && (300..30_000).contains(&row);
            let known = if is_known { 3 } else { 0 };
            assert_eq!(history.facts().count(), known, "{row}");
            assert!(
                history.facts().all(
                    |fact| matches!(fact, Fact::Copied { round, .. } if u64::from(round) == row)
                )
            );
        }
        let mut found = 300;
        file.each(&mut |history| {
            assert_eq!((history.key.row(), history.facts().count()), (found, 3));
            found += 3;
            Ok(())
        })
        .unwrap();
        assert_eq!(found, 30_000);
    }
}
