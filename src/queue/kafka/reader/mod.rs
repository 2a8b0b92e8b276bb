//! Reading: one client, which is no member of the group, on a thread of its own, for any number of cursors.
//!
//! The member of the group reads nothing and this client joins nothing, so seeking between cursors never meets a
//! rebalance and a rebalance never waits for a fetch. A seek throws away what librdkafka has read ahead, so records that were
//! read ahead of one cursor are kept while another is served: about ten chunks are read for each seek. At the end of
//! a log the partition is unassigned, because librdkafka would poll it a hundred times a second.

mod partition;
mod read_ahead;

use super::context::Context;
use super::failure::{Explainer, Operation, unusable_client};
use super::settings::KafkaSettings;
use crate::domain::ids::Offset;
use crate::domain::topic::TopicPartition;
use crate::queue::{QueueError, Stored};
use partition::{Found, PartitionReader};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A partition that was not read for so long is unassigned, and what was read ahead is dropped.
const IDLE_AFTER: Duration = Duration::from_secs(10);
/// librdkafka runs the callbacks of a client only while the client is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How often the queues are checked while a request waits: a queue that was not empty does not call back.
const WAKE_INTERVAL: Duration = Duration::from_millis(5);

/// `None`: nothing was read yet, or another cursor or an error has moved the client away. Read the log's bounds again.
type Answer = Result<Option<Vec<Stored>>, QueueError>;

/// Which records are wanted.
#[derive(Debug, Clone)]
pub(super) struct FetchRequest {
    pub at: TopicPartition,
    /// The topic's name and the partition as librdkafka counts.
    pub place: (String, i32),
    pub from: Offset,
    pub max_bytes: usize,
}

enum Command {
    /// Answers with what has been read already.
    Take(FetchRequest, oneshot::Sender<Answer>),
    /// Moves the client there if necessary and waits for the first record, until the instant at the most.
    Read(FetchRequest, Instant, oneshot::Sender<Answer>),
    /// The cursor is at the end of the log.
    Unassign(TopicPartition),
    /// A queue of the client has records.
    Wake,
    Stop,
}

/// The handle of the reader thread, which ends when this is dropped.
pub(super) struct Reader {
    commands: Sender<Command>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        // An error means that the thread has ended already.
        let _ = self.commands.send(Command::Stop);
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
            .map_err(|error| unusable_client(&error))?;
        let (commands, received) = channel();
        let thread = ReaderThread {
            consumer: Arc::new(consumer),
            config,
            context,
            explainer,
            partitions: BTreeMap::new(),
            waiting: Vec::new(),
            wake: commands.clone(),
        };
        std::thread::Builder::new()
            .name("kafka-reader".to_string())
            .spawn(move || thread.run(&received))
            .map_err(|error| QueueError::Unknown(error.to_string()))?;
        Ok(Reader { commands })
    }

    /// Records that have been read already.
    pub async fn take(&self, request: FetchRequest) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.ask(Command::Take(request, answer), answered).await
    }

    /// Records at an offset below the end of the log. Errors: `Away` if none arrives in time.
    pub async fn read(&self, request: FetchRequest, longest: Duration) -> Answer {
        let (answer, answered) = oneshot::channel();
        let until = Instant::now() + longest;
        self.ask(Command::Read(request, until, answer), answered)
            .await
    }

    pub fn unassign(&self, at: TopicPartition) {
        // The thread ends only after this handle.
        let _ = self.commands.send(Command::Unassign(at));
    }

    async fn ask(&self, command: Command, answered: oneshot::Receiver<Answer>) -> Answer {
        let gone = || QueueError::Unknown("the reader thread has ended".to_string());
        self.commands.send(command).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

struct Waiting {
    request: FetchRequest,
    until: Instant,
    answer: oneshot::Sender<Answer>,
}

/// What the thread works with.
struct ReaderThread {
    consumer: Arc<BaseConsumer<Context>>,
    config: ClientConfig,
    context: Context,
    explainer: Explainer,
    partitions: BTreeMap<TopicPartition, PartitionReader>,
    waiting: Vec<Waiting>,
    wake: Sender<Command>,
}

impl ReaderThread {
    fn run(mut self, commands: &Receiver<Command>) {
        loop {
            // Records come through the queues of their partitions; this runs the callbacks, which record errors too.
            drop(self.consumer.poll(Duration::ZERO));
            self.context.bootstrap.restore(self.consumer.client());
            let pause = if self.waiting.is_empty() {
                POLL_INTERVAL
            } else {
                WAKE_INTERVAL
            };
            match commands.recv_timeout(pause) {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(command) => self.handle(command),
                Err(RecvTimeoutError::Timeout) => self.release_idle(),
            }
            while let Ok(command) = commands.try_recv() {
                match command {
                    Command::Stop => return,
                    command => self.handle(command),
                }
            }
            self.answer_waiting();
        }
    }

    fn handle(&mut self, command: Command) {
        match command {
            Command::Take(request, answer) => {
                let found = self
                    .partition(&request)
                    .take(request.from, request.max_bytes);
                let found = self.answer_for(&request, found.unwrap_or(Found::Empty));
                // The caller may have dropped its future.
                let _ = answer.send(found);
            }
            Command::Read(request, until, answer) => self.start_reading(request, until, answer),
            Command::Unassign(at) => self.unassign(at),
            Command::Wake | Command::Stop => {}
        }
    }

    fn partition(&mut self, request: &FetchRequest) -> &mut PartitionReader {
        let (name, partition) = &request.place;
        let new = || PartitionReader::new(name.clone(), *partition);
        self.partitions.entry(request.at).or_insert_with(new)
    }

    fn start_reading(
        &mut self,
        request: FetchRequest,
        until: Instant,
        answer: oneshot::Sender<Answer>,
    ) {
        let (consumer, wake) = (Arc::clone(&self.consumer), self.wake.clone());
        let partition = self.partition(&request);
        // Another request may have moved the client there meanwhile.
        let moved = match partition.is_at(request.from) {
            true => Ok(()),
            // If the thread has ended, nobody waits to be woken.
            false => partition.seek(&consumer, request.from, move || {
                drop(wake.send(Command::Wake))
            }),
        };
        match moved {
            Ok(()) => self.waiting.push(Waiting {
                request,
                until,
                answer,
            }),
            Err(error) => {
                self.unassign(request.at);
                let operation = Operation::Read(request.at.topic);
                let _ = answer.send(Err(self.explainer.explain(operation, &error)));
            }
        }
    }

    /// `Ok(None)`: nothing has arrived, or the offset is outside of the log.
    fn answer_for(&mut self, request: &FetchRequest, found: Found) -> Answer {
        match found {
            Found::Records(records) => Ok(Some(records)),
            Found::Empty => Ok(None),
            Found::Unreadable(offset, what) => Err(QueueError::BadRecord {
                at: request.at,
                offset,
                what,
            }),
            Found::Failed(error) => {
                self.unassign(request.at);
                match error.rdkafka_error_code() {
                    // Below the low watermark or above the end: the caller reads the bounds again.
                    Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => Ok(None),
                    _ => Err(self
                        .explainer
                        .explain(Operation::Read(request.at.topic), &error)),
                }
            }
        }
    }

    fn answer_waiting(&mut self) {
        let mut has_timed_out = false;
        for waiting in std::mem::take(&mut self.waiting) {
            let request = &waiting.request;
            let found = self
                .partition(request)
                .take(request.from, request.max_bytes);
            let answer = match found {
                // Another cursor has moved the client away.
                None => Ok(None),
                Some(Found::Empty) if Instant::now() < waiting.until => {
                    if !waiting.answer.is_closed() {
                        self.waiting.push(waiting);
                    }
                    continue;
                }
                Some(Found::Empty) => {
                    has_timed_out = true;
                    let operation = Operation::Read(request.at.topic);
                    Err(self.explainer.away(operation, "no record arrived"))
                }
                Some(found) => self.answer_for(request, found),
            };
            let _ = waiting.answer.send(answer);
        }
        if has_timed_out {
            self.replace_client();
        }
    }

    /// Replaces the client: one that has lost its brokers may stay silent after they are back, a new one does not.
    fn replace_client(&mut self) {
        match self.config.create_with_context(self.context.clone()) {
            Ok(consumer) => {
                // The callers read the bounds and ask again.
                for waiting in self.waiting.drain(..) {
                    let _ = waiting.answer.send(Ok(None));
                }
                self.partitions.clear();
                let old = std::mem::replace(&mut self.consumer, Arc::new(consumer));
                // Closing may take long while the cluster is away.
                std::thread::spawn(move || drop(old));
            }
            Err(error) => tracing::warn!(%error, "a new client for reading cannot be created"),
        }
    }

    fn unassign(&mut self, at: TopicPartition) {
        let consumer = Arc::clone(&self.consumer);
        if let Some(partition) = self.partitions.get_mut(&at)
            && let Err(error) = partition.unassign(&consumer)
        {
            tracing::debug!(%at, %error, "a partition cannot be unassigned");
        }
    }

    /// Unassigns partitions that are not read any more.
    fn release_idle(&mut self) {
        let idle = self
            .partitions
            .iter()
            .filter(|(_, partition)| partition.used_at.elapsed() >= IDLE_AFTER);
        let idle: Vec<TopicPartition> = idle.map(|(at, _)| *at).collect();
        for at in idle {
            self.unassign(at);
            self.partitions.remove(&at);
        }
    }
}
