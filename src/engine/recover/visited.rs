//! The messages of the chunks that were read, on disk: there may be as many as the list has rows.

use super::stay::Stay;
use crate::engine::read_model::AccountError;
use crate::engine::read_model::fact::RecipientKey;
use crate::engine::read_model::sorter::{Sorted, Sorter};
use std::io;
use std::path::{Path, PathBuf};

pub struct Visited {
    sorter: Sorter,
    folder: PathBuf,
}

impl Visited {
    pub fn new(folder: &Path) -> Visited {
        Visited {
            sorter: Sorter::new(folder),
            folder: folder.to_path_buf(),
        }
    }

    pub fn add(&mut self, recipient: RecipientKey, stay: Stay) -> Result<(), AccountError> {
        let mut entry = [0; 16];
        let parts = [
            &recipient.bytes()[..],
            &stay.round.to_be_bytes(),
            &stay.hop.to_be_bytes(),
        ];
        for (to, from) in entry.iter_mut().zip(parts.concat()) {
            *to = from;
        }
        let pushed = self.sorter.push(&entry);
        pushed.map_err(|error| AccountError::scratch(&self.folder, error))
    }

    pub fn finish(self) -> Result<VisitedInOrder, AccountError> {
        let sorted = self.sorter.finish();
        Ok(VisitedInOrder {
            sorted: sorted.map_err(|error| AccountError::scratch(&self.folder, error))?,
            folder: self.folder,
            recipient: None,
            stays: Vec::new(),
        })
    }
}

/// Answers for recipients in ascending order.
pub struct VisitedInOrder {
    sorted: Sorted,
    folder: PathBuf,
    recipient: Option<RecipientKey>,
    stays: Vec<Stay>,
}

impl VisitedInOrder {
    /// Whether the message was in a chunk at this place. `recipient`: not below those that were asked for before.
    pub fn has(&mut self, recipient: RecipientKey, stay: Stay) -> Result<bool, AccountError> {
        if self.recipient != Some(recipient) {
            self.recipient = Some(recipient);
            self.stays.clear();
            self.read(recipient)
                .map_err(|error| AccountError::scratch(&self.folder, error))?;
        }
        Ok(self.stays.contains(&stay))
    }

    fn read(&mut self, wanted: RecipientKey) -> io::Result<()> {
        while let Some(entry) = self.sorted.entry() {
            let (recipient, stay) = decode(entry).ok_or(io::ErrorKind::InvalidData)?;
            if recipient > wanted {
                break;
            }
            if recipient == wanted {
                self.stays.push(stay);
            }
            self.sorted.advance()?;
        }
        Ok(())
    }
}

fn decode(entry: &[u8]) -> Option<(RecipientKey, Stay)> {
    let recipient = RecipientKey::of(entry)?;
    let (round, rest) = entry.get(8..)?.split_first_chunk::<4>()?;
    let stay = Stay {
        round: u32::from_be_bytes(*round),
        hop: u32::from_be_bytes(*rest.first_chunk::<4>()?),
    };
    Some((recipient, stay))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_in_the_order_of_recipients() {
        let folder = tempfile::tempdir().unwrap();
        let mut visited = Visited::new(folder.path());
        let stay = |hop| Stay { round: 1, hop };
        for (row, hop) in [(9, 0), (2, 3), (2, 0), (4, 1)] {
            visited.add(RecipientKey::new(0, row), stay(hop)).unwrap();
        }
        let mut visited = visited.finish().unwrap();
        for (row, hop, is_there) in [
            (0, 0, false),
            (2, 0, true),
            (2, 1, false),
            (2, 3, true),
            (5, 1, false),
            (9, 0, true),
            (10, 0, false),
        ] {
            let found = visited.has(RecipientKey::new(0, row), stay(hop)).unwrap();
            assert_eq!(found, is_there, "{row} {hop}");
        }
    }
}
