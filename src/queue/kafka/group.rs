//! Reads what the group's coordinator says about members: their names and assignments.

use crate::domain::topic::{Topic, TopicPartition};

/// The worker's name, which follows the client id: see `KafkaSettings::member`.
pub(super) fn member_name(client_id: &str) -> &str {
    client_id
        .split_once('/')
        .map_or(client_id, |(_, name)| name)
}

/// The partitions of a member: those of send that it was assigned, and the partition of the same index of each tier.
pub(super) fn owned(env: &str, topics: &[Topic], assignment: &[u8]) -> Vec<TopicPartition> {
    let assigned = assigned(env, assignment).into_iter();
    let send = assigned.filter(|at| at.topic == Topic::Send);
    let of = |at: TopicPartition| {
        let with = move |topic: &Topic| TopicPartition::new(*topic, at.partition);
        topics.iter().map(with).collect::<Vec<_>>()
    };
    send.flat_map(of).collect()
}

/// A member's assignment in the format of Kafka's consumers: version, then topics, each with its partitions. Topics of
/// other environments are left out, and so is the rest of an assignment of another format.
fn assigned(env: &str, assignment: &[u8]) -> Vec<TopicPartition> {
    let mut bytes = Bytes(assignment);
    let mut assigned = Vec::new();
    // A member that waits for its first rebalance has an empty assignment.
    if read(env, &mut bytes, &mut assigned).is_none() && !assignment.is_empty() {
        tracing::warn!(
            bytes = assignment.len(),
            "a member's assignment cannot be read"
        );
    }
    assigned
}

fn read(env: &str, bytes: &mut Bytes<'_>, owned: &mut Vec<TopicPartition>) -> Option<()> {
    let _version = bytes.take::<2>()?;
    for _ in 0..bytes.count()? {
        let length = usize::from(u16::from_be_bytes(bytes.take()?));
        let (name, rest) = bytes.0.split_at_checked(length)?;
        bytes.0 = rest;
        let name = std::str::from_utf8(name).ok()?;
        let topic = Topic::from_name(env, name).filter(Topic::is_owned);
        for _ in 0..bytes.count()? {
            let partition = u32::from_be_bytes(bytes.take()?);
            owned.extend(topic.map(|topic| TopicPartition::new(topic, partition)));
        }
    }
    Some(())
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn count(&mut self) -> Option<u32> {
        let count = i32::from_be_bytes(self.take()?);
        Some(u32::try_from(count).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn assignment() -> Vec<u8> {
        let mut bytes = vec![0, 1];
        bytes.extend(2i32.to_be_bytes());
        for (name, partitions) in [
            ("e.mail.send.v1", vec![0i32, 7]),
            ("e.mail.retry-60s.v1", vec![3]),
        ] {
            bytes.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
            bytes.extend(name.as_bytes());
            bytes.extend(i32::try_from(partitions.len()).unwrap().to_be_bytes());
            bytes.extend(partitions.into_iter().flat_map(i32::to_be_bytes));
        }
        bytes.extend((-1i32).to_be_bytes());
        bytes
    }

    #[test]
    fn an_assignment_is_read() {
        let retry = Topic::Retry(Duration::from_secs(60));
        let expected = [
            TopicPartition::new(Topic::Send, 0),
            TopicPartition::new(Topic::Send, 7),
            TopicPartition::new(retry, 3),
        ];
        assert_eq!(assigned("e", &assignment()), expected);
        assert_eq!(assigned("other", &assignment()), []);
        let both = owned("e", &[Topic::Send, retry], &assignment());
        assert_eq!(both.len(), 4);
        assert_eq!(both[3], TopicPartition::new(retry, 7));
    }

    #[test]
    fn any_bytes_can_be_read() {
        let whole = assignment();
        for length in 0..whole.len() {
            assigned("e", &whole[..length]);
        }
        assigned("e", &[0xff; 64]);
        let mut endless = vec![0, 1];
        endless.extend(i32::MAX.to_be_bytes());
        assert_eq!(assigned("e", &endless), []);
    }

    #[test]
    fn a_name_follows_the_client_id() {
        assert_eq!(member_name("mailq-send-host-1/host/1/x"), "host/1/x");
        assert_eq!(member_name("console"), "console");
    }
}
