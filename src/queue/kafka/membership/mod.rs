//! A worker's place in the consumer group: a thread that polls (rebalances run there) and one that commits. The
//! engine hears of changes through a channel and waits for nothing else.

mod commits;
mod rebalance;
mod seats;
mod shared;

use super::alone::Alone;
use super::asker::{Asker, unusable};
use super::context::Context;
use super::failure::Explainer;
use super::settings::KafkaSettings;
use crate::clock::{Clock, SystemClock};
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::{Commit, CommitOutcome, Membership, Ownership, QueueError, Token};
use async_trait::async_trait;
use commits::{Committer, Order};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rebalance::Member;
use shared::Shared;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

/// Topics are looked for this often.
const LOOK: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);
/// librdkafka may hang when it closes: who leaves does not wait longer.
const CLOSE: Duration = Duration::from_secs(10);
/// A group that is left and joined again settles before it is left again.
const REJOIN_PAUSE: Duration = Duration::from_secs(1);
/// What needs a person is said this often.
const TELL_EVERY: Duration = Duration::from_secs(30);
const LONGEST_REJOIN_PAUSE: Duration = Duration::from_secs(30);

pub(super) struct KafkaMembership {
    lease: Duration,
    shared: Arc<Shared>,
    changes: tokio::sync::Mutex<UnboundedReceiver<Ownership>>,
    /// Dropped: the committing thread ends, and after it the polling one.
    orders: RefCell<Option<Sender<Order>>>,
    closed: RefCell<Option<oneshot::Receiver<()>>>,
    before_leaving: Arc<dyn Fn(Duration) + Send + Sync>,
}

/// What a new membership is made of.
pub(super) struct Joining<'a> {
    pub name: &'a str,
    pub settings: &'a KafkaSettings,
    pub context: Context,
    pub asker: Asker,
    pub explainer: Explainer,
    pub topics: Vec<Topic>,
    /// Flushes what was appended, for so long at the most.
    pub before_leaving: Arc<dyn Fn(Duration) + Send + Sync>,
}

impl KafkaMembership {
    pub fn start(joining: Joining<'_>) -> Result<KafkaMembership, QueueError> {
        let settings = joining.settings;
        let (changes, received) = unbounded_channel();
        let shared = Arc::new(Shared::new(changes, joining.topics));
        let alone = joining.context.alone.clone();
        let member = Member {
            context: joining.context,
            shared: Arc::clone(&shared),
            env: settings.env.clone(),
        };
        let consumer: BaseConsumer<Member> = settings
            .member(joining.name)
            .create_with_context(member)
            .map_err(|error| unusable(&error))?;
        let consumer = Arc::new(consumer);
        let committer = Committer {
            consumer: Arc::clone(&consumer),
            shared: Arc::clone(&shared),
            asker: joining.asker.clone(),
            env: settings.env.clone(),
            session: settings.session(),
            socket_timeout: settings.socket_timeout(),
            is_fenced_by_joining: !settings.uses_broker_assignor()
                && settings.instance_id.is_none(),
            contact: SystemClock.since_boot(),
        };
        let (orders, ordered) = channel();
        let committing = spawn("kafka-commits", move || committer.run(&ordered))?;
        let poller = Poller {
            consumer,
            shared: Arc::clone(&shared),
            send: Topic::Send.name(&settings.env),
            looked_at: Instant::now(),
            rejoin: None,
            pause: REJOIN_PAUSE,
            subscribed_at: Instant::now(),
            told_at: None,
            asker: joining.asker.clone(),
            alone,
            explainer: joining.explainer,
        };
        let (closing, closed) = oneshot::channel();
        spawn("kafka-member", move || {
            poller.run(&committing);
            // Nobody may wait for it.
            let _ = closing.send(());
        })?;
        Ok(KafkaMembership {
            lease: settings.session(),
            shared,
            changes: tokio::sync::Mutex::new(received),
            orders: RefCell::new(Some(orders)),
            closed: RefCell::new(Some(closed)),
            before_leaving: joining.before_leaving,
        })
    }

    fn end(&self) {
        self.shared.change(|seats| {
            seats.has_left = true;
            seats.lose_all()
        });
        self.orders.replace(None);
    }
}

fn spawn(
    name: &str,
    run: impl FnOnce() + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, QueueError> {
    let thread = std::thread::Builder::new().name(name.to_string());
    let failed = |error: std::io::Error| QueueError::Unknown(error.to_string());
    thread.spawn(run).map_err(failed)
}

impl Drop for KafkaMembership {
    fn drop(&mut self) {
        self.end();
    }
}

#[async_trait(?Send)]
impl Membership for KafkaMembership {
    fn lease(&self) -> Duration {
        self.lease
    }

    async fn changed(&self) -> Ownership {
        match self.changes.lock().await.recv().await {
            Some(change) => change,
            None => std::future::pending().await,
        }
    }

    async fn commit(&self, commits: Vec<Commit>) -> Vec<CommitOutcome> {
        let count = commits.len();
        let (answer, answered) = oneshot::channel();
        let order = (commits, answer);
        let is_sent = match self.orders.borrow().as_ref() {
            Some(orders) => orders.send(order).is_ok(),
            // Left: whatever was owned is not any more.
            None => return vec![CommitOutcome::Refused; count],
        };
        let gone = || vec![CommitOutcome::Unknown("the committing thread has ended".into()); count];
        match is_sent {
            true => answered.await.unwrap_or_else(|_| gone()),
            false => gone(),
        }
    }

    async fn release(&self, at: TopicPartition, token: Token) {
        self.shared.give_up(at, token);
    }

    async fn leave(&self) {
        let begun = Instant::now();
        let flush = Arc::clone(&self.before_leaving);
        // What it could not do is in the log.
        let _ = tokio::task::spawn_blocking(move || flush(CLOSE)).await;
        self.end();
        let closed = self.closed.borrow_mut().take();
        if let Some(closed) = closed
            && tokio::time::timeout(CLOSE.saturating_sub(begun.elapsed()), closed)
                .await
                .is_err()
        {
            tracing::warn!("left the group without waiting for its coordinator");
        }
    }
}

/// The polling thread's side.
struct Poller {
    consumer: Arc<BaseConsumer<Member>>,
    shared: Arc<Shared>,
    /// The name of the one topic that is subscribed to.
    send: String,
    looked_at: Instant,
    /// When the group is joined again.
    rejoin: Option<Instant>,
    pause: Duration,
    subscribed_at: Instant,
    told_at: Option<Instant>,
    asker: Asker,
    alone: Alone,
    explainer: Explainer,
}

impl Poller {
    fn run(mut self, committing: &std::thread::JoinHandle<()>) {
        self.subscribe();
        while !self.shared.seats().has_left {
            match self.consumer.poll(POLL) {
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                    let why = format!("this worker can no longer be a member: {code}");
                    self.explainer.health.note(Code::Fatal, &why);
                }
                Some(Err(error)) => self.tell(&error),
                Some(Ok(_)) | None => {}
            }
            // Who cannot append cannot keep his promises: what he owns is for others.
            if let Err(why) = self.explainer.unbroken() {
                tracing::error!("{why}");
                self.shared.change(|seats| {
                    seats.must_rejoin = true;
                    seats.lose_all()
                });
                break;
            }
            self.alone.mend(self.consumer.client());
            self.join_again();
            self.look_for_topics();
            self.shared.change(|seats| seats.offer_again());
        }
        // The last handle closes the consumer, which tells the coordinator; here, since it may take long.
        while !committing.is_finished() {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(self.consumer);
    }

    /// A right that is missing needs a person; all else passes by itself, and is told by the clients' health.
    fn tell(&mut self, error: &KafkaError) {
        tracing::debug!(%error, "the group's consumer");
        match error.rdkafka_error_code() {
            Some(code @ Code::GroupAuthorizationFailed) => {
                self.explainer.health.deny(self.asker.explain_commit(code));
            }
            Some(code @ Code::TopicAuthorizationFailed)
                if self.told_at.is_none_or(|at| at.elapsed() >= TELL_EVERY) =>
            {
                self.told_at = Some(Instant::now());
                let why = self.asker.explain_commit(code);
                tracing::error!("the group cannot be joined: {why}");
            }
            _ => {}
        }
    }

    fn subscribe(&mut self) {
        self.subscribed_at = Instant::now();
        if let Err(error) = self.consumer.subscribe(&[&self.send]) {
            tracing::error!(%error, "the group cannot be joined");
        }
    }

    /// A tier that was created meanwhile is worked on too.
    fn look_for_topics(&mut self) {
        if self.looked_at.elapsed() < LOOK {
            return;
        }
        self.looked_at = Instant::now();
        if let Ok(there) = self.asker.list_blocking() {
            let owned: Vec<Topic> = there.into_keys().filter(Topic::is_owned).collect();
            self.shared.add_topics(&owned);
            self.shared.change(|seats| seats.add_topics(&owned));
        }
    }

    /// Leaves when that is wanted, and joins again when nothing is assigned any more.
    fn join_again(&mut self) {
        match self.rejoin {
            None if self.shared.seats().must_rejoin => {
                if self.subscribed_at.elapsed() > LONGEST_REJOIN_PAUSE * 2 {
                    self.pause = REJOIN_PAUSE;
                }
                self.consumer.unsubscribe();
                self.rejoin = Some(Instant::now() + self.pause);
                self.pause = (self.pause * 2).min(LONGEST_REJOIN_PAUSE);
            }
            Some(at) if Instant::now() >= at && self.shared.seats().assigned() == 0 => {
                self.rejoin = None;
                self.shared.seats().must_rejoin = false;
                self.subscribe();
            }
            _ => {}
        }
    }
}
