//! The topics of the queue and their names, `{env}.{domain}.{event}.{version}`.

use super::duration;
use super::ids::Partition;
use std::fmt;
use std::time::Duration;

/// What a partition's commit holds before anybody has owned it, where a missing commit means a lost one.
pub const INITIAL_COMMIT: &str = "mq1;init";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Chunks to be sent for the first time.
    Send,
    /// Chunks to be sent again after this delay: one tier, one topic.
    Retry(Duration),
    /// Dead letters; compacted, key = message id and round.
    Dlq,
    /// Every outcome; key = message id.
    Event,
    /// Manifests, batch states, seals, control, entries that left a commit string; compacted, one partition.
    Campaign,
    /// Addresses that are never mailed; compacted, one partition.
    Suppression,
}

impl Topic {
    /// The full name in an environment: `prod.mail.retry-60s.v1`.
    pub fn name(&self, env: &str) -> String {
        format!("{env}.mail.{self}.v1")
    }

    /// The reverse of [`Topic::name`], for queues that list their topics.
    pub fn from_name(env: &str, name: &str) -> Option<Topic> {
        name.strip_prefix(env)?
            .strip_prefix(".mail.")?
            .strip_suffix(".v1")?
            .parse()
            .ok()
    }

    /// How many partitions it has where send has so many.
    pub fn partitions(&self, of_send: Partition) -> Partition {
        match self {
            Topic::Campaign | Topic::Suppression => 1,
            Topic::Send | Topic::Retry(_) | Topic::Dlq | Topic::Event => of_send,
        }
    }

    /// Owned partition by partition and worked on by workers.
    pub fn is_owned(&self) -> bool {
        matches!(self, Topic::Send | Topic::Retry(_))
    }

    /// Only the last record of each key is kept.
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

/// `send/3`, `retry-60s/3`: the form of sources in records and commit strings.
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
