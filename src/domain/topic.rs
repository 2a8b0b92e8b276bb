//! The topics of the queue and their names, `{env}.{domain}.{event}.{version}`.

use super::duration;
use super::ids::Partition;
use std::fmt;
use std::time::Duration;

/// Committed for each partition when its topic is created. A queue that can lose commits can then tell a lost commit
/// from a partition that no worker has owned yet.
pub const INITIAL_COMMIT: &str = "mq1;init";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Chunks for the first attempt.
    Send,
    /// Chunks for another attempt after this delay. Each retry tier is a topic.
    Retry(Duration),
    /// Dead letters. Compacted by message id and round.
    Dlq,
    /// Events of messages, keyed by message id.
    Event,
    /// Manifests, batch states, seals, control records and entries removed from commit strings. Compacted, one
    /// partition.
    Campaign,
    /// Addresses that are never mailed. Compacted, one partition.
    Suppression,
}

impl Topic {
    /// The full name in an environment: `prod.mail.retry-60s.v1`.
    pub fn name(&self, env: &str) -> String {
        format!("{env}.mail.{self}.v1")
    }

    /// Parses what [`Topic::name`] wrote. For queues that list their topics.
    pub fn from_name(env: &str, name: &str) -> Option<Topic> {
        name.strip_prefix(env)?
            .strip_prefix(".mail.")?
            .strip_suffix(".v1")?
            .parse()
            .ok()
    }

    /// Partitions of this topic in a queue whose send topic has `of_send`.
    pub fn partitions(&self, of_send: Partition) -> Partition {
        match self {
            Topic::Campaign | Topic::Suppression => 1,
            Topic::Send | Topic::Retry(_) | Topic::Dlq | Topic::Event => of_send,
        }
    }

    /// Whether workers own partitions of this topic.
    pub fn is_owned(&self) -> bool {
        matches!(self, Topic::Send | Topic::Retry(_))
    }

    /// Whether only the last record of each key is kept.
    pub fn is_compacted(&self) -> bool {
        matches!(self, Topic::Dlq | Topic::Campaign | Topic::Suppression)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Topic::Send => f.write_str("send"),
            Topic::Retry(delay) => write!(f, "retry-{}", duration::compact(*delay)),
            Topic::Dlq => f.write_str("dlq"),
            Topic::Event => f.write_str("event"),
            Topic::Campaign => f.write_str("campaign"),
            Topic::Suppression => f.write_str("suppression"),
        }
    }
}

impl std::str::FromStr for Topic {
    type Err = String;
    fn from_str(text: &str) -> Result<Topic, String> {
        Ok(match text {
            "send" => Topic::Send,
            "dlq" => Topic::Dlq,
            "event" => Topic::Event,
            "campaign" => Topic::Campaign,
            "suppression" => Topic::Suppression,
            other => match other.strip_prefix("retry-") {
                Some(delay) => Topic::Retry(duration::parse(delay)?),
                None => return Err(format!("`{other}` is not a topic of mailq")),
            },
        })
    }
}

/// One partition of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: Topic,
    pub partition: Partition,
}

impl TopicPartition {
    pub const fn new(topic: Topic, partition: Partition) -> TopicPartition {
        TopicPartition { topic, partition }
    }
}

/// `send/3`, `retry-60s/3`. Records and commit strings use this form.
impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

impl std::str::FromStr for TopicPartition {
    type Err = String;
    fn from_str(text: &str) -> Result<TopicPartition, String> {
        let (topic, partition) = text
            .split_once('/')
            .ok_or_else(|| format!("`{text}` is not `topic/partition`"))?;
        let partition = partition
            .parse()
            .map_err(|_| format!("`{text}` is not `topic/partition`"))?;
        Ok(TopicPartition {
            topic: topic.parse()?,
            partition,
        })
    }
}
