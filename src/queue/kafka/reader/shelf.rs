//! Records that were read ahead of one cursor and kept when another was served: pure.

use crate::domain::ids::Offset;
use crate::queue::Stored;
use std::collections::VecDeque;

/// A record, or what is wrong with it.
pub(super) type Entry = (Offset, Result<Stored, String>);

/// Everything in `from..next`: offsets that are not here do not exist.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub from: Offset,
    pub next: Offset,
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Shelf {
    pub fn starting_at(from: Offset) -> Shelf {
        Shelf {
            from,
            next: from,
            ..Shelf::default()
        }
    }

    /// What comes next in the log. What is below the end was seen already.
    pub fn push(&mut self, entry: Entry) {
        if entry.0 >= self.next {
            self.next = entry.0 + 1;
            self.bytes += bytes(&entry);
            self.entries.push_back(entry);
        }
    }

    pub fn covers(&self, offset: Offset) -> bool {
        self.from <= offset && offset < self.next
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes what stands at or above an offset, at least one record if there is one, up to about so many bytes.
    /// A record that cannot be read is an error when it is the first. What lies below is forgotten.
    pub fn take(
        &mut self,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, (Offset, String)> {
        self.forget_below(from);
        let mut taken = Vec::new();
        let mut sum = 0;
        while let Some(entry) = self.entries.front() {
            sum += bytes(entry);
            if !taken.is_empty() && (sum > max_bytes || entry.1.is_err()) {
                break;
            }
            let Some((offset, stored)) = self.entries.pop_front() else {
                break;
            };
            match stored {
                Ok(stored) => {
                    self.bytes = self.bytes.saturating_sub(stored_bytes(&stored));
                    self.from = offset + 1;
                    taken.push(stored);
                }
                Err(what) => {
                    self.entries.push_front((offset, Err(what.clone())));
                    return Err((offset, what));
                }
            }
        }
        if self.entries.is_empty() {
            self.from = self.from.max(self.next);
        }
        Ok(taken)
    }

    fn forget_below(&mut self, from: Offset) {
        while self
            .entries
            .front()
            .is_some_and(|(offset, _)| *offset < from)
        {
            if let Some(entry) = self.entries.pop_front() {
                self.bytes = self.bytes.saturating_sub(bytes(&entry));
            }
        }
        self.from = self.from.max(from);
    }
}

fn bytes(entry: &Entry) -> usize {
    entry.1.as_ref().map_or(0, stored_bytes)
}

fn stored_bytes(stored: &Stored) -> usize {
    super::super::codec::bytes(&stored.record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Record;
    use std::time::SystemTime;

    fn entry(offset: Offset) -> Entry {
        let record = Record {
            payload: Some(vec![0; 900].into()),
            ..Record::default()
        };
        let stored = Stored {
            offset,
            appended_at: SystemTime::UNIX_EPOCH,
            record,
        };
        (offset, Ok(stored))
    }

    fn shelf(offsets: &[Offset]) -> Shelf {
        let mut shelf = Shelf::starting_at(offsets[0]);
        for offset in offsets {
            shelf.push(entry(*offset));
        }
        shelf
    }

    fn offsets(taken: &[Stored]) -> Vec<Offset> {
        taken.iter().map(|stored| stored.offset).collect()
    }

    #[test]
    fn records_are_taken_in_order_and_once() {
        let mut shelf = shelf(&[5, 6, 9]);
        assert_eq!(offsets(&shelf.take(5, 1).unwrap()), [5]);
        assert_eq!(shelf.bytes(), 2_000);
        assert!(!shelf.covers(5) && shelf.covers(6));
        assert_eq!(offsets(&shelf.take(6, 10_000).unwrap()), [6, 9]);
        assert_eq!((shelf.from, shelf.bytes()), (10, 0));
        assert!(shelf.is_empty() && !shelf.covers(9));
    }

    #[test]
    fn a_gap_belongs_to_the_shelf() {
        let mut shelf = shelf(&[5, 9]);
        assert!(shelf.covers(7));
        assert_eq!(offsets(&shelf.take(7, 1).unwrap()), [9]);
    }

    #[test]
    fn what_was_seen_is_not_taken_again() {
        let mut shelf = shelf(&[5, 6]);
        shelf.push(entry(5));
        assert_eq!(offsets(&shelf.take(0, 10_000).unwrap()), [5, 6]);
    }

    #[test]
    fn a_bad_record_ends_what_is_before_it_and_stays() {
        let mut shelf = shelf(&[5]);
        shelf.push((6, Err("its key is not UTF-8".to_string())));
        assert_eq!(offsets(&shelf.take(5, 10_000).unwrap()), [5]);
        for _ in 0..2 {
            assert_eq!(shelf.take(6, 10_000).unwrap_err().0, 6);
        }
        shelf.push(entry(7));
        assert_eq!(offsets(&shelf.take(7, 1).unwrap()), [7]);
    }
}
