//! Records that librdkafka has read ahead of a cursor, kept while another cursor is served. No I/O.

use crate::domain::ids::Offset;
use crate::queue::Stored;
use crate::queue::kafka::codec;
use std::collections::VecDeque;

/// A record, or why it cannot be read.
pub(super) type Entry = (Offset, Result<Stored, String>);

/// A gapless part of a log. It covers `from..next`: an offset in this range that has no entry does not exist.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    pub from: Offset,
    pub next: Offset,
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl ReadAhead {
    pub fn starting_at(from: Offset) -> ReadAhead {
        ReadAhead {
            from,
            next: from,
            ..ReadAhead::default()
        }
    }

    /// Adds the next record of the log. Ignores a record below `next`: after a seek librdkafka may repeat records.
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

    /// Takes records at or above `from`: at least one if there is one, up to about `max_bytes`. Drops records below
    /// `from`. Errors: the first record cannot be read; it stays.
    pub fn take(
        &mut self,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, (Offset, String)> {
        self.drop_below(from);
        let mut taken = Vec::new();
        let mut sum = 0;
        while let Some(entry) = self.entries.front() {
            sum += bytes(entry);
            if !taken.is_empty() && (sum > max_bytes || entry.1.is_err()) {
                break;
            }
            if let (offset, Err(why)) = entry {
                return Err((*offset, why.clone()));
            }
            if let Some((offset, Ok(stored))) = self.entries.pop_front() {
                self.bytes = self.bytes.saturating_sub(stored_bytes(&stored));
                self.from = offset + 1;
                taken.push(stored);
            }
        }
        if self.entries.is_empty() {
            self.from = self.from.max(self.next);
        }
        Ok(taken)
    }

    fn drop_below(&mut self, from: Offset) {
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
    codec::bytes(&stored.record)
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

    fn read_ahead(offsets: &[Offset]) -> ReadAhead {
        let mut ahead = ReadAhead::starting_at(offsets[0]);
        for offset in offsets {
            ahead.push(entry(*offset));
        }
        ahead
    }

    fn offsets(taken: &[Stored]) -> Vec<Offset> {
        taken.iter().map(|stored| stored.offset).collect()
    }

    #[test]
    fn records_are_taken_in_order_and_once() {
        let mut ahead = read_ahead(&[5, 6, 9]);
        assert_eq!(offsets(&ahead.take(5, 1).unwrap()), [5]);
        assert_eq!(ahead.bytes(), 2_000);
        assert!(!ahead.covers(5) && ahead.covers(6));
        assert_eq!(offsets(&ahead.take(6, 10_000).unwrap()), [6, 9]);
        assert_eq!((ahead.from, ahead.bytes()), (10, 0));
        assert!(ahead.is_empty() && !ahead.covers(9));
    }

    #[test]
    fn a_gap_in_the_log_is_covered() {
        let mut ahead = read_ahead(&[5, 9]);
        assert!(ahead.covers(7));
        assert_eq!(offsets(&ahead.take(7, 1).unwrap()), [9]);
    }

    #[test]
    fn a_repeated_record_is_ignored() {
        let mut ahead = read_ahead(&[5, 6]);
        ahead.push(entry(5));
        assert_eq!(offsets(&ahead.take(0, 10_000).unwrap()), [5, 6]);
    }

    #[test]
    fn an_unreadable_record_ends_a_read_and_stays() {
        let mut ahead = read_ahead(&[5]);
        ahead.push((6, Err("its key is not UTF-8".to_string())));
        assert_eq!(offsets(&ahead.take(5, 10_000).unwrap()), [5]);
        for _ in 0..2 {
            assert_eq!(ahead.take(6, 10_000).unwrap_err().0, 6);
        }
        ahead.push(entry(7));
        assert_eq!(offsets(&ahead.take(7, 1).unwrap()), [7]);
    }
}
