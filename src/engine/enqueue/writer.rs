//! Appends chunks to the send topic: partitions side by side, in each one record at a time. An append of unknown result
//! may land late or never; were the next one on its way already, a reader would see the higher rows first and take
//! the lower ones for copies.

use super::patience::{Patience, may_pass};
use crate::domain::ids::{Offset, Partition};
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::{Queue, QueueError, Record};
use futures_util::future::{FutureExt, LocalBoxFuture};
use futures_util::stream::{FuturesUnordered, StreamExt};

/// All partitions together may have as much on its way.
const MAX_UNDER_WAY_BYTES: usize = 8 << 20;

struct Landed {
    partition: Partition,
    bytes: usize,
    result: Result<Offset, QueueError>,
}

/// The appends of one run.
pub struct Writer<'a> {
    queue: &'a dyn Queue,
    patience: Patience,
    under_way: FuturesUnordered<LocalBoxFuture<'a, Landed>>,
    under_way_bytes: usize,
    busy: Vec<bool>,
    /// Highest acknowledged offset in each partition.
    last: Vec<Option<Offset>>,
}

impl<'a> Writer<'a> {
    pub fn new(queue: &'a dyn Queue, patience: Patience, partitions: usize) -> Writer<'a> {
        Writer {
            queue,
            patience,
            under_way: FuturesUnordered::new(),
            under_way_bytes: 0,
            busy: vec![false; partitions],
            last: vec![None; partitions],
        }
    }

    pub fn last(&self) -> &[Option<Offset>] {
        &self.last
    }

    /// What an earlier batch, written by whomever, had reached.
    pub fn raise(&mut self, last: &[Option<Offset>]) {
        for (mine, theirs) in self.last.iter_mut().zip(last) {
            *mine = (*mine).max(*theirs);
        }
    }

    /// Whether an append to this partition may begin now.
    pub fn has_room(&self, partition: Partition, record: &Record) -> bool {
        let is_free = self.busy.get(partition as usize) == Some(&false);
        let total = self.under_way_bytes + payload_bytes(record);
        is_free && (self.under_way.is_empty() || total <= MAX_UNDER_WAY_BYTES)
    }

    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Begins an append. It goes on in [`Writer::landed`].
    pub fn begin(&mut self, partition: Partition, record: Record) {
        if let Some(busy) = self.busy.get_mut(partition as usize) {
            *busy = true;
        }
        self.under_way_bytes += payload_bytes(&record);
        let appended = append(self.queue, self.patience, partition, record);
        self.under_way.push(appended.boxed_local());
    }

    /// Waits for one append to end; at once if none is under way. Nothing is lost if the future is dropped.
    pub async fn landed(&mut self) -> Result<(), QueueError> {
        let Some(landed) = self.under_way.next().await else {
            return Ok(());
        };
        self.under_way_bytes = self.under_way_bytes.saturating_sub(landed.bytes);
        let index = landed.partition as usize;
        if let Some(busy) = self.busy.get_mut(index) {
            *busy = false;
        }
        let offset = landed.result?;
        if let Some(last) = self.last.get_mut(index) {
            *last = (*last).max(Some(offset));
        }
        Ok(())
    }

    /// Waits until everything has landed.
    pub async fn flush(&mut self) -> Result<(), QueueError> {
        while !self.is_idle() {
            self.landed().await?;
        }
        Ok(())
    }
}

async fn append(
    queue: &dyn Queue,
    patience: Patience,
    partition: Partition,
    record: Record,
) -> Landed {
    let bytes = payload_bytes(&record);
    let at = TopicPartition::new(Topic::Send, partition);
    let mut attempts = patience.attempts();
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
                if may_pass(&error) {
                    tracing::warn!(%at, %error, "chunk not acknowledged, appending it again");
                }
                if let Err(error) = attempts.failed(error).await {
                    break Err(error);
                }
            }
        }
    };
    Landed {
        partition,
        bytes,
        result,
    }
}

fn payload_bytes(record: &Record) -> usize {
    record.payload.as_ref().map_or(0, |payload| payload.len())
}
