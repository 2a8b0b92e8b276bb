//! One partition's log as the reading thread has it: where librdkafka reads on, and what was read for other cursors.

use super::super::codec;
use super::super::context::Context;
use super::shelf::Shelf;
use crate::domain::ids::Offset;
use crate::queue::Stored;
use rdkafka::consumer::Consumer;
use rdkafka::consumer::base_consumer::{BaseConsumer, PartitionQueue};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset as Place, TopicPartitionList};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Read ahead and kept for other cursors, for each partition.
const SHELVES: usize = 4;
const SHELF_BYTES: usize = 1 << 20;
/// Seeking waits for librdkafka's own threads only.
const SEEK: Duration = Duration::from_secs(1);

/// What a look at a log gave.
pub(super) enum Found {
    Records(Vec<Stored>),
    Bad(Offset, String),
    /// Nothing is here yet.
    Nothing,
    Failed(KafkaError),
}

pub(super) struct Log {
    topic: String,
    partition: i32,
    /// `None`: librdkafka does not read it now.
    live: Option<PartitionQueue<Context>>,
    /// The shelf at the live end; `next` is what librdkafka gives next.
    current: Shelf,
    shelves: Vec<Shelf>,
    pub used_at: Instant,
}

impl Log {
    pub fn new(topic: String, partition: i32) -> Log {
        Log {
            topic,
            partition,
            live: None,
            current: Shelf::default(),
            shelves: Vec::new(),
            used_at: Instant::now(),
        }
    }

    /// What is at hand from an offset on. `None`: nobody is reading there.
    pub fn take(&mut self, from: Offset, max_bytes: usize) -> Option<Found> {
        self.used_at = Instant::now();
        let mut from = from;
        while let Some(index) = self.shelves.iter().position(|shelf| shelf.covers(from)) {
            let mut shelf = self.shelves.remove(index);
            match shelf.take(from, max_bytes) {
                Err((offset, what)) => return Some(Found::Bad(offset, what)),
                Ok(taken) if taken.is_empty() => from = shelf.next,
                Ok(taken) => {
                    if !shelf.is_empty() {
                        self.shelves.push(shelf);
                    }
                    return Some(Found::Records(taken));
                }
            }
        }
        self.is_at(from).then(|| self.take_live(from, max_bytes))
    }

    fn take_live(&mut self, from: Offset, max_bytes: usize) -> Found {
        if let Err(error) = self.pull(max_bytes) {
            return Found::Failed(error);
        }
        match self.current.take(from, max_bytes) {
            Err((offset, what)) => Found::Bad(offset, what),
            Ok(taken) if taken.is_empty() => Found::Nothing,
            Ok(taken) => Found::Records(taken),
        }
    }

    /// Takes over what librdkafka has read, until so much is at hand; never waits.
    fn pull(&mut self, max_bytes: usize) -> Result<(), KafkaError> {
        let Some(queue) = &self.live else {
            return Ok(());
        };
        while self.current.is_empty() || self.current.bytes() < max_bytes {
            match queue.poll(Duration::ZERO) {
                None => break,
                Some(Ok(message)) => {
                    let offset = Offset::try_from(message.offset()).unwrap_or(0);
                    self.current.push((offset, codec::stored(&message)));
                }
                Some(Err(error)) if is_passing(&error) => {}
                Some(Err(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes librdkafka read from an offset on; what it has read elsewhere is kept for who comes back.
    pub fn go_to(
        &mut self,
        consumer: &Arc<BaseConsumer<Context>>,
        offset: Offset,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<(), KafkaError> {
        self.used_at = Instant::now();
        let place = Place::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
        if self.live.is_some() {
            // What fails now comes again when somebody reads there.
            let _ = self.pull(SHELF_BYTES);
            self.put_away();
            self.current = Shelf::starting_at(offset);
            return consumer.seek(&self.topic, self.partition, place, SEEK);
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, self.partition, place)?;
        consumer.incremental_assign(&list)?;
        let queue = consumer.split_partition_queue(&self.topic, self.partition);
        let mut queue = queue
            .ok_or_else(|| KafkaError::Subscription("no queue for a partition".to_string()))?;
        queue.set_nonempty_callback(wake);
        self.live = Some(queue);
        self.current = Shelf::starting_at(offset);
        Ok(())
    }

    fn put_away(&mut self) {
        let shelf = std::mem::take(&mut self.current);
        if !shelf.is_empty() {
            if self.shelves.len() >= SHELVES {
                self.shelves.remove(0);
            }
            self.shelves.push(shelf);
        }
    }

    /// Ends librdkafka's reading: at the end of a log it would ask the broker a hundred times a second.
    pub fn rest(&mut self, consumer: &BaseConsumer<Context>) -> Result<(), KafkaError> {
        if self.live.take().is_none() {
            return Ok(());
        }
        self.put_away();
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, self.partition);
        consumer.incremental_unassign(&list)
    }

    /// Whether librdkafka reads on from here.
    pub fn is_at(&self, offset: Offset) -> bool {
        self.live.is_some() && (self.current.covers(offset) || self.current.next == offset)
    }
}

/// librdkafka goes on by itself.
fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::NotLeaderForPartition
                | Code::LeaderNotAvailable
                | Code::Resolve
                | Code::PartitionEOF
        )
    )
}
