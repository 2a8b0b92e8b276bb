//! Creates topics with the configuration that mailq needs, and deletes records below an offset.

use super::context::Context;
use super::failure::{Explainer, Operation, unusable_client};
use super::query::QueryClient;
use super::settings::KafkaSettings;
use crate::domain::ids::{Offset, Partition};
use crate::domain::topic::{INITIAL_COMMIT, Topic, TopicPartition};
use crate::queue::{Committed, QueueError};
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::topic_partition_list::Offset as Position;
use std::time::Duration;

/// New topics have leaders within this.
const LEADER_TIMEOUT: Duration = Duration::from_secs(30);
const LEADER_CHECK_INTERVAL: Duration = Duration::from_millis(50);

pub(super) struct TopicAdmin {
    pub(super) admin: AdminClient<Context>,
    queries: QueryClient,
    pub(super) explainer: Explainer,
    partitions: Partition,
    replication: i16,
    pub(super) timeout: Duration,
}

/// The configuration of a new topic, with which `topics describe` compares the existing ones: names and values.
pub fn configuration(topic: Topic, replication: i16) -> Vec<(&'static str, String)> {
    // Brokers accept DeleteRecords only where `delete` is a policy, so compacted topics have both.
    let (policy, dirty) = match topic.is_compacted() {
        true => ("compact,delete", "0.1"),
        false => ("delete", "0.5"),
    };
    let in_sync = (replication - 1).max(1);
    vec![
        ("cleanup.policy", policy.to_string()),
        // Unsent mail may be weeks old at a low rate. mailq deletes records itself, once they are not needed.
        ("retention.ms", "-1".to_string()),
        ("retention.bytes", "-1".to_string()),
        // Retries are due by one clock, the broker's.
        ("message.timestamp.type", "LogAppendTime".to_string()),
        ("min.insync.replicas", in_sync.to_string()),
        ("unclean.leader.election.enable", "false".to_string()),
        ("min.cleanable.dirty.ratio", dirty.to_string()),
    ]
}

impl TopicAdmin {
    pub fn start(
        settings: &KafkaSettings,
        context: Context,
        explainer: Explainer,
        queries: QueryClient,
    ) -> Result<TopicAdmin, QueueError> {
        Ok(TopicAdmin {
            admin: settings
                .admin()
                .create_with_context(context)
                .map_err(|error| unusable_client(&error))?,
            queries,
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

    /// Creates missing topics, waits until their partitions have leaders, and commits the initial text where nothing is
    /// committed.
    pub async fn create(&self, topics: &[Topic]) -> Result<(), QueueError> {
        let there = self.queries.topics().await?;
        // A new tier gets as many partitions as send has, whatever the configuration says now.
        let partitions = there.get(&Topic::Send).copied().unwrap_or(self.partitions);
        let missing: Vec<Topic> = topics
            .iter()
            .copied()
            .filter(|topic| !there.contains_key(topic))
            .collect();
        if !missing.is_empty() {
            self.create_missing(&missing, partitions).await?;
            self.wait_for_leaders(&missing).await?;
        }
        self.commit_initial_texts(topics).await
    }

    async fn create_missing(
        &self,
        missing: &[Topic],
        partitions: Partition,
    ) -> Result<(), QueueError> {
        let brokers = self.queries.broker_count().await?;
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
        let operation = Operation::Create(missing.first().copied().unwrap_or(Topic::Send));
        let results = self
            .admin
            .create_topics(&new, &self.options())
            .await
            .map_err(|error| self.explainer.explain(operation, &error))?;
        for (result, topic) in results.into_iter().zip(missing) {
            match result {
                Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
                Err((_, code)) => {
                    return Err(self.explainer.explain_code(Operation::Create(*topic), code));
                }
            }
        }
        Ok(())
    }

    async fn wait_for_leaders(&self, topics: &[Topic]) -> Result<(), QueueError> {
        let begun = std::time::Instant::now();
        loop {
            let there = self.queries.topics().await?;
            let Some(missing) = topics.iter().find(|topic| !there.contains_key(topic)) else {
                return Ok(());
            };
            if begun.elapsed() >= LEADER_TIMEOUT {
                let operation = Operation::Create(*missing);
                return Err(self.explainer.away(operation, "it has no leader yet"));
            }
            tokio::time::sleep(LEADER_CHECK_INTERVAL).await;
        }
    }

    /// Commits the initial text where nothing is committed, so that a missing commit is known to be a lost one. While
    /// the group has members, brokers accept commits only from them, and they do this themselves.
    async fn commit_initial_texts(&self, topics: &[Topic]) -> Result<(), QueueError> {
        let mut owned = Vec::new();
        for topic in topics.iter().filter(|topic| topic.is_owned()) {
            let count = self.queries.partition_count(*topic).await?;
            owned.extend((0..count).map(|partition| TopicPartition::new(*topic, partition)));
        }
        let committed = self.queries.committed(owned.clone()).await?;
        let without = owned.into_iter().zip(committed);
        let without = without.filter(|(_, committed)| committed.is_none());
        let beginning = Committed {
            offset: 0,
            text: INITIAL_COMMIT.to_string(),
        };
        let commits: Vec<_> = without.map(|(at, _)| (at, beginning.clone())).collect();
        let count = commits.len();
        if !self.queries.commit_without_membership(commits).await? {
            tracing::info!(count, "workers are running: they commit the first offsets");
        }
        Ok(())
    }

    /// Deletes the records below an offset. One below the low watermark changes nothing; one above the end is the end.
    pub async fn drop_below(
        &self,
        at: TopicPartition,
        (name, partition): (String, i32),
        offset: Offset,
    ) -> Result<(), QueueError> {
        let bounds = self.queries.bounds(at).await?;
        let offset = offset.min(bounds.end);
        if offset <= bounds.low_watermark {
            return Ok(());
        }
        let operation = Operation::Drop(at.topic);
        let explain = |error: rdkafka::error::KafkaError| self.explainer.explain(operation, &error);
        let mut list = TopicPartitionList::new();
        let position = Position::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
        list.add_partition_offset(&name, partition, position)
            .map_err(explain)?;
        let dropped = self.admin.delete_records(&list, &self.options()).await;
        if dropped.is_err() {
            let admin = self.admin.inner();
            admin.context().bootstrap.restore_now(admin);
        }
        for element in dropped.map_err(explain)?.elements() {
            element.error().map_err(explain)?;
        }
        Ok(())
    }
}
