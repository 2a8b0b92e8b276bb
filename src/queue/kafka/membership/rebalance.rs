//! What the group's rebalances do to ownership: called by librdkafka on the polling thread.

use super::super::context::Context;
use super::shared::Shared;
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::Ownership;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset as Place, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// An owner drains for 10 s; then it is lost.
const DRAIN: Duration = Duration::from_secs(11);

pub(super) struct Member {
    pub context: Context,
    pub shared: Arc<Shared>,
    pub env: String,
}

impl ClientContext for Member {
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

impl ConsumerContext for Member {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Member>,
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

impl Member {
    /// This consumer reads nothing: it stands at the end, paused, and ownership is all that it is about.
    fn assign(
        &self,
        consumer: &BaseConsumer<Member>,
        list: &mut TopicPartitionList,
    ) -> Result<(), KafkaError> {
        list.set_all_offsets(Place::End)?;
        consumer.incremental_assign(list)?;
        consumer.pause(list)?;
        let gained = self.partitions(list);
        self.shared.change(|seats| seats.assign(&gained));
        Ok(())
    }

    fn revoke(
        &self,
        consumer: &BaseConsumer<Member>,
        list: &TopicPartitionList,
    ) -> Result<(), KafkaError> {
        let wanted = self.partitions(list);
        let is_lost = consumer.assignment_lost();
        if !is_lost {
            self.shared.change(|seats| match seats.must_rejoin {
                true => Vec::new(),
                false => seats.ask_for(&wanted),
            });
            self.shared.wait_given(&wanted, DRAIN);
        }
        // No commit is under way while ownership ends. librdkafka commits nothing by itself.
        let gate = self.shared.gate();
        self.shared.change(|seats| {
            let mut lost = seats.take_away(&wanted);
            if is_lost {
                // The session is over: what was kept belongs to whoever comes.
                lost.extend(seats.lose_the_rest());
            }
            for change in &lost {
                if let Ownership::Lost { at, .. } = change {
                    tracing::info!(%at, is_lost, "a partition went before it was given up");
                }
            }
            lost
        });
        drop(gate);
        consumer.incremental_unassign(list)
    }

    /// The group shares out send alone; every tier's partition goes with send's of the same index. Shared out by
    /// itself, one worker could have all of send and another only tiers.
    fn partitions(&self, list: &TopicPartitionList) -> Vec<TopicPartition> {
        let send = Topic::Send.name(&self.env);
        let topics = self.shared.topics();
        let given = list.elements_for_topic(&send);
        let given = given
            .iter()
            .filter_map(|e| u32::try_from(e.partition()).ok());
        let of = |partition| {
            let at = move |topic: &Topic| TopicPartition::new(*topic, partition);
            topics.iter().map(at).collect::<Vec<_>>()
        };
        given.flat_map(of).collect()
    }
}
