//! A member of the consumer group, with two threads: one polls the consumer, which runs the rebalance callback; the other
//! commits. The engine receives changes of ownership through a channel.

mod assignments;
mod commits;
mod rebalance;
mod shared;

use super::bootstrap::Bootstrap;
use super::context::Context;
use super::failure::{Explainer, unusable_client};
use super::query::QueryClient;
use super::settings::KafkaSettings;
use crate::clock::{Clock, SystemClock};
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::{Commit, CommitOutcome, Membership, Ownership, QueueError, Token};
use async_trait::async_trait;
use commits::{CommitRequest, Committer};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rebalance::MemberContext;
use shared::Shared;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

/// How often new topics are looked for.
const TOPICS_INTERVAL: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// librdkafka may hang while it closes a consumer, so leaving takes no longer than this.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between leaving and joining, doubled each time up to the longest: the group settles before it is left again.
const REJOIN_PAUSE: Duration = Duration::from_secs(1);
/// How often an error is logged that a person must fix.
const REPORT_INTERVAL: Duration = Duration::from_secs(30);
const LONGEST_REJOIN_PAUSE: Duration = Duration::from_secs(30);

pub(super) struct KafkaMembership {
    lease: Duration,
    shared: Arc<Shared>,
    changes: tokio::sync::Mutex<UnboundedReceiver<Ownership>>,
    /// Dropping it ends the thread that commits, and after it the one that polls.
    requests: RefCell<Option<Sender<CommitRequest>>>,
    closed: RefCell<Option<oneshot::Receiver<()>>>,
    flush: Arc<dyn Fn(Duration) + Send + Sync>,
}

/// What a new member is made of.
pub(super) struct MemberSetup<'a> {
    pub name: &'a str,
    pub settings: &'a KafkaSettings,
    pub context: Context,
    pub queries: QueryClient,
    pub explainer: Explainer,
    pub topics: Vec<Topic>,
    /// Waits until appended records are acknowledged, for so long at the most.
    pub flush: Arc<dyn Fn(Duration) + Send + Sync>,
}

impl KafkaMembership {
    pub fn start(setup: MemberSetup<'_>) -> Result<KafkaMembership, QueueError> {
        let settings = setup.settings;
        let (changes, received) = unbounded_channel();
        let shared = Arc::new(Shared::new(changes, setup.topics));
        let bootstrap = setup.context.bootstrap.clone();
        let member = MemberContext {
            context: setup.context,
            shared: Arc::clone(&shared),
            env: settings.env.clone(),
        };
        let consumer: BaseConsumer<MemberContext> = settings
            .member(setup.name)
            .create_with_context(member)
            .map_err(|error| unusable_client(&error))?;
        let consumer = Arc::new(consumer);
        let committer = Committer {
            consumer: Arc::clone(&consumer),
            shared: Arc::clone(&shared),
            queries: setup.queries.clone(),
            env: settings.env.clone(),
            session: settings.session(),
            socket_timeout: settings.socket_timeout(),
            is_fenced_by_joining: !settings.uses_broker_assignor()
                && settings.instance_id.is_none(),
            last_contact: SystemClock.since_boot(),
        };
        let (requests, ordered) = channel();
        let committing = spawn("kafka-commits", move || committer.run(&ordered))?;
        let poller = Poller {
            consumer,
            shared: Arc::clone(&shared),
            send: Topic::Send.name(&settings.env),
            refreshed_at: Instant::now(),
            rejoin: None,
            pause: REJOIN_PAUSE,
            subscribed_at: Instant::now(),
            reported_at: None,
            queries: setup.queries.clone(),
            bootstrap,
            explainer: setup.explainer,
        };
        let (closing, closed) = oneshot::channel();
        spawn("kafka-member", move || {
            poller.run(&committing);
            // Nobody waits if the membership was dropped without leaving.
            let _ = closing.send(());
        })?;
        Ok(KafkaMembership {
            lease: settings.session(),
            shared,
            changes: tokio::sync::Mutex::new(received),
            requests: RefCell::new(Some(requests)),
            closed: RefCell::new(Some(closed)),
            flush: setup.flush,
        })
    }

    fn end(&self) {
        self.shared.change(|assignments| {
            assignments.has_left = true;
            assignments.lose_all()
        });
        self.requests.replace(None);
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
        let request = (commits, answer);
        let is_sent = match self.requests.borrow().as_ref() {
            Some(requests) => requests.send(request).is_ok(),
            // The group was left, so nothing is owned.
            None => return vec![CommitOutcome::Refused; count],
        };
        let gone =
            || vec![CommitOutcome::Unknown("the thread that commits has ended".into()); count];
        match is_sent {
            true => answered.await.unwrap_or_else(|_| gone()),
            false => gone(),
        }
    }

    async fn release(&self, at: TopicPartition, token: Token) {
        self.shared.release(at, token);
    }

    async fn leave(&self) {
        let begun = Instant::now();
        let flush = Arc::clone(&self.flush);
        // `flush` has logged what it could not do.
        let _ = tokio::task::spawn_blocking(move || flush(CLOSE_TIMEOUT)).await;
        self.end();
        let closed = self.closed.borrow_mut().take();
        if let Some(closed) = closed
            && tokio::time::timeout(CLOSE_TIMEOUT.saturating_sub(begun.elapsed()), closed)
                .await
                .is_err()
        {
            tracing::warn!("left the group without waiting for its coordinator");
        }
    }
}

/// What the thread that polls works with.
struct Poller {
    consumer: Arc<BaseConsumer<MemberContext>>,
    shared: Arc<Shared>,
    /// The name of the send topic, which is the only one that the group subscribes to.
    send: String,
    refreshed_at: Instant,
    /// When the group is to be joined again, after it was left.
    rejoin: Option<Instant>,
    pause: Duration,
    subscribed_at: Instant,
    reported_at: Option<Instant>,
    queries: QueryClient,
    bootstrap: Bootstrap,
    explainer: Explainer,
}

impl Poller {
    fn run(mut self, committing: &std::thread::JoinHandle<()>) {
        self.subscribe();
        while !self.shared.assignments().has_left {
            match self.consumer.poll(POLL_INTERVAL) {
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                    let why = format!("this worker can no longer be a member: {code}");
                    self.explainer.health.record_error(Code::Fatal, &why);
                }
                Some(Err(error)) => self.report(&error),
                Some(Ok(_)) | None => {}
            }
            // A worker that cannot append cannot write events and moves, so others must have its partitions.
            if let Err(why) = self.explainer.check_usable() {
                tracing::error!("{why}");
                self.shared.change(|assignments| {
                    assignments.must_rejoin = true;
                    assignments.lose_all()
                });
                break;
            }
            self.bootstrap.restore(self.consumer.client());
            self.rejoin_when_due();
            self.refresh_topics();
            self.shared
                .change(|assignments| assignments.regain_released());
        }
        // Dropping the last handle leaves the group, which may take long: it is done on this thread.
        while !committing.is_finished() {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(self.consumer);
    }

    /// A missing right needs a person. Other errors pass by themselves, and `Health` has recorded them.
    fn report(&mut self, error: &KafkaError) {
        tracing::debug!(%error, "the group's consumer");
        match error.rdkafka_error_code() {
            Some(code @ Code::GroupAuthorizationFailed) => {
                self.explainer
                    .health
                    .deny_membership(self.queries.explain_commit(code));
            }
            Some(code @ Code::TopicAuthorizationFailed)
                if self
                    .reported_at
                    .is_none_or(|at| at.elapsed() >= REPORT_INTERVAL) =>
            {
                self.reported_at = Some(Instant::now());
                let why = self.queries.explain_commit(code);
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

    /// Takes up tiers that were created since.
    fn refresh_topics(&mut self) {
        if self.refreshed_at.elapsed() < TOPICS_INTERVAL {
            return;
        }
        self.refreshed_at = Instant::now();
        if let Ok(there) = self.queries.topics_blocking() {
            let owned: Vec<Topic> = there.into_keys().filter(Topic::is_owned).collect();
            self.shared.add_topics(&owned);
            self.shared
                .change(|assignments| assignments.add_topics(&owned));
        }
    }

    /// Leaves the group when that is wanted, and joins it again when nothing is assigned and the pause is over.
    fn rejoin_when_due(&mut self) {
        match self.rejoin {
            None if self.shared.assignments().must_rejoin => {
                if self.subscribed_at.elapsed() > LONGEST_REJOIN_PAUSE * 2 {
                    self.pause = REJOIN_PAUSE;
                }
                self.consumer.unsubscribe();
                self.rejoin = Some(Instant::now() + self.pause);
                self.pause = (self.pause * 2).min(LONGEST_REJOIN_PAUSE);
            }
            Some(at) if Instant::now() >= at && self.shared.assignments().assigned_count() == 0 => {
                self.rejoin = None;
                self.shared.assignments().must_rejoin = false;
                self.subscribe();
            }
            _ => {}
        }
    }
}
