//! The rebalance callback: assigns and revokes partitions. librdkafka calls it on the thread that polls the consumer.

use super::shared::Shared;
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::Ownership;
use crate::queue::kafka::context::Context;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset as Position, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// A worker drains a revoked partition for 10 s at the most. After this the partition is taken from it.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(11);

pub(super) struct MemberContext {
    pub context: Context,
    pub shared: Arc<Shared>,
    pub env: String,
}

impl ClientContext for MemberContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.context.stats_raw(statistics);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.context.generate_oauth_token(config)
    }
}

impl ConsumerContext for MemberContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<MemberContext>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let done = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => self.revoke(consumer, list),
        };
        if let Err(error) = done {
            tracing::warn!(%error, "a rebalance failed; the group will try again");
        }
    }
}

impl MemberContext {
    /// This consumer reads nothing: its partitions are paused at their ends. It is a member only to own partitions.
    fn assign(
        &self,
        consumer: &BaseConsumer<MemberContext>,
        list: &mut TopicPartitionList,
    ) -> Result<(), KafkaError> {
        list.set_all_offsets(Position::End)?;
        consumer.incremental_assign(list)?;
        consumer.pause(list)?;
        let gained = self.partitions(list);
        self.shared
            .change(|assignments| assignments.assign(&gained));
        Ok(())
    }

    fn revoke(
        &self,
        consumer: &BaseConsumer<MemberContext>,
        list: &TopicPartitionList,
    ) -> Result<(), KafkaError> {
        let revoked = self.partitions(list);
        let is_lost = consumer.assignment_lost();
        if !is_lost {
            self.shared
                .change(|assignments| match assignments.must_rejoin {
                    true => Vec::new(),
                    false => assignments.request_release(&revoked),
                });
            self.shared.wait_released(&revoked, DRAIN_TIMEOUT);
        }
        // No commit may be in flight while ownership ends. librdkafka commits nothing by itself.
        let commits_locked = self.shared.lock_commits();
        self.shared.change(|assignments| {
            let mut lost = assignments.revoke(&revoked);
            if is_lost {
                // The session has ended, so suspended partitions may have other owners too.
                lost.extend(assignments.lose_suspended());
            }
            for change in &lost {
                if let Ownership::Lost { at, .. } = change {
                    tracing::info!(%at, is_lost, "a partition was taken away before it was released");
                }
            }
            lost
        });
        drop(commits_locked);
        consumer.incremental_unassign(list)
    }

    /// The group subscribes to the send topic alone; a partition of each tier goes with the send partition of the same
    /// index. The sticky assignor balances numbers, not topics: subscribed to all topics, it gave one worker all of send
    /// and another only tiers.
    fn partitions(&self, list: &TopicPartitionList) -> Vec<TopicPartition> {
        let send = Topic::Send.name(&self.env);
        let topics = self.shared.topics();
        let assigned = list.elements_for_topic(&send);
        // librdkafka's type has room for -1, "any partition", which no group assigns.
        let assigned = assigned
            .iter()
            .filter_map(|e| u32::try_from(e.partition()).ok());
        let of = |partition| {
            let at = move |topic: &Topic| TopicPartition::new(*topic, partition);
            topics.iter().map(at).collect::<Vec<_>>()
        };
        assigned.flat_map(of).collect()
    }
}
