//! Reading: one client with explicit assignment on a thread of its own, for as many cursors as there are. A partition
//! is read ahead while somebody reads it and left alone at its end.

mod log;
mod shelf;

use super::context::Context;
use super::failure::{Doing, Explainer};
use super::settings::KafkaSettings;
use crate::domain::ids::Offset;
use crate::domain::topic::TopicPartition;
use crate::queue::{QueueError, Stored};
use log::{Found, Log};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Partitions that nobody has read for so long are let go, with what was read ahead.
const IDLE: Duration = Duration::from_secs(10);
/// Callbacks of a client run only while somebody polls it.
const POLL: Duration = Duration::from_millis(100);
/// Wakings may be missed between a look and the next.
const LOOK: Duration = Duration::from_millis(5);

/// `None`: nothing at hand, or (after going there) something happened on the way: ask for the ends again.
type Answer = Result<Option<Vec<Stored>>, QueueError>;

/// From where a partition is read, and how much of it.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub at: TopicPartition,
    /// The topic's name and the partition as librdkafka counts.
    pub place: (String, i32),
    pub from: Offset,
    pub max_bytes: usize,
}

enum Order {
    /// What is at hand.
    Take(Span, oneshot::Sender<Answer>),
    /// Go there and wait for the first record, until then.
    Read(Span, Instant, oneshot::Sender<Answer>),
    /// The end is reached.
    Rest(TopicPartition),
    /// Something has come.
    Wake,
    Stop,
}

/// The engine's side. Dropped: the thread ends.
pub(super) struct Reader {
    orders: Sender<Order>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.orders.send(Order::Stop);
    }
}

impl Reader {
    pub fn start(
        settings: &KafkaSettings,
        context: Context,
        explainer: Explainer,
    ) -> Result<Reader, QueueError> {
        let config = settings.reader();
        let consumer: BaseConsumer<Context> = config
            .create_with_context(context.clone())
            .map_err(|error| super::asker::unusable(&error))?;
        let (orders, received) = channel();
        let desk = Desk {
            consumer: Arc::new(consumer),
            config,
            context,
            explainer,
            logs: BTreeMap::new(),
            waiting: Vec::new(),
            wake: orders.clone(),
        };
        std::thread::Builder::new()
            .name("kafka-reader".to_string())
            .spawn(move || desk.run(&received))
            .map_err(|error| QueueError::Unknown(error.to_string()))?;
        Ok(Reader { orders })
    }

    pub async fn take(&self, span: Span) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.ask(Order::Take(span, answer), answered).await
    }

    /// Goes to where nobody reads yet. There must be something.
    pub async fn read(&self, span: Span, longest: Duration) -> Answer {
        let (answer, answered) = oneshot::channel();
        let until = Instant::now() + longest;
        self.ask(Order::Read(span, until, answer), answered).await
    }

    pub fn rest(&self, at: TopicPartition) {
        // The thread ends only with the process or this handle.
        let _ = self.orders.send(Order::Rest(at));
    }

    async fn ask(&self, order: Order, answered: oneshot::Receiver<Answer>) -> Answer {
        let gone = || QueueError::Unknown("the reading thread has ended".to_string());
        self.orders.send(order).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

struct Waiting {
    span: Span,
    until: Instant,
    answer: oneshot::Sender<Answer>,
}

/// The thread's side.
struct Desk {
    consumer: Arc<BaseConsumer<Context>>,
    config: ClientConfig,
    context: Context,
    explainer: Explainer,
    logs: BTreeMap<TopicPartition, Log>,
    waiting: Vec<Waiting>,
    wake: Sender<Order>,
}

impl Desk {
    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            // Subscribed to nothing: what comes here are callbacks and errors, which they tell.
            drop(self.consumer.poll(Duration::ZERO));
            self.context.alone.mend(self.consumer.client());
            let pause = if self.waiting.is_empty() { POLL } else { LOOK };
            match orders.recv_timeout(pause) {
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(order) => self.obey(order),
                Err(RecvTimeoutError::Timeout) => self.let_go(),
            }
            while let Ok(order) = orders.try_recv() {
                match order {
                    Order::Stop => return,
                    order => self.obey(order),
                }
            }
            self.answer_waiting();
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Take(span, answer) => {
                let found = self.log(&span).take(span.from, span.max_bytes);
                let found = self.judge(&span, found.unwrap_or(Found::Nothing));
                // Who asked may have gone.
                let _ = answer.send(found);
            }
            Order::Read(span, until, answer) => self.begin(span, until, answer),
            Order::Rest(at) => self.rest(at),
            Order::Wake | Order::Stop => {}
        }
    }

    fn log(&mut self, span: &Span) -> &mut Log {
        let (name, partition) = &span.place;
        let new = || Log::new(name.clone(), *partition);
        self.logs.entry(span.at).or_insert_with(new)
    }

    fn begin(&mut self, span: Span, until: Instant, answer: oneshot::Sender<Answer>) {
        let (consumer, wake) = (Arc::clone(&self.consumer), self.wake.clone());
        let log = self.log(&span);
        // Another reader may have gone there meanwhile.
        let gone = match log.is_at(span.from) {
            true => Ok(()),
            // The thread ends before the client does.
            false => log.go_to(&consumer, span.from, move || drop(wake.send(Order::Wake))),
        };
        match gone {
            Ok(()) => self.waiting.push(Waiting {
                span,
                until,
                answer,
            }),
            Err(error) => {
                tracing::debug!(at = %span.at, %error, "going there again");
                self.rest(span.at);
                let _ = answer.send(Ok(None));
            }
        }
    }

    /// What was found, as an answer. `Ok(None)`: nothing, or the log has moved.
    fn judge(&mut self, span: &Span, found: Found) -> Answer {
        match found {
            Found::Records(records) => Ok(Some(records)),
            Found::Nothing => Ok(None),
            Found::Bad(offset, what) => Err(QueueError::BadRecord {
                at: span.at,
                offset,
                what,
            }),
            Found::Failed(error) => {
                self.rest(span.at);
                match error.rdkafka_error_code() {
                    // Below the low watermark, or beyond the end: the ends are asked for anew.
                    Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => Ok(None),
                    _ => Err(self.explainer.explain(Doing::Read(span.at.topic), &error)),
                }
            }
        }
    }

    fn answer_waiting(&mut self) {
        let mut is_stuck = false;
        for waiting in std::mem::take(&mut self.waiting) {
            let span = &waiting.span;
            let found = self.log(span).take(span.from, span.max_bytes);
            let answer = match found {
                // Somebody else's cursor has taken it elsewhere.
                None => Ok(None),
                Some(Found::Nothing) if Instant::now() < waiting.until => {
                    if !waiting.answer.is_closed() {
                        self.waiting.push(waiting);
                    }
                    continue;
                }
                Some(Found::Nothing) => {
                    is_stuck = true;
                    let doing = Doing::Read(span.at.topic);
                    Err(self.explainer.away(doing, "nothing came"))
                }
                Some(found) => self.judge(span, found),
            };
            let _ = waiting.answer.send(answer);
        }
        if is_stuck {
            self.begin_anew();
        }
    }

    /// A client that went through the loss of brokers may stay silent though they are back; a new one does not.
    fn begin_anew(&mut self) {
        match self.config.create_with_context(self.context.clone()) {
            Ok(consumer) => {
                // Whoever waits asks for the ends again.
                for waiting in self.waiting.drain(..) {
                    let _ = waiting.answer.send(Ok(None));
                }
                self.logs.clear();
                let old = std::mem::replace(&mut self.consumer, Arc::new(consumer));
                // Closing may take long while the cluster is away.
                std::thread::spawn(move || drop(old));
            }
            Err(error) => tracing::warn!(%error, "a new reading client cannot be made"),
        }
    }

    fn rest(&mut self, at: TopicPartition) {
        let consumer = Arc::clone(&self.consumer);
        if let Some(log) = self.logs.get_mut(&at)
            && let Err(error) = log.rest(&consumer)
        {
            tracing::debug!(%at, %error, "a partition could not be let go");
        }
    }

    /// Lets go what nobody reads any more.
    fn let_go(&mut self) {
        let idle = self
            .logs
            .iter()
            .filter(|(_, log)| log.used_at.elapsed() >= IDLE);
        let idle: Vec<TopicPartition> = idle.map(|(at, _)| *at).collect();
        for at in idle {
            self.rest(at);
            self.logs.remove(&at);
        }
    }
}
