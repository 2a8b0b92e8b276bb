//! Appending: one idempotent producer for the life of the process. librdkafka tries a record until it is there; here
//! it is watched, said aloud when it takes long, and given up by name when `--queue-timeout` is over.

use super::alone::Alone;
use super::codec;
use super::context::Context;
use super::failure::{Doing, Explainer};
use super::pipeline::{Pipeline, Pipelines};
use super::settings::KafkaSettings;
use crate::domain::ids::Offset;
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::{QueueError, Record};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::Producer as _;
use rdkafka::producer::future_producer::{DeliveryFuture, FutureProducer, FutureRecord};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// librdkafka's `message.max.bytes`, unless told otherwise; brokers take 1,048,588 by default.
const MAX_RECORD_BYTES: usize = 1_000_000;
/// Who waits for acknowledgements says so after this, and then once in each.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// Whether the producer is alone is looked at this often while it is waited for.
const LOOK: Duration = Duration::from_secs(1);
/// The producer's queue is full: looked at again after this, then after twice as long, up to the longest.
const FULL_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// A broker that is there answers within this.
const HURRY: Duration = Duration::from_secs(1);
const HURRIES: u32 = 6;
const HURRY_PAUSE: Duration = Duration::from_millis(25);

pub(super) struct Appender {
    producer: FutureProducer<Context>,
    explainer: Explainer,
    alone: Alone,
    limit: Option<Duration>,
    max_bytes: usize,
    /// Given to the producer and not acknowledged, over all appends.
    waiting: AtomicUsize,
    pipelines: Pipelines,
}

/// Where the records of an append stand. All of them are acknowledged.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Appended {
    At(Vec<Offset>),
    /// A batch that was sent twice may be acknowledged without an offset. If its records are in the log, they stand in
    /// order at or above this offset; `None`: among the last records.
    From(Option<Offset>),
}

/// One append.
struct Order {
    at: TopicPartition,
    /// The topic's name and the partition.
    place: (String, i32),
    begun: Instant,
}

/// One append's records in flight, counted as waiting until it ends.
struct InFlight<'a> {
    waiting: &'a AtomicUsize,
    deliveries: Vec<DeliveryFuture>,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.waiting
            .fetch_sub(self.deliveries.len(), Ordering::Relaxed);
    }
}

/// A new idempotent producer asks for its id when it hears of topics, and else after half a second
/// (`rd_kafka_idemp_start`): so it is made to hear of one at once.
fn hurry(producer: FutureProducer<Context>, topic: String) {
    std::thread::spawn(move || {
        // Once may be in vain while connections are being made; without a broker all is, and who appends waits as ever.
        for _ in 0..HURRIES {
            if producer
                .client()
                .fetch_metadata(Some(&topic), HURRY)
                .is_err()
            {
                return;
            }
            std::thread::sleep(HURRY_PAUSE);
        }
    });
}

impl Appender {
    pub fn start(
        settings: &KafkaSettings,
        context: Context,
        explainer: Explainer,
    ) -> Result<Appender, QueueError> {
        let config = settings.producer();
        let max_bytes = config.get("message.max.bytes");
        let max_bytes = max_bytes.and_then(|bytes| bytes.parse().ok());
        let alone = context.alone.clone();
        let producer: FutureProducer<Context> = config
            .create_with_context(context)
            .map_err(|error| super::asker::unusable(&error))?;
        let topic = Topic::Campaign.name(&settings.env);
        hurry(producer.clone(), topic);
        Ok(Appender {
            producer,
            explainer,
            alone,
            limit: settings.queue_timeout,
            max_bytes: max_bytes.unwrap_or(MAX_RECORD_BYTES),
            waiting: AtomicUsize::new(0),
            pipelines: Pipelines::default(),
        })
    }

    /// Resolves when all are acknowledged by all replicas in sync. `place`: the topic's name and the partition.
    pub async fn append(
        &self,
        at: TopicPartition,
        place: (String, i32),
        records: &[Record],
    ) -> Result<Appended, QueueError> {
        self.check(at.topic, records)?;
        let pipeline = self.pipelines.of(at);
        let order = Order {
            at,
            place,
            begun: Instant::now(),
        };
        let above = pipeline.open_above();
        let alone = usize::from(above.is_none()).min(records.len());
        let (first, rest) = records.split_at(alone);
        let mut offsets = self.send_alone(&order, first, &pipeline).await?;
        let rest = self.send_all(&order, rest).await;
        offsets.extend(rest.map_err(|error| partly(offsets.len(), records.len(), error))?);
        match plausible(above, &offsets) {
            Some(offsets) => {
                if let Some(last) = offsets.last() {
                    pipeline.acknowledged(*last);
                }
                Ok(Appended::At(offsets))
            }
            None => {
                let first = offsets.first().copied().flatten();
                Ok(Appended::From(above.map(|above| above + 1).or(first)))
            }
        }
    }

    /// Opens a partition's pipeline with one record, after other appends that do the same.
    async fn send_alone(
        &self,
        order: &Order,
        first: &[Record],
        pipeline: &Pipeline,
    ) -> Result<Vec<Option<Offset>>, QueueError> {
        if first.is_empty() {
            return Ok(Vec::new());
        }
        let limit = self.limit.unwrap_or(Duration::MAX);
        let turn = tokio::time::timeout(limit, pipeline.turn()).await;
        let _turn = turn.map_err(|_| {
            let what = "an earlier record is not acknowledged";
            self.explainer.away(Doing::Write(order.at.topic), what)
        })?;
        let offsets = self.send_all(order, first).await?;
        if let Some(Some(offset)) = offsets.first() {
            pipeline.acknowledged(*offset);
        }
        Ok(offsets)
    }

    /// Records that were acknowledged are not in the log. What is known of the partition may be wrong, so its pipeline
    /// is opened again.
    pub fn lost_track(&self, at: TopicPartition) -> QueueError {
        self.pipelines.of(at).close();
        unplaced(at)
    }

    fn check(&self, topic: Topic, records: &[Record]) -> Result<(), QueueError> {
        self.explainer.unbroken()?;
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

    /// Gives one record to the producer; waits while its queue is full.
    async fn send(&self, order: &Order, record: &Record) -> Result<DeliveryFuture, QueueError> {
        let ((name, partition), topic) = (&order.place, order.at.topic);
        let mut pause = FULL_PAUSE;
        let mut patience = super::patience::Patience::new(self.limit);
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
            let waiting = self.waiting.load(Ordering::Relaxed);
            let what = format!("{waiting} records are waiting in the producer");
            let full = self.explainer.away(Doing::Write(topic), &what);
            if patience.next(&full).is_none() || self.is_over(order.begun) {
                return Err(full);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Gives all records to the producer and waits for their acknowledgements: the offset of each, where it is said.
    async fn send_all(
        &self,
        order: &Order,
        records: &[Record],
    ) -> Result<Vec<Option<Offset>>, QueueError> {
        let count = records.len();
        let mut flight = InFlight {
            waiting: &self.waiting,
            deliveries: Vec::with_capacity(count),
        };
        for record in records {
            let delivery = self.send(order, record).await;
            let delivery = delivery.map_err(|error| match flight.deliveries.is_empty() {
                true => error,
                // Those before it may land.
                false => QueueError::Unknown(error.to_string()),
            })?;
            self.waiting.fetch_add(1, Ordering::Relaxed);
            flight.deliveries.push(delivery);
        }
        let mut offsets = Vec::with_capacity(count);
        let mut first_error = None;
        for delivery in &mut flight.deliveries {
            let progress = (offsets.len(), count);
            match self.delivered(order, delivery, progress).await {
                Ok(offset) => offsets.push(offset),
                Err(error) => drop(first_error.get_or_insert(error)),
            }
        }
        match first_error {
            None => {
                self.explainer.health.well();
                Ok(offsets)
            }
            Some(error) => Err(partly(offsets.len(), count, error)),
        }
    }

    /// Waits for one acknowledgement, aloud when it takes long.
    async fn delivered(
        &self,
        order: &Order,
        delivery: &mut DeliveryFuture,
        (done, count): (usize, usize),
    ) -> Result<Option<Offset>, QueueError> {
        let (topic, begun) = (order.at.topic, order.begun);
        let mut said = Instant::now();
        loop {
            let left = self
                .limit
                .map(|limit| limit.saturating_sub(begun.elapsed()));
            let wait = left.map_or(LOOK, |left| left.min(LOOK));
            match tokio::time::timeout(wait, &mut *delivery).await {
                Ok(Ok(Ok(delivery))) => return Ok(Offset::try_from(delivery.offset).ok()),
                Ok(Ok(Err((error, _)))) => return Err(self.failed(topic, &error)),
                Ok(Err(_)) => return Err(QueueError::Unknown("the producer has stopped".into())),
                Err(_) if said.elapsed() < SAY_EVERY && !self.is_over(begun) => {
                    self.alone.mend(self.producer.client());
                }
                Err(_) => {
                    said = Instant::now();
                    let what = format!("{done} of {count} records acknowledged");
                    let waiting = self.waiting.load(Ordering::Relaxed);
                    let away = self.explainer.away(Doing::Write(topic), &what);
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

    /// Without the right to append, a producer breaks before its first record and says of each that it was purged.
    fn denied(&self, topic: Topic) -> Option<QueueError> {
        match self.producer.client().fatal_error() {
            Some((code @ Code::ClusterAuthorizationFailed, _)) => {
                Some(self.explainer.explain_code(Doing::Write(topic), code))
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
                self.explainer.health.note(Code::Fatal, &why);
                self.explainer.broken(&why)
            }
            Some(Code::PurgeInflight | Code::MessageTimedOut | Code::RequestTimedOut) => {
                let away = self.explainer.explain(Doing::Write(topic), error);
                QueueError::Unknown(format!("{away}; they may still be appended"))
            }
            _ => self.explainer.explain(Doing::Write(topic), error),
        }
    }

    /// Waits until what was given to the producer is acknowledged, for so long at the most.
    pub fn flush(&self, longest: Duration) {
        if let Err(error) = self.producer.flush(longest) {
            let waiting = self.waiting.load(Ordering::Relaxed);
            tracing::warn!(waiting, %error, "stopped before every record was acknowledged");
        }
    }
}

/// The offsets, if every record has one and they can be right. When a broker answers that it has a batch already,
/// librdkafka numbers the records of the batch from -1, so that the second one seems to stand at 0.
fn plausible(above: Option<Offset>, offsets: &[Option<Offset>]) -> Option<Vec<Offset>> {
    let offsets: Vec<Offset> = offsets.iter().copied().collect::<Option<_>>()?;
    let is_above = above.is_none_or(|above| offsets.first().is_none_or(|first| *first > above));
    let is_ascending = offsets.is_sorted_by(|one, next| one < next);
    (is_above && is_ascending).then_some(offsets)
}

/// The error of an append of which so many records are acknowledged.
fn partly(done: usize, count: usize, error: QueueError) -> QueueError {
    match done {
        0 => error,
        _ => QueueError::Unknown(format!(
            "{done} of {count} records were acknowledged: {error}"
        )),
    }
}

fn unplaced(at: TopicPartition) -> QueueError {
    QueueError::Unknown(format!(
        "records of {at} were acknowledged without an offset"
    ))
}
