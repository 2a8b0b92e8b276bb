//! Appends chunks to the send topic: to all partitions in parallel, to each one record at a time. A failed append may
//! still arrive late. If the next one were in flight by then, readers would see its higher rows first, and skip the
//! lower ones as copies.

use super::queue_retry::{QueueTimeout, is_transient};
use crate::domain::ids::{Offset, Partition};
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::{Queue, QueueError, Record};
use futures_util::future::{FutureExt, LocalBoxFuture};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;

/// Limit of bytes in flight to all partitions together.
const MAX_IN_FLIGHT_BYTES: usize = 8 << 20;

/// A finished append.
struct Appended {
    partition: Partition,
    bytes: usize,
    result: Result<Offset, QueueError>,
}

/// The appends of one run.
pub struct ChunkAppender<'a> {
    queue: &'a dyn Queue,
    queue_timeout: QueueTimeout,
    partitions: NonZero<Partition>,
    in_flight: FuturesUnordered<LocalBoxFuture<'a, Appended>>,
    in_flight_bytes: usize,
    /// Partitions with an append in flight.
    busy: BTreeSet<Partition>,
    /// Highest acknowledged offset of each partition.
    last: BTreeMap<Partition, Offset>,
}

impl<'a> ChunkAppender<'a> {
    pub fn new(
        queue: &'a dyn Queue,
        queue_timeout: QueueTimeout,
        partitions: NonZero<Partition>,
    ) -> ChunkAppender<'a> {
        ChunkAppender {
            queue,
            queue_timeout,
            partitions,
            in_flight: FuturesUnordered::new(),
            in_flight_bytes: 0,
            busy: BTreeSet::new(),
            last: BTreeMap::new(),
        }
    }

    pub fn partitions(&self) -> NonZero<Partition> {
        self.partitions
    }

    /// Highest acknowledged offset of each partition.
    pub fn last(&self) -> Vec<Option<Offset>> {
        let partitions = 0..self.partitions.get();
        partitions
            .map(|partition| self.last.get(&partition).copied())
            .collect()
    }

    /// Takes over the last offsets of a batch that an earlier call or another process wrote.
    pub fn raise(&mut self, last: &[Option<Offset>]) {
        for (partition, offset) in (0..).zip(last) {
            if let Some(offset) = offset {
                self.raise_one(partition, *offset);
            }
        }
    }

    pub fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Waits until the partition and the memory limit allow it, then starts an append. [`ChunkAppender::finish_one`]
    /// drives it.
    pub async fn append(&mut self, partition: Partition, record: Record) -> Result<(), QueueError> {
        while !self.has_room(partition, &record) {
            self.finish_one().await?;
        }
        self.busy.insert(partition);
        self.in_flight_bytes += payload_bytes(&record);
        let appended = append(self.queue, self.queue_timeout, partition, record);
        self.in_flight.push(appended.boxed_local());
        Ok(())
    }

    /// Waits until one append has finished. Returns at once if none is in flight. Cancel safe.
    pub async fn finish_one(&mut self) -> Result<(), QueueError> {
        let Some(appended) = self.in_flight.next().await else {
            return Ok(());
        };
        self.in_flight_bytes -= appended.bytes;
        self.busy.remove(&appended.partition);
        self.raise_one(appended.partition, appended.result?);
        Ok(())
    }

    /// Waits until all appends have finished.
    pub async fn flush(&mut self) -> Result<(), QueueError> {
        while !self.is_idle() {
            self.finish_one().await?;
        }
        Ok(())
    }

    fn has_room(&self, partition: Partition, record: &Record) -> bool {
        let total = self.in_flight_bytes + payload_bytes(record);
        let fits = self.in_flight.is_empty() || total <= MAX_IN_FLIGHT_BYTES;
        fits && !self.busy.contains(&partition)
    }

    fn raise_one(&mut self, partition: Partition, offset: Offset) {
        let last = self.last.entry(partition).or_insert(offset);
        *last = (*last).max(offset);
    }
}

async fn append(
    queue: &dyn Queue,
    queue_timeout: QueueTimeout,
    partition: Partition,
    record: Record,
) -> Appended {
    let bytes = payload_bytes(&record);
    let at = TopicPartition::new(Topic::Send, partition);
    let mut retry = queue_timeout.retry();
    let result = loop {
        match queue.append(at, vec![record.clone()]).await {
            Ok(offsets) => match offsets.last() {
                Some(offset) => break Ok(*offset),
                None => {
                    break Err(QueueError::Unknown(
                        "the queue returned no offset for a record".to_string(),
                    ));
                }
            },
            Err(error) => {
                if is_transient(&error) {
                    tracing::warn!(%at, %error, "chunk not acknowledged, appending it again");
                }
                if let Err(error) = retry.after(error).await {
                    break Err(error);
                }
            }
        }
    };
    Appended {
        partition,
        bytes,
        result,
    }
}

fn payload_bytes(record: &Record) -> usize {
    record.payload.as_ref().map_or(0, |payload| payload.len())
}
