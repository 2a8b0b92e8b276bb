//! One partition's log in memory: everything that ever landed, and which of it is still there.

use mailq::domain::ids::Offset;
use mailq::queue::{Bounds, Record, Stored};
use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

/// An offset is an index into `landed`: nothing is ever removed from there, so that a simulation can count it.
#[derive(Debug, Default)]
pub(super) struct PartitionLog {
    landed: Vec<Stored>,
    compacted: BTreeSet<Offset>,
    low_watermark: Offset,
}

impl PartitionLog {
    pub fn bounds(&self) -> Bounds {
        Bounds {
            low_watermark: self.low_watermark,
            end: self.landed.len() as Offset,
        }
    }

    pub fn land(&mut self, appended_at: SystemTime, record: Record) -> Offset {
        let offset = self.landed.len() as Offset;
        self.landed.push(Stored {
            offset,
            appended_at,
            record,
        });
        offset
    }

    pub fn ever_landed(&self) -> &[Stored] {
        &self.landed
    }

    /// What can be read at or above an offset.
    pub fn standing(&self, from: Offset) -> impl Iterator<Item = &Stored> {
        let first = usize::try_from(from.max(self.low_watermark)).unwrap_or(usize::MAX);
        self.landed
            .iter()
            .skip(first)
            .filter(|stored| !self.compacted.contains(&stored.offset))
    }

    /// At least one record if there is one, then as many more as fit.
    pub fn read(&self, from: Offset, max_bytes: usize, max_count: usize) -> Vec<Stored> {
        let mut bytes = 0;
        let mut found = Vec::new();
        for stored in self.standing(from) {
            bytes += size_bytes(&stored.record);
            if !found.is_empty() && (bytes > max_bytes || found.len() >= max_count) {
                break;
            }
            found.push(stored.clone());
        }
        found
    }

    pub fn drop_below(&mut self, offset: Offset) {
        let bounds = self.bounds();
        self.low_watermark = offset.clamp(bounds.low_watermark, bounds.end);
    }

    /// Of the records below `point` with the same key only the last stays; records without a key all stay.
    pub fn compact(&mut self, point: Offset) {
        let mut last = BTreeMap::new();
        let mut gone = Vec::new();
        for stored in self
            .standing(self.low_watermark)
            .take_while(|s| s.offset < point)
        {
            if let Some(key) = &stored.record.key {
                gone.extend(last.insert(key.clone(), stored.offset));
            }
        }
        self.compacted.extend(gone);
    }
}

pub(super) fn size_bytes(record: &Record) -> usize {
    let headers: usize = record
        .headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    record.key.as_ref().map_or(0, String::len)
        + headers
        + record.payload.as_ref().map_or(0, bytes::Bytes::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn log_of(keys: &[Option<&str>]) -> PartitionLog {
        let mut log = PartitionLog::default();
        for key in keys {
            let record = Record {
                key: key.map(str::to_owned),
                headers: Vec::new(),
                payload: Some(Bytes::from_static(b"12345")),
            };
            log.land(SystemTime::UNIX_EPOCH, record);
        }
        log
    }

    fn offsets(records: &[Stored]) -> Vec<Offset> {
        records.iter().map(|stored| stored.offset).collect()
    }

    #[test]
    fn compaction_keeps_the_last_of_each_key_below_the_point() {
        let mut log = log_of(&[Some("a"), None, Some("b"), Some("a"), None, Some("a")]);
        log.compact(4);
        assert_eq!(
            offsets(&log.read(0, usize::MAX, usize::MAX)),
            [1, 2, 3, 4, 5]
        );
        log.compact(6);
        assert_eq!(offsets(&log.read(0, usize::MAX, usize::MAX)), [1, 2, 4, 5]);
        assert_eq!(log.ever_landed().len(), 6);
    }

    #[test]
    fn reads_at_least_one_record_within_its_limits() {
        let log = log_of(&[None; 5]);
        assert_eq!(offsets(&log.read(1, 0, 9)), [1]);
        assert_eq!(offsets(&log.read(1, 10, 9)), [1, 2]);
        assert_eq!(offsets(&log.read(1, 14, 9)), [1, 2]);
        assert_eq!(offsets(&log.read(1, 15, 9)), [1, 2, 3]);
        assert_eq!(offsets(&log.read(1, 99, 2)), [1, 2]);
        assert!(log.read(5, 99, 9).is_empty());
        assert!(log.read(u64::MAX, 99, 9).is_empty());
    }

    #[test]
    fn dropping_never_goes_back_and_never_beyond_the_end() {
        let mut log = log_of(&[None; 5]);
        log.drop_below(3);
        log.drop_below(1);
        assert_eq!(
            log.bounds(),
            Bounds {
                low_watermark: 3,
                end: 5
            }
        );
        log.drop_below(100);
        assert_eq!(
            log.bounds(),
            Bounds {
                low_watermark: 5,
                end: 5
            }
        );
    }
}
