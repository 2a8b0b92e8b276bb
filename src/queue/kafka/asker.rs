//! Questions to the cluster: topics, ends of logs, commits, members. One client that is never a member; each question
//! blocks a thread of its own.

use super::context::Context;
use super::failure::{Doing, Explainer};
use super::group;
use super::settings::KafkaSettings;
use crate::domain::ids::Partition;
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::{Bounds, Committed, Member, QueueError};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::Offset as Place;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Callbacks of a client run only while somebody polls it.
const POLL: Duration = Duration::from_millis(100);
/// A leader that is there has answered by then.
const QUICK: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(super) struct Asker {
    consumer: Arc<BaseConsumer<Context>>,
    explainer: Explainer,
    env: Arc<str>,
    group: Arc<str>,
    timeout: Duration,
    known: Arc<Mutex<BTreeMap<Topic, Partition>>>,
    _polling: Arc<Polling>,
}

/// Ends the polling thread when the last asker is gone.
struct Polling(Arc<AtomicBool>);

impl Drop for Polling {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Asker {
    /// Connects to nobody yet. Errors: what librdkafka says about the configuration.
    pub fn start(
        settings: &KafkaSettings,
        context: Context,
        explainer: Explainer,
    ) -> Result<Asker, QueueError> {
        let alone = context.alone.clone();
        let consumer: BaseConsumer<Context> = settings
            .asker()
            .create_with_context(context)
            .map_err(|error| unusable(&error))?;
        let consumer = Arc::new(consumer);
        let stop = Arc::new(AtomicBool::new(false));
        let (polled, stopped) = (Arc::clone(&consumer), Arc::clone(&stop));
        std::thread::Builder::new()
            .name("kafka-asker".to_string())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    // It is subscribed to nothing: all that comes are callbacks and errors, which they tell.
                    drop(polled.poll(POLL));
                    alone.mend(polled.client());
                }
            })
            .map_err(|error| QueueError::Unknown(error.to_string()))?;
        let limit = settings.queue_timeout.unwrap_or(Duration::MAX);
        Ok(Asker {
            consumer,
            explainer,
            env: Arc::from(settings.env.as_str()),
            group: Arc::from(settings.group().as_str()),
            timeout: settings.socket_timeout().min(limit),
            known: Arc::default(),
            _polling: Arc::new(Polling(stop)),
        })
    }

    /// What the coordinator has refused, for messages.
    pub fn explain_commit(&self, code: Code) -> QueueError {
        self.explainer.explain_code(Doing::Commit, code)
    }

    /// Runs a question on a thread that may block.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Asker) -> Result<T, QueueError> + Send + 'static,
    ) -> Result<T, QueueError> {
        let asker = self.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let answer = question(&asker);
            if answer.is_ok() {
                asker.explainer.health.well();
            }
            answer
        });
        // A panic of librdkafka's binding: something that should be UTF-8 is not.
        let broken = |error: tokio::task::JoinError| QueueError::Unknown(error.to_string());
        answer.await.map_err(broken)?
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Topic, Partition>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The topics of this environment with their partition counts; blocks.
    pub fn list_blocking(&self) -> Result<BTreeMap<Topic, Partition>, QueueError> {
        let metadata = self
            .consumer
            .fetch_metadata(None, self.timeout)
            .map_err(|error| self.explainer.explain(Doing::List, &error))?;
        let mut found = BTreeMap::new();
        for described in metadata.topics() {
            let topic = Topic::from_name(&self.env, described.name());
            let topic = topic.filter(|topic| topic.name(&self.env) == described.name());
            let led = described.partitions().iter().all(|p| p.leader() >= 0);
            if let Some(topic) = topic.filter(|_| led && !described.partitions().is_empty()) {
                let count = Partition::try_from(described.partitions().len()).unwrap_or(0);
                found.insert(topic, count);
            }
        }
        self.explainer.health.well();
        *self.known() = found.clone();
        Ok(found)
    }

    pub async fn list(&self) -> Result<BTreeMap<Topic, Partition>, QueueError> {
        self.ask(Asker::list_blocking).await
    }

    pub async fn broker_count(&self) -> Result<usize, QueueError> {
        self.ask(|asker| {
            let metadata = asker.consumer.fetch_metadata(None, asker.timeout);
            let metadata =
                metadata.map_err(|error| asker.explainer.explain(Doing::List, &error))?;
            Ok(metadata.brokers().len())
        })
        .await
    }

    /// How many partitions a topic has. Errors: `NoTopic`, at once; `Denied`.
    pub async fn count(&self, topic: Topic) -> Result<Partition, QueueError> {
        if let Some(count) = self.known().get(&topic) {
            return Ok(*count);
        }
        self.ask(move |asker| match asker.list_blocking()?.get(&topic) {
            Some(count) => Ok(*count),
            None => Err(asker.why_unlisted(topic)),
        })
        .await
    }

    /// Topics that we may not see are not listed: asked for by name, they are refused.
    fn why_unlisted(&self, topic: Topic) -> QueueError {
        let name = topic.name(&self.env);
        let doing = Doing::Describe(topic);
        match self.consumer.fetch_metadata(Some(&name), self.timeout) {
            Err(error) => self.explainer.explain(doing, &error),
            Ok(metadata) => {
                let described = metadata.topics().iter().find(|t| t.name() == name);
                match described.and_then(|t| t.error()) {
                    Some(code) => self.explainer.explain_code(doing, Code::from(code)),
                    None => QueueError::NoTopic(topic),
                }
            }
        }
    }

    /// The topic's name and the partition as librdkafka counts. Errors: `NoTopic`.
    pub async fn place(&self, at: TopicPartition) -> Result<(String, i32), QueueError> {
        let count = self.count(at.topic).await?;
        match i32::try_from(at.partition) {
            Ok(partition) if at.partition < count => Ok((at.topic.name(&self.env), partition)),
            _ => Err(QueueError::NoTopic(at.topic)),
        }
    }

    pub async fn bounds(&self, at: TopicPartition) -> Result<Bounds, QueueError> {
        let (name, partition) = self.place(at).await?;
        self.ask(move |asker| {
            let doing = Doing::Describe(at.topic);
            let (low, end) = asker
                .watermarks(&name, partition)
                .map_err(|error| asker.explainer.explain(doing, &error))?;
            Ok(Bounds {
                low_watermark: u64::try_from(low).unwrap_or(0),
                end: u64::try_from(end).unwrap_or(0),
            })
        })
        .await
    }

    /// librdkafka goes by what it has heard of a partition's leader, and believes that for `metadata.max.age.ms`, 15
    /// minutes: it waits for a dead one, or fails at once where there was none. So after trouble it is made to ask.
    fn watermarks(&self, name: &str, partition: i32) -> KafkaResult<(i64, i64)> {
        let ask = |timeout| self.consumer.fetch_watermarks(name, partition, timeout);
        ask(self.timeout.min(QUICK)).or_else(|_| {
            self.consumer.fetch_metadata(Some(name), self.timeout)?;
            ask(self.timeout)
        })
    }

    /// One request for all, in the order asked.
    pub async fn committed(
        &self,
        at: Vec<TopicPartition>,
    ) -> Result<Vec<Option<Committed>>, QueueError> {
        self.ask(move |asker| asker.committed_blocking(&at)).await
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
            wanted.add_partition(&at.topic.name(&self.env), partition_of(*at));
        }
        let explain = |error: KafkaError| self.explainer.explain(Doing::Commit, &error);
        let found = self
            .consumer
            .committed_offsets(wanted, self.timeout)
            .map_err(explain)?;
        self.explainer.health.group_well();
        let mut committed = BTreeMap::new();
        for element in found.elements() {
            element.error().map_err(explain)?;
            if let Place::Offset(offset) = element.offset() {
                let key = (element.topic().to_string(), element.partition());
                let commit = Committed {
                    offset: u64::try_from(offset).unwrap_or(0),
                    text: element.metadata().to_string(),
                };
                committed.insert(key, commit);
            }
        }
        let of =
            |at: &TopicPartition| committed.remove(&(at.topic.name(&self.env), partition_of(*at)));
        Ok(at.iter().map(of).collect())
    }

    /// Commits without being a member, which brokers take only while the group is empty. `false`: it is not.
    pub async fn commit_outside(
        &self,
        commits: Vec<(TopicPartition, Committed)>,
    ) -> Result<bool, QueueError> {
        if commits.is_empty() {
            return Ok(true);
        }
        self.ask(move |asker| {
            let mut list = TopicPartitionList::new();
            for (at, commit) in &commits {
                let name = at.topic.name(&asker.env);
                add_commit(&mut list, (&name, *at), commit)
                    .map_err(|error| asker.explainer.explain(Doing::Commit, &error))?;
            }
            match asker.consumer.commit(&list, CommitMode::Sync) {
                Ok(()) => Ok(true),
                Err(error) => match error.rdkafka_error_code() {
                    Some(Code::UnknownMemberId | Code::IllegalGeneration) => Ok(false),
                    _ => Err(asker.explainer.explain(Doing::Commit, &error)),
                },
            }
        })
        .await
    }

    pub async fn members(&self) -> Result<Vec<Member>, QueueError> {
        self.ask(|asker| {
            let listed = asker
                .consumer
                .fetch_group_list(Some(&asker.group), asker.timeout)
                .map_err(|error| asker.explainer.explain(Doing::Members, &error))?;
            // Every tier's partition goes with send's of the same index.
            let topics: Vec<Topic> = asker.list_blocking()?.into_keys().collect();
            let topics: Vec<Topic> = topics.into_iter().filter(Topic::is_owned).collect();
            let groups = listed.groups().iter();
            let members = groups.flat_map(|group| group.members());
            Ok(members
                .map(|member| Member {
                    name: group::member_name(member.client_id()).to_string(),
                    owned: group::owned(
                        &asker.env,
                        &topics,
                        member.assignment().unwrap_or_default(),
                    ),
                })
                .collect())
        })
        .await
    }
}

/// Partitions are never so many; what cannot be one is refused by the cluster.
pub(super) fn partition_of(at: TopicPartition) -> i32 {
    i32::try_from(at.partition).unwrap_or(i32::MAX)
}

/// Adds an offset with its text to a list, which must be new: the binding leaks a text that is set twice.
pub(super) fn add_commit(
    list: &mut TopicPartitionList,
    (name, at): (&str, TopicPartition),
    commit: &Committed,
) -> Result<(), KafkaError> {
    let offset = i64::try_from(commit.offset).unwrap_or(i64::MAX);
    let mut element = list.add_partition(name, partition_of(at));
    element.set_offset(Place::Offset(offset))?;
    element.set_metadata(&commit.text);
    Ok(())
}

/// A client that cannot be made: something in the properties. The binding names the property, not its value.
pub(super) fn unusable(error: &KafkaError) -> QueueError {
    let (name, why) = match error {
        KafkaError::ClientConfig(_, what, name, _) => (name.clone(), what.clone()),
        other => ("[kafka] properties".to_string(), other.to_string()),
    };
    QueueError::Setting { name, why }
}
