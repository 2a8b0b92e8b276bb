//! The idempotent producer, one for the life of the process. librdkafka tries a record without end; here a long wait is
//! logged, and the append gives up when `--queue-timeout` is over.

use super::bootstrap::Bootstrap;
use super::codec;
use super::context::Context;
use super::failure::{Explainer, Operation, unusable_client};
use super::settings::KafkaSettings;
use crate::domain::ids::Offset;
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::{QueueError, Record};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::Producer as _;
use rdkafka::producer::future_producer::{DeliveryFuture, FutureProducer, FutureRecord};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// librdkafka's `message.max.bytes`, unless the user sets it; brokers accept 1,048,588 bytes by default.
const MAX_RECORD_BYTES: usize = 1_000_000;
/// How often waiting for acknowledgements is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// While acknowledgements are waited for, the producer's brokers are checked this often.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The pause before a record is offered again to a full queue, doubled each time up to the longest.
const FULL_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// A broker that is up answers a request for metadata within this.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);
const METADATA_REQUESTS: u32 = 6;
const METADATA_PAUSE: Duration = Duration::from_millis(25);

pub(super) struct Producer {
    producer: FutureProducer<Context>,
    explainer: Explainer,
    bootstrap: Bootstrap,
    limit: Option<Duration>,
    max_bytes: usize,
    /// Records of all appends that are given to librdkafka and not acknowledged.
    unacknowledged: AtomicUsize,
}

/// One append.
pub(super) struct Append {
    pub at: TopicPartition,
    /// The topic's name and the partition's index.
    pub place: (String, i32),
    pub begun: Instant,
}

/// The records of one append that are in flight. They count as unacknowledged until the append ends, also if its future
/// is dropped.
struct InFlight<'a> {
    unacknowledged: &'a AtomicUsize,
    deliveries: Vec<DeliveryFuture>,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.unacknowledged
            .fetch_sub(self.deliveries.len(), Ordering::Relaxed);
    }
}

/// Makes a new producer ask for its producer id at once. Otherwise it does so only when it learns of a topic, or after
/// half a second (`rd_kafka_idemp_start`).
fn request_producer_id(producer: FutureProducer<Context>, topic: String) {
    std::thread::spawn(move || {
        // The first requests may find no connection yet. If all fail, the id comes with the first record.
        for _ in 0..METADATA_REQUESTS {
            if producer
                .client()
                .fetch_metadata(Some(&topic), METADATA_TIMEOUT)
                .is_err()
            {
                return;
            }
            std::thread::sleep(METADATA_PAUSE);
        }
    });
}

impl Producer {
    pub fn start(
        settings: &KafkaSettings,
        context: Context,
        explainer: Explainer,
    ) -> Result<Producer, QueueError> {
        let config = settings.producer();
        let max_bytes = config.get("message.max.bytes");
        let max_bytes = max_bytes.and_then(|bytes| bytes.parse().ok());
        let bootstrap = context.bootstrap.clone();
        let producer: FutureProducer<Context> = config
            .create_with_context(context)
            .map_err(|error| unusable_client(&error))?;
        let topic = Topic::Campaign.name(&settings.env);
        request_producer_id(producer.clone(), topic);
        Ok(Producer {
            producer,
            explainer,
            bootstrap,
            limit: settings.queue_timeout,
            max_bytes: max_bytes.unwrap_or(MAX_RECORD_BYTES),
            unacknowledged: AtomicUsize::new(0),
        })
    }

    /// Errors: `TooLarge`; `Broken` or `Denied` once this process cannot append any more.
    pub fn check(&self, topic: Topic, records: &[Record]) -> Result<(), QueueError> {
        self.explainer.check_usable()?;
        let largest = records.iter().map(codec::bytes).max().unwrap_or(0);
        if largest > self.max_bytes {
            return Err(QueueError::TooLarge {
                topic,
                bytes: largest,
                limit: self.max_bytes,
            });
        }
        Ok(())
    }

    /// Gives one record to librdkafka; waits while its queue is full.
    async fn send(&self, append: &Append, record: &Record) -> Result<DeliveryFuture, QueueError> {
        let ((name, partition), topic) = (&append.place, append.at.topic);
        let mut pause = FULL_PAUSE;
        let mut backoff = super::backoff::Backoff::new(self.limit);
        loop {
            let mut future = FutureRecord::<str, [u8]>::to(name).partition(*partition);
            future.key = record.key.as_deref();
            future.payload = record.payload.as_deref();
            future.headers = codec::headers(record);
            let error = match self.producer.send_result(future) {
                Ok(delivery) => return Ok(delivery),
                Err((error, _)) => error,
            };
            if error.rdkafka_error_code() != Some(Code::QueueFull) {
                return Err(self.failed(topic, &error));
            }
            let waiting = self.unacknowledged.load(Ordering::Relaxed);
            let what = format!("{waiting} records are waiting in the producer");
            let full = self.explainer.away(Operation::Write(topic), &what);
            if backoff.pause_after(&full).is_none() || self.is_over(append.begun) {
                return Err(full);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Gives records to librdkafka and waits for their acknowledgements: the offset of each, if it has one.
    pub async fn send_all(
        &self,
        append: &Append,
        records: &[Record],
    ) -> Result<Vec<Option<Offset>>, QueueError> {
        let count = records.len();
        let mut flight = InFlight {
            unacknowledged: &self.unacknowledged,
            deliveries: Vec::with_capacity(count),
        };
        for record in records {
            let delivery = self.send(append, record).await;
            let delivery = delivery.map_err(|error| match flight.deliveries.is_empty() {
                true => error,
                // The records before it may land.
                false => QueueError::Unknown(error.to_string()),
            })?;
            self.unacknowledged.fetch_add(1, Ordering::Relaxed);
            flight.deliveries.push(delivery);
        }
        let mut offsets = Vec::with_capacity(count);
        let mut first_error = None;
        for delivery in &mut flight.deliveries {
            let progress = (offsets.len(), count);
            match self.delivered(append, delivery, progress).await {
                Ok(offset) => offsets.push(offset),
                Err(error) => drop(first_error.get_or_insert(error)),
            }
        }
        match first_error {
            None => {
                self.explainer.health.answered();
                Ok(offsets)
            }
            Some(error) => Err(partly(offsets.len(), count, error)),
        }
    }

    /// Waits for one acknowledgement: its offset, if it has one. Safe to drop: the record stays in flight.
    async fn delivered(
        &self,
        append: &Append,
        delivery: &mut DeliveryFuture,
        (done, count): (usize, usize),
    ) -> Result<Option<Offset>, QueueError> {
        let (topic, begun) = (append.at.topic, append.begun);
        let mut logged_at = Instant::now();
        loop {
            let left = self
                .limit
                .map(|limit| limit.saturating_sub(begun.elapsed()));
            let wait = left.map_or(CHECK_INTERVAL, |left| left.min(CHECK_INTERVAL));
            match tokio::time::timeout(wait, &mut *delivery).await {
                Ok(Ok(Ok(delivery))) => return Ok(Offset::try_from(delivery.offset).ok()),
                Ok(Ok(Err((error, _)))) => return Err(self.failed(topic, &error)),
                Ok(Err(_)) => return Err(QueueError::Unknown("the producer has stopped".into())),
                Err(_) if logged_at.elapsed() < LOG_INTERVAL && !self.is_over(begun) => {
                    self.bootstrap.restore(self.producer.client());
                }
                Err(_) => {
                    logged_at = Instant::now();
                    let what = format!("{done} of {count} records acknowledged");
                    let waiting = self.unacknowledged.load(Ordering::Relaxed);
                    let away = self.explainer.away(Operation::Write(topic), &what);
                    if self.is_over(begun) {
                        return Err(QueueError::Unknown(format!(
                            "{away}; the rest may still be appended"
                        )));
                    }
                    let seconds = begun.elapsed().as_secs();
                    tracing::warn!(seconds, waiting, "waiting: {away}");
                }
            }
        }
    }

    fn is_over(&self, begun: Instant) -> bool {
        self.limit.is_some_and(|limit| begun.elapsed() >= limit)
    }

    /// A producer without the right to append fails before its first record, and reports each record as purged.
    fn denied(&self, topic: Topic) -> Option<QueueError> {
        match self.producer.client().fatal_error() {
            Some((code @ Code::ClusterAuthorizationFailed, _)) => {
                Some(self.explainer.explain_code(Operation::Write(topic), code))
            }
            _ => None,
        }
    }

    fn failed(&self, topic: Topic, error: &KafkaError) -> QueueError {
        if let Some(denied) = self.denied(topic) {
            return denied;
        }
        match error.rdkafka_error_code() {
            Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => QueueError::TooLarge {
                topic,
                bytes: self.max_bytes,
                limit: self.max_bytes,
            },
            Some(Code::Fatal) => {
                let why = self.producer.client().fatal_error();
                let why = why.map_or(error.to_string(), |(code, text)| format!("{code}: {text}"));
                self.explainer.health.record_error(Code::Fatal, &why);
                self.explainer.broken(&why)
            }
            Some(Code::PurgeInflight | Code::MessageTimedOut | Code::RequestTimedOut) => {
                let away = self.explainer.explain(Operation::Write(topic), error);
                QueueError::Unknown(format!("{away}; they may still be appended"))
            }
            _ => self.explainer.explain(Operation::Write(topic), error),
        }
    }

    /// How long an append may take; `None`: without end.
    pub fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// The cluster does not append to a topic now.
    pub fn away(&self, topic: Topic, what: &str) -> QueueError {
        self.explainer.away(Operation::Write(topic), what)
    }

    /// Waits until all records are acknowledged, for so long at the most.
    pub fn flush(&self, longest: Duration) {
        if let Err(error) = self.producer.flush(longest) {
            let waiting = self.unacknowledged.load(Ordering::Relaxed);
            tracing::warn!(waiting, %error, "stopped before every record was acknowledged");
        }
    }
}

/// The error of an append of which `done` of `count` records are acknowledged.
pub(super) fn partly(done: usize, count: usize, error: QueueError) -> QueueError {
    match done {
        0 => error,
        _ => QueueError::Unknown(format!(
            "{done} of {count} records were acknowledged: {error}"
        )),
    }
}
