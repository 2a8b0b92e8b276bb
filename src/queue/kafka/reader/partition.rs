//! One partition as the reader thread has it: where librdkafka reads now, and what it has read ahead of other cursors.

use super::read_ahead::ReadAhead;
use crate::domain::ids::Offset;
use crate::queue::Stored;
use crate::queue::kafka::codec;
use crate::queue::kafka::context::Context;
use rdkafka::consumer::Consumer;
use rdkafka::consumer::base_consumer::{BaseConsumer, PartitionQueue};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::{Offset as Position, TopicPartitionList};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// As many cursors of a partition keep what was read ahead of them; the oldest read-ahead goes first.
const MAX_SET_ASIDE: usize = 4;
const READ_AHEAD_BYTES: usize = 1 << 20;
/// A seek waits only for librdkafka's own threads, not for a broker.
const SEEK_TIMEOUT: Duration = Duration::from_secs(1);

/// The result of taking records.
pub(super) enum Found {
    Records(Vec<Stored>),
    Unreadable(Offset, String),
    /// Nothing has arrived yet.
    Empty,
    Failed(KafkaError),
}

pub(super) struct PartitionReader {
    topic: String,
    partition: i32,
    /// `None`: the partition is not assigned to the client.
    live: Option<PartitionQueue<Context>>,
    /// Where librdkafka reads now: its next record has the offset `current.next`.
    current: ReadAhead,
    /// Read ahead of cursors that librdkafka has moved away from, oldest first.
    set_aside: Vec<ReadAhead>,
    pub used_at: Instant,
}

impl PartitionReader {
    pub fn new(topic: String, partition: i32) -> PartitionReader {
        PartitionReader {
            topic,
            partition,
            live: None,
            current: ReadAhead::default(),
            set_aside: Vec::new(),
            used_at: Instant::now(),
        }
    }

    /// Takes what has been read from `from` on. `None`: librdkafka does not read there.
    pub fn take(&mut self, from: Offset, max_bytes: usize) -> Option<Found> {
        self.used_at = Instant::now();
        let mut from = from;
        while let Some(index) = self.set_aside.iter().position(|ahead| ahead.covers(from)) {
            let mut ahead = self.set_aside.remove(index);
            match ahead.take(from, max_bytes) {
                Err((offset, what)) => return Some(Found::Unreadable(offset, what)),
                Ok(taken) if taken.is_empty() => from = ahead.next,
                Ok(taken) => {
                    if !ahead.is_empty() {
                        self.set_aside.push(ahead);
                    }
                    return Some(Found::Records(taken));
                }
            }
        }
        self.is_at(from).then(|| self.take_current(from, max_bytes))
    }

    fn take_current(&mut self, from: Offset, max_bytes: usize) -> Found {
        if let Err(error) = self.pull(max_bytes) {
            return Found::Failed(error);
        }
        match self.current.take(from, max_bytes) {
            Err((offset, what)) => Found::Unreadable(offset, what),
            Ok(taken) if taken.is_empty() => Found::Empty,
            Ok(taken) => Found::Records(taken),
        }
    }

    /// Moves records from librdkafka's queue to `current`, up to about `max_bytes`. Does not wait.
    fn pull(&mut self, max_bytes: usize) -> Result<(), KafkaError> {
        let Some(queue) = &self.live else {
            return Ok(());
        };
        while self.current.is_empty() || self.current.bytes() < max_bytes {
            match queue.poll(Duration::ZERO) {
                None => break,
                Some(Ok(message)) => {
                    let bad = KafkaError::MessageConsumption(Code::BadMessage);
                    let offset = codec::offset(&message).ok_or(bad)?;
                    self.current.push((offset, codec::stored(&message)));
                }
                Some(Err(error)) if is_transient(&error) => {}
                Some(Err(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes librdkafka read from `offset` on. What it has read elsewhere is set aside for the cursor there.
    pub fn seek(
        &mut self,
        consumer: &Arc<BaseConsumer<Context>>,
        offset: Offset,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<(), KafkaError> {
        self.used_at = Instant::now();
        let position = Position::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
        if self.live.is_some() {
            // An error here comes again when that cursor reads.
            let _ = self.pull(READ_AHEAD_BYTES);
            self.set_current_aside();
            self.current = ReadAhead::starting_at(offset);
            return consumer.seek(&self.topic, self.partition, position, SEEK_TIMEOUT);
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, self.partition, position)?;
        consumer.incremental_assign(&list)?;
        let queue = consumer.split_partition_queue(&self.topic, self.partition);
        let mut queue = queue
            .ok_or_else(|| KafkaError::Subscription("no queue for a partition".to_string()))?;
        queue.set_nonempty_callback(wake);
        self.live = Some(queue);
        self.current = ReadAhead::starting_at(offset);
        Ok(())
    }

    fn set_current_aside(&mut self) {
        let ahead = std::mem::take(&mut self.current);
        if !ahead.is_empty() {
            if self.set_aside.len() >= MAX_SET_ASIDE {
                self.set_aside.remove(0);
            }
            self.set_aside.push(ahead);
        }
    }

    /// Takes the partition away from librdkafka, which would poll the end of a log a hundred times a second.
    pub fn unassign(&mut self, consumer: &BaseConsumer<Context>) -> Result<(), KafkaError> {
        if self.live.take().is_none() {
            return Ok(());
        }
        self.set_current_aside();
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, self.partition);
        consumer.incremental_unassign(&list)
    }

    /// Whether librdkafka has read this offset or reads it next.
    pub fn is_at(&self, offset: Offset) -> bool {
        self.live.is_some() && (self.current.covers(offset) || self.current.next == offset)
    }
}

/// librdkafka recovers from these by itself.
fn is_transient(error: &KafkaError) -> bool {
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
