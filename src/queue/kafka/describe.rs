//! Describes topics: their configuration, and where it differs from the one that mailq creates them with.

use super::failure::Operation;
use super::topics::{TopicAdmin, configuration};
use crate::domain::ids::Partition;
use crate::domain::topic::Topic;
use crate::queue::{Drift, QueueError, TopicState};
use rdkafka::admin::ResourceSpecifier;
use rdkafka::error::RDKafkaErrorCode as Code;
use std::collections::BTreeMap;

impl TopicAdmin {
    /// The state of these topics. Blocks while it reads metadata.
    pub async fn describe(&self, topics: &[Topic]) -> Result<Vec<TopicState>, QueueError> {
        let names: Vec<String> = topics
            .iter()
            .map(|topic| topic.name(&self.explainer.env))
            .collect();
        let asked: Vec<ResourceSpecifier<'_>> = names
            .iter()
            .map(|name| ResourceSpecifier::Topic(name))
            .collect();
        let described = self
            .admin
            .describe_configs(&asked, &self.options())
            .await
            .map_err(|error| self.explainer.explain(Operation::List, &error))?;
        if described.len() != topics.len() {
            let what = format!("{} of {} topics described", described.len(), topics.len());
            return Err(self.explainer.away(Operation::List, &what));
        }
        let mut states = Vec::new();
        for ((topic, name), described) in topics.iter().zip(&names).zip(described) {
            let operation = Operation::Configs(*topic);
            let described =
                described.map_err(|code| self.explainer.explain_code(operation, code))?;
            // Every topic has a configuration. The binding returns an empty one where the broker refuses to show it.
            if described.entries.is_empty() {
                let denied = Code::TopicAuthorizationFailed;
                return Err(self.explainer.explain_code(operation, denied));
            }
            let (partitions, replication) = self.copies(name)?;
            let found: BTreeMap<String, String> = described
                .entries
                .into_iter()
                .map(|entry| (entry.name, entry.value.unwrap_or_default()))
                .collect();
            states.push(TopicState {
                topic: *topic,
                partitions,
                replication,
                drift: drift(*topic, replication, &found),
            });
        }
        Ok(states)
    }

    /// The number of partitions, and the lowest replication factor among them.
    fn copies(&self, name: &str) -> Result<(Partition, usize), QueueError> {
        let metadata = self
            .admin
            .inner()
            .fetch_metadata(Some(name), self.timeout)
            .map_err(|error| self.explainer.explain(Operation::List, &error))?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == name);
        let partitions = topic.map(|topic| topic.partitions()).unwrap_or_default();
        let copies = partitions.iter().map(|one| one.replicas().len()).min();
        let count = Partition::try_from(partitions.len()).unwrap_or(Partition::MAX);
        Ok((count, copies.unwrap_or(0)))
    }
}

/// Settings that differ from those of a new topic. A setting that the broker does not list, because its version does not
/// know it, is not compared.
fn drift(topic: Topic, replication: usize, found: &BTreeMap<String, String>) -> Vec<Drift> {
    let wanted = configuration(topic, i16::try_from(replication).unwrap_or(i16::MAX));
    wanted
        .into_iter()
        .filter_map(|(key, wanted)| {
            let found = found.get(key)?;
            (!is_same(&wanted, found)).then(|| Drift {
                key: key.to_string(),
                wanted,
                found: found.clone(),
            })
        })
        .collect()
}

/// Compares values; a list is the same in any order.
fn is_same(wanted: &str, found: &str) -> bool {
    let sorted = |text: &str| {
        let mut parts: Vec<String> = text
            .split(',')
            .map(|part| part.trim().to_string())
            .collect();
        parts.sort();
        parts
    };
    sorted(wanted) == sorted(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_deletes_mail_is_drift() {
        let mut found: BTreeMap<String, String> = configuration(Topic::Campaign, 3)
            .into_iter()
            .map(|(key, value)| (key.to_string(), value))
            .collect();
        found.insert("cleanup.policy".into(), "delete, compact".into());
        assert_eq!(drift(Topic::Campaign, 3, &found), []);
        found.insert("retention.ms".into(), "604800000".into());
        found.remove("min.insync.replicas");
        let drift = drift(Topic::Campaign, 3, &found);
        assert_eq!(drift.len(), 1);
        assert_eq!(
            (drift[0].key.as_str(), drift[0].wanted.as_str()),
            ("retention.ms", "-1")
        );
    }
}
