//! Queries: topics, bounds of logs, commits and members. One client, which is never a member of the group. librdkafka's
//! calls block, so each query runs on a thread that may block.

use super::context::Context;
use super::failure::{Explainer, Operation, unusable_client};
use super::group;
use super::settings::KafkaSettings;
use crate::domain::ids::{Offset, Partition};
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::{Bounds, Committed, Member, QueueError};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::Offset as Position;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// librdkafka runs the callbacks of a client only while the client is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// A leader that is up answers within this; then the metadata is read again.
const FIRST_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(super) struct QueryClient {
    consumer: Arc<BaseConsumer<Context>>,
    explainer: Explainer,
    env: Arc<str>,
    group: Arc<str>,
    timeout: Duration,
    /// As last listed.
    partition_counts: Arc<Mutex<BTreeMap<Topic, Partition>>>,
    _polling: Arc<Polling>,
}

/// Ends the thread that polls when the last clone of the client is dropped.
struct Polling(Arc<AtomicBool>);

impl Drop for Polling {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl QueryClient {
    /// Does not connect yet. Errors: `Setting`.
    pub fn start(
        settings: &KafkaSettings,
        context: Context,
        explainer: Explainer,
    ) -> Result<QueryClient, QueueError> {
        let bootstrap = context.bootstrap.clone();
        let consumer: BaseConsumer<Context> = settings
            .query_client()
            .create_with_context(context)
            .map_err(|error| unusable_client(&error))?;
        let consumer = Arc::new(consumer);
        let stop = Arc::new(AtomicBool::new(false));
        let (polled, stopped) = (Arc::clone(&consumer), Arc::clone(&stop));
        std::thread::Builder::new()
            .name("kafka-queries".to_string())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    // The client subscribes to nothing, so this only runs callbacks, which record errors too.
                    drop(polled.poll(POLL_INTERVAL));
                    bootstrap.restore(polled.client());
                }
            })
            .map_err(|error| QueueError::Unknown(error.to_string()))?;
        let limit = settings.queue_timeout.unwrap_or(Duration::MAX);
        Ok(QueryClient {
            consumer,
            explainer,
            env: Arc::from(settings.env.as_str()),
            group: Arc::from(settings.group().as_str()),
            timeout: settings.socket_timeout().min(limit),
            partition_counts: Arc::default(),
            _polling: Arc::new(Polling(stop)),
        })
    }

    /// The error for a commit that the coordinator has refused.
    pub fn explain_commit(&self, code: Code) -> QueueError {
        self.explainer.explain_code(Operation::Commit, code)
    }

    /// Runs a query on a thread that may block. Dropping the future does not stop it.
    async fn run_blocking<T: Send + 'static>(
        &self,
        query: impl FnOnce(&QueryClient) -> Result<T, QueueError> + Send + 'static,
    ) -> Result<T, QueueError> {
        let queries = self.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let answer = query(&queries);
            if answer.is_ok() {
                queries.explainer.health.answered();
            }
            answer
        });
        // The binding panics if a text of the broker is not UTF-8.
        let broken = |error: tokio::task::JoinError| QueueError::Unknown(error.to_string());
        answer.await.map_err(broken)?
    }

    fn partition_counts(&self) -> MutexGuard<'_, BTreeMap<Topic, Partition>> {
        self.partition_counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The topics of this environment with their partition counts; blocks. A topic with a partition that has no leader
    /// is left out.
    pub fn topics_blocking(&self) -> Result<BTreeMap<Topic, Partition>, QueueError> {
        let metadata = self
            .consumer
            .fetch_metadata(None, self.timeout)
            .map_err(|error| self.explainer.explain(Operation::List, &error))?;
        let mut found = BTreeMap::new();
        for described in metadata.topics() {
            let topic = Topic::from_name(&self.env, described.name());
            let topic = topic.filter(|topic| topic.name(&self.env) == described.name());
            let led = described.partitions().iter().all(|p| p.leader() >= 0);
            if let Some(topic) = topic.filter(|_| led && !described.partitions().is_empty()) {
                found.insert(topic, count_of(described.partitions().len())?);
            }
        }
        self.explainer.health.answered();
        *self.partition_counts() = found.clone();
        Ok(found)
    }

    pub async fn topics(&self) -> Result<BTreeMap<Topic, Partition>, QueueError> {
        self.run_blocking(QueryClient::topics_blocking).await
    }

    pub async fn broker_count(&self) -> Result<usize, QueueError> {
        self.run_blocking(|queries| {
            let metadata = queries.consumer.fetch_metadata(None, queries.timeout);
            let metadata =
                metadata.map_err(|error| queries.explainer.explain(Operation::List, &error))?;
            Ok(metadata.brokers().len())
        })
        .await
    }

    /// How many partitions a topic has. Errors: `NoTopic`, without waiting for it; `Denied`.
    pub async fn partition_count(&self, topic: Topic) -> Result<Partition, QueueError> {
        if let Some(count) = self.partition_counts().get(&topic) {
            return Ok(*count);
        }
        self.run_blocking(
            move |queries| match queries.topics_blocking()?.get(&topic) {
                Some(count) => Ok(*count),
                None => Err(queries.why_not_listed(topic)),
            },
        )
        .await
    }

    /// A topic that we may not see is not listed. Only a request for it by name is refused.
    fn why_not_listed(&self, topic: Topic) -> QueueError {
        let name = topic.name(&self.env);
        let operation = Operation::Describe(topic);
        match self.consumer.fetch_metadata(Some(&name), self.timeout) {
            Err(error) => self.explainer.explain(operation, &error),
            Ok(metadata) => {
                let described = metadata.topics().iter().find(|t| t.name() == name);
                match described.and_then(|t| t.error()) {
                    Some(code) => self.explainer.explain_code(operation, Code::from(code)),
                    None => QueueError::NoTopic(topic),
                }
            }
        }
    }

    /// The topic's name and the partition's index in librdkafka's type. Errors: `NoTopic`.
    pub async fn locate(&self, at: TopicPartition) -> Result<(String, i32), QueueError> {
        let count = self.partition_count(at.topic).await?;
        match i32::try_from(at.partition) {
            Ok(partition) if at.partition < count => Ok((at.topic.name(&self.env), partition)),
            _ => Err(QueueError::NoTopic(at.topic)),
        }
    }

    pub async fn bounds(&self, at: TopicPartition) -> Result<Bounds, QueueError> {
        let (name, partition) = self.locate(at).await?;
        self.run_blocking(move |queries| {
            let operation = Operation::Describe(at.topic);
            let (low, end) = queries
                .watermarks(&name, partition)
                .map_err(|error| queries.explainer.explain(operation, &error))?;
            Ok(Bounds {
                low_watermark: offset(low)?,
                end: offset(end)?,
            })
        })
        .await
    }

    /// librdkafka caches a partition's leader for 15 minutes (`metadata.max.age.ms`). It waits for one that is dead, and
    /// fails at once where there was none. So after an error the metadata is read again.
    fn watermarks(&self, name: &str, partition: i32) -> KafkaResult<(i64, i64)> {
        let ask = |timeout| self.consumer.fetch_watermarks(name, partition, timeout);
        ask(self.timeout.min(FIRST_TIMEOUT)).or_else(|_| {
            self.consumer.fetch_metadata(Some(name), self.timeout)?;
            ask(self.timeout)
        })
    }

    /// The commits of partitions in the order given, in one request.
    pub async fn committed(
        &self,
        at: Vec<TopicPartition>,
    ) -> Result<Vec<Option<Committed>>, QueueError> {
        self.run_blocking(move |queries| queries.committed_blocking(&at))
            .await
    }

    pub fn committed_blocking(
        &self,
        at: &[TopicPartition],
    ) -> Result<Vec<Option<Committed>>, QueueError> {
        if at.is_empty() {
            return Ok(Vec::new());
        }
        let mut wanted = TopicPartitionList::new();
        for at in at {
            wanted.add_partition(&at.topic.name(&self.env), partition_index(*at));
        }
        let explain = |error: KafkaError| self.explainer.explain(Operation::Commit, &error);
        let found = self
            .consumer
            .committed_offsets(wanted, self.timeout)
            .map_err(explain)?;
        self.explainer.health.group_answered();
        let mut committed = BTreeMap::new();
        for element in found.elements() {
            element.error().map_err(explain)?;
            if let Position::Offset(offset) = element.offset() {
                let key = (element.topic().to_string(), element.partition());
                let commit = Committed {
                    offset: self::offset(offset)?,
                    text: element.metadata().to_string(),
                };
                committed.insert(key, commit);
            }
        }
        let of = |at: &TopicPartition| {
            committed.remove(&(at.topic.name(&self.env), partition_index(*at)))
        };
        Ok(at.iter().map(of).collect())
    }

    /// Commits without being a member, which brokers accept only while the group has no members. `false`: it has some.
    pub async fn commit_without_membership(
        &self,
        commits: Vec<(TopicPartition, Committed)>,
    ) -> Result<bool, QueueError> {
        if commits.is_empty() {
            return Ok(true);
        }
        self.run_blocking(move |queries| {
            let mut list = TopicPartitionList::new();
            for (at, commit) in &commits {
                let name = at.topic.name(&queries.env);
                add_commit(&mut list, (&name, *at), commit)
                    .map_err(|error| queries.explainer.explain(Operation::Commit, &error))?;
            }
            match queries.consumer.commit(&list, CommitMode::Sync) {
                Ok(()) => Ok(true),
                Err(error) => match error.rdkafka_error_code() {
                    Some(Code::UnknownMemberId | Code::IllegalGeneration) => Ok(false),
                    _ => Err(queries.explainer.explain(Operation::Commit, &error)),
                },
            }
        })
        .await
    }

    pub async fn members(&self) -> Result<Vec<Member>, QueueError> {
        self.run_blocking(|queries| {
            let listed = queries
                .consumer
                .fetch_group_list(Some(&queries.group), queries.timeout)
                .map_err(|error| queries.explainer.explain(Operation::Members, &error))?;
            // A partition of each tier goes with the send partition of the same index.
            let topics: Vec<Topic> = queries.topics_blocking()?.into_keys().collect();
            let topics: Vec<Topic> = topics.into_iter().filter(Topic::is_owned).collect();
            let groups = listed.groups().iter();
            let members = groups.flat_map(|group| group.members());
            Ok(members
                .map(|member| Member {
                    name: group::member_name(member.client_id()).to_string(),
                    owned: group::owned(
                        &queries.env,
                        &topics,
                        member.assignment().unwrap_or_default(),
                    ),
                })
                .collect())
        })
        .await
    }
}

fn offset(given: i64) -> Result<Offset, QueueError> {
    let negative = |_| QueueError::Unknown(format!("a broker answered with the offset {given}"));
    Offset::try_from(given).map_err(negative)
}

fn count_of(given: usize) -> Result<Partition, QueueError> {
    let many = |_| QueueError::Unknown(format!("a topic of {given} partitions"));
    Partition::try_from(given).map_err(many)
}

/// The partition's index in librdkafka's type. One that is out of range does not exist, and the cluster refuses it.
pub(super) fn partition_index(at: TopicPartition) -> i32 {
    i32::try_from(at.partition).unwrap_or(i32::MAX)
}

/// Adds an offset with its text to a list. A partition must not be added twice: the binding leaks the first text.
pub(super) fn add_commit(
    list: &mut TopicPartitionList,
    (name, at): (&str, TopicPartition),
    commit: &Committed,
) -> Result<(), KafkaError> {
    let offset = i64::try_from(commit.offset).unwrap_or(i64::MAX);
    let mut element = list.add_partition(name, partition_index(at));
    element.set_offset(Position::Offset(offset))?;
    element.set_metadata(&commit.text);
    Ok(())
}
