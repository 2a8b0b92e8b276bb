//! Topics as they must be: none of them deletes by itself, and the log's own time counts.

use super::asker::{Asker, unusable};
use super::context::Context;
use super::failure::{Doing, Explainer};
use super::settings::KafkaSettings;
use crate::domain::ids::{Offset, Partition};
use crate::domain::topic::{INITIAL_COMMIT, Topic, TopicPartition};
use crate::queue::{Committed, QueueError};
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::topic_partition_list::Offset as Place;
use std::time::Duration;

/// Topics that were created are led by a broker within this.
const LED_WITHIN: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(50);

pub(super) struct Topics {
    pub(super) admin: AdminClient<Context>,
    asker: Asker,
    pub(super) explainer: Explainer,
    partitions: Partition,
    replication: i16,
    pub(super) timeout: Duration,
}

/// What a topic is created with, and what `topics describe` compares with: name and value of each configuration.
pub fn configuration(topic: Topic, replication: i16) -> Vec<(&'static str, String)> {
    // Topics that are compacted are also dropped from: brokers drop only where `delete` is a policy.
    let (policy, dirty) = match topic.is_compacted() {
        true => ("compact,delete", "0.1"),
        false => ("delete", "0.5"),
    };
    let in_sync = (replication - 1).max(1);
    vec![
        ("cleanup.policy", policy.to_string()),
        // Unsent mail is as old as its rate says; what is sent is dropped explicitly.
        ("retention.ms", "-1".to_string()),
        ("retention.bytes", "-1".to_string()),
        ("message.timestamp.type", "LogAppendTime".to_string()),
        ("min.insync.replicas", in_sync.to_string()),
        ("unclean.leader.election.enable", "false".to_string()),
        ("min.cleanable.dirty.ratio", dirty.to_string()),
    ]
}

impl Topics {
    pub fn start(
        settings: &KafkaSettings,
        context: Context,
        explainer: Explainer,
        asker: Asker,
    ) -> Result<Topics, QueueError> {
        Ok(Topics {
            admin: settings
                .admin()
                .create_with_context(context)
                .map_err(|error| unusable(&error))?,
            asker,
            explainer,
            partitions: settings.partitions.max(1),
            replication: settings.replication.max(1),
            timeout: settings.socket_timeout(),
        })
    }

    pub(super) fn options(&self) -> AdminOptions {
        AdminOptions::new()
            .request_timeout(Some(self.timeout))
            .operation_timeout(Some(self.timeout))
    }

    /// Creates what is missing, waits until it is led, and commits the beginning of what is owned.
    pub async fn create(&self, topics: &[Topic]) -> Result<(), QueueError> {
        let there = self.asker.list().await?;
        // A new tier has as many partitions as send, whatever the configuration says now.
        let partitions = there.get(&Topic::Send).copied().unwrap_or(self.partitions);
        let missing: Vec<Topic> = topics
            .iter()
            .copied()
            .filter(|topic| !there.contains_key(topic))
            .collect();
        if !missing.is_empty() {
            self.create_missing(&missing, partitions).await?;
            self.until_led(&missing).await?;
        }
        self.commit_beginnings(topics).await
    }

    async fn create_missing(
        &self,
        missing: &[Topic],
        partitions: Partition,
    ) -> Result<(), QueueError> {
        let brokers = self.asker.broker_count().await?;
        let brokers = i16::try_from(brokers).unwrap_or(i16::MAX).max(1);
        let replication = self.replication.min(brokers);
        let described: Vec<_> = missing
            .iter()
            .map(|topic| {
                let name = topic.name(&self.explainer.env);
                (*topic, name, configuration(*topic, replication))
            })
            .collect();
        let new = described.iter().map(|(topic, name, configuration)| {
            let count = match topic {
                Topic::Campaign | Topic::Suppression => 1,
                _ => i32::try_from(partitions).unwrap_or(i32::MAX),
            };
            let new = NewTopic::new(name, count, TopicReplication::Fixed(i32::from(replication)));
            configuration
                .iter()
                .fold(new, |new, (key, value)| new.set(key, value))
        });
        let new: Vec<NewTopic<'_>> = new.collect();
        let doing = Doing::Create(missing.first().copied().unwrap_or(Topic::Send));
        let results = self
            .admin
            .create_topics(&new, &self.options())
            .await
            .map_err(|error| self.explainer.explain(doing, &error))?;
        for (result, topic) in results.into_iter().zip(missing) {
            match result {
                Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
                Err((_, code)) => {
                    return Err(self.explainer.explain_code(Doing::Create(*topic), code));
                }
            }
        }
        Ok(())
    }

    async fn until_led(&self, topics: &[Topic]) -> Result<(), QueueError> {
        let begun = std::time::Instant::now();
        loop {
            let there = self.asker.list().await?;
            let Some(missing) = topics.iter().find(|topic| !there.contains_key(topic)) else {
                return Ok(());
            };
            if begun.elapsed() >= LED_WITHIN {
                let doing = Doing::Create(*missing);
                return Err(self.explainer.away(doing, "it has no leader yet"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// From then on a partition without a commit is one whose commit was lost. While workers are members they have
    /// committed themselves, and brokers take it from nobody else.
    async fn commit_beginnings(&self, topics: &[Topic]) -> Result<(), QueueError> {
        let mut owned = Vec::new();
        for topic in topics.iter().filter(|topic| topic.is_owned()) {
            let count = self.asker.count(*topic).await?;
            owned.extend((0..count).map(|partition| TopicPartition::new(*topic, partition)));
        }
        let committed = self.asker.committed(owned.clone()).await?;
        let without = owned.into_iter().zip(committed);
        let without = without.filter(|(_, committed)| committed.is_none());
        let beginning = Committed {
            offset: 0,
            text: INITIAL_COMMIT.to_string(),
        };
        let commits: Vec<_> = without.map(|(at, _)| (at, beginning.clone())).collect();
        let count = commits.len();
        if !self.asker.commit_outside(commits).await? {
            tracing::info!(count, "workers are running: they commit the first offsets");
        }
        Ok(())
    }

    /// Dropping what is dropped already, or beyond the end, is fine.
    pub async fn drop_below(
        &self,
        at: TopicPartition,
        (name, partition): (String, i32),
        offset: Offset,
    ) -> Result<(), QueueError> {
        let bounds = self.asker.bounds(at).await?;
        let offset = offset.min(bounds.end);
        if offset <= bounds.low_watermark {
            return Ok(());
        }
        let doing = Doing::Drop(at.topic);
        let explain = |error: rdkafka::error::KafkaError| self.explainer.explain(doing, &error);
        let mut list = TopicPartitionList::new();
        let place = Place::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
        list.add_partition_offset(&name, partition, place)
            .map_err(explain)?;
        let dropped = self.admin.delete_records(&list, &self.options()).await;
        if dropped.is_err() {
            let admin = self.admin.inner();
            admin.context().alone.begin_anew(admin);
        }
        for element in dropped.map_err(explain)?.elements() {
            element.error().map_err(explain)?;
        }
        Ok(())
    }
}
