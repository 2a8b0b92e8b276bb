//! Sorts more entries than memory holds. A full buffer becomes a sorted run in a temporary file, and the runs are merged
//! as they are read back. Memory stays the same whatever the number of entries; few entries never touch the disk.

use super::temporary_file::{Bytes, Span, TemporaryFile};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

/// Entries and their places in memory before they become a run.
const BUFFER_BYTES: usize = 6 * 1024 * 1024;
/// Runs that are merged at once, and runs of one level that become one of the next.
const FAN_IN: usize = 128;
/// Of each run that is merged: 4 MB for all of them.
const READ_BYTES: usize = 32 * 1024;

/// Takes entries in any order. They are compared byte by byte, so that numbers in them must be big-endian.
pub struct Sorter {
    buffer: Buffer,
    buffer_bytes: usize,
    fan_in: usize,
    file: TemporaryFile,
    /// Those of level 0 are one buffer long, those of level n `fan_in` times as long as those of level n - 1.
    levels: Vec<Vec<Span>>,
}

impl Sorter {
    /// `folder`: where the temporary file is made, if one is needed.
    pub fn new(folder: &Path) -> Sorter {
        Sorter::with_limits(folder, BUFFER_BYTES, FAN_IN)
    }

    fn with_limits(folder: &Path, buffer_bytes: usize, fan_in: usize) -> Sorter {
        Sorter {
            buffer: Buffer::default(),
            buffer_bytes,
            fan_in,
            file: TemporaryFile::new(folder),
            levels: Vec::new(),
        }
    }

    pub fn push(&mut self, entry: &[u8]) -> io::Result<()> {
        self.buffer.push(entry)?;
        match self.buffer.size_bytes() >= self.buffer_bytes {
            true => self.spill(),
            false => Ok(()),
        }
    }

    /// All entries in ascending order, each of several equal ones.
    pub fn finish(mut self) -> io::Result<Sorted> {
        if self.levels.is_empty() {
            self.buffer.sort();
            let next = 0;
            let buffer = self.buffer;
            return Ok(Sorted::Buffer { buffer, next });
        }
        self.spill()?;
        let runs: Vec<Span> = self.levels.concat();
        Ok(Sorted::Merge(Merge::new(&mut self.file, &runs)?))
    }

    fn spill(&mut self) -> io::Result<()> {
        if self.buffer.places.is_empty() {
            return Ok(());
        }
        self.buffer.sort();
        let mut run = self.file.append()?;
        for index in 0..self.buffer.places.len() {
            write_entry(&mut run, self.buffer.get(index).unwrap_or_default())?;
        }
        let run = run.finish()?;
        self.buffer.clear();
        self.add(0, run)
    }

    fn add(&mut self, level: usize, run: Span) -> io::Result<()> {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        let Some(runs) = self.levels.get_mut(level) else {
            return Ok(());
        };
        runs.push(run);
        if runs.len() < self.fan_in {
            return Ok(());
        }
        let runs = std::mem::take(runs);
        let mut merge = Merge::new(&mut self.file, &runs)?;
        let mut longer = self.file.append()?;
        while let Some(entry) = merge.entry() {
            write_entry(&mut longer, entry)?;
            merge.advance()?;
        }
        let longer = longer.finish()?;
        self.add(level + 1, longer)
    }
}

/// The entries in ascending order.
pub enum Sorted {
    Buffer { buffer: Buffer, next: usize },
    Merge(Merge),
}

impl Sorted {
    /// The entry that is next, until [`Sorted::advance`]; `None`: all were given.
    pub fn entry(&self) -> Option<&[u8]> {
        match self {
            Sorted::Buffer { buffer, next } => buffer.get(*next),
            Sorted::Merge(merge) => merge.entry(),
        }
    }

    pub fn advance(&mut self) -> io::Result<()> {
        match self {
            Sorted::Buffer { next, .. } => *next += 1,
            Sorted::Merge(merge) => merge.advance()?,
        }
        Ok(())
    }
}

#[derive(Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

/// Where an entry stands in the buffer. Most comparisons are decided by the first bytes, which are kept here.
struct Place {
    prefix: u64,
    start: u32,
    length: u32,
}

impl Buffer {
    fn push(&mut self, entry: &[u8]) -> io::Result<()> {
        let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
        let mut prefix = [0; 8];
        for (to, from) in prefix.iter_mut().zip(entry) {
            *to = *from;
        }
        self.places.push(Place {
            prefix: u64::from_be_bytes(prefix),
            start: u32::try_from(self.bytes.len()).map_err(too_large)?,
            length: u32::try_from(entry.len()).map_err(too_large)?,
        });
        self.bytes.extend_from_slice(entry);
        Ok(())
    }

    fn size_bytes(&self) -> usize {
        self.bytes.len() + self.places.len() * size_of::<Place>()
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.places.sort_unstable_by(|one, other| {
            let by_prefix = one.prefix.cmp(&other.prefix);
            by_prefix.then_with(|| one.entry(bytes).cmp(other.entry(bytes)))
        });
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        self.places.get(index).map(|place| place.entry(&self.bytes))
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
    }
}

impl Place {
    fn entry<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        let start = self.start as usize;
        let range = start..start + self.length as usize;
        bytes.get(range).unwrap_or_default()
    }
}

/// Several runs, read as one.
pub struct Merge {
    heads: BinaryHeap<Head>,
}

/// The next entry of a run.
struct Head {
    entry: Vec<u8>,
    rest: BufReader<Bytes>,
}

impl Merge {
    fn new(file: &mut TemporaryFile, runs: &[Span]) -> io::Result<Merge> {
        let mut heads = BinaryHeap::with_capacity(runs.len());
        for run in runs {
            let mut head = Head {
                entry: Vec::new(),
                rest: BufReader::with_capacity(READ_BYTES, file.read(*run)?),
            };
            if read_entry(&mut head.rest, &mut head.entry)? {
                heads.push(head);
            }
        }
        Ok(Merge { heads })
    }

    fn entry(&self) -> Option<&[u8]> {
        self.heads.peek().map(|head| head.entry.as_slice())
    }

    fn advance(&mut self) -> io::Result<()> {
        if let Some(mut first) = self.heads.peek_mut() {
            let head = &mut *first;
            if !read_entry(&mut head.rest, &mut head.entry)? {
                PeekMut::pop(first);
            }
        }
        Ok(())
    }
}

/// Heaps give the greatest first: that is the head with the smallest entry.
impl Ord for Head {
    fn cmp(&self, other: &Head) -> Ordering {
        other.entry.cmp(&self.entry)
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Head) -> bool {
        self.entry == other.entry
    }
}

impl Eq for Head {}

/// An entry stands after its length.
pub fn write_entry(out: &mut impl Write, entry: &[u8]) -> io::Result<()> {
    let length = u32::try_from(entry.len());
    let length = length.map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(entry)
}

/// `false`: there is none any more.
pub fn read_entry(from: &mut impl Read, entry: &mut Vec<u8>) -> io::Result<bool> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        other => other?,
    }
    entry.resize(u32::from_le_bytes(length) as usize, 0);
    from.read_exact(entry)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(mut sorter: Sorter, entries: &[Vec<u8>]) -> Vec<Vec<u8>> {
        for entry in entries {
            sorter.push(entry).unwrap();
        }
        let mut sorted = sorter.finish().unwrap();
        let mut found = Vec::new();
        while let Some(entry) = sorted.entry() {
            found.push(entry.to_vec());
            sorted.advance().unwrap();
        }
        found
    }

    proptest! {
        #[test]
        fn gives_what_it_was_given_in_order(
            mut entries in prop::collection::vec(prop::collection::vec(0u8..4, 0..12), 0..300),
            buffer_bytes in 1usize..400,
            fan_in in 2usize..5,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let on_disk = Sorter::with_limits(folder.path(), buffer_bytes, fan_in);
            let in_memory = Sorter::new(folder.path());
            let (on_disk, in_memory) = (sorted(on_disk, &entries), sorted(in_memory, &entries));
            entries.sort();
            prop_assert_eq!(&on_disk, &entries);
            prop_assert_eq!(&in_memory, &entries);
        }
    }
}
