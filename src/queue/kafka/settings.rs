//! The settings of a Kafka queue: brokers, names, timeouts and the user's properties for librdkafka.

use super::locked;
use crate::domain::ids::Partition;
use crate::queue::QueueError;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long ownership lasts without contact, unless `session.timeout.ms` is set.
pub const SESSION: Duration = Duration::from_secs(30);
/// The same with `group.protocol=consumer`, where the brokers' configuration decides: its default.
pub const BROKER_SESSION: Duration = Duration::from_secs(45);
/// Unless `socket.timeout.ms` is set, a request waits for its answer for half of the session, and at least for this.
/// A shorter timeout costs needless rejoins: another coordinator answers about 10 s after one was killed, and after a
/// commit without an answer the group is left and joined again, because it may still land. An answer after the session
/// is of no use.
pub const LEAST_SOCKET_TIMEOUT: Duration = Duration::from_secs(3);

/// All that a handle needs to know about a cluster. Never print it: `properties` hold secrets.
#[derive(Clone, Default)]
pub struct KafkaSettings {
    /// `host:9092,host:9092`
    pub brokers: String,
    /// The first part of the names of the topics and the group.
    pub env: String,
    /// The number of partitions of a send topic that is created. An existing one keeps its number.
    pub partitions: Partition,
    /// The replication factor of topics that are created; never more than there are brokers.
    pub replication: i16,
    /// Properties for librdkafka: those of `[kafka] properties`, overridden by those of `-X`.
    pub properties: BTreeMap<String, String>,
    /// The command, such as `send` or `enqueue`: part of the client ids, beside host and process.
    pub role: String,
    /// Static membership: a worker that is back within the session keeps its partitions.
    pub instance_id: Option<String>,
    /// How long a request may wait for the cluster. `None`: without end.
    pub queue_timeout: Option<Duration>,
    /// A shell command that prints an OAUTHBEARER token.
    pub token_command: Option<String>,
}

impl KafkaSettings {
    /// Errors: `QueueError::Setting`, which names the property and the reason.
    pub fn check(&self) -> Result<(), QueueError> {
        for (name, value) in &self.properties {
            if let Some(why) = locked::reason(name) {
                return Err(refused(name, why));
            }
            if value.contains('\0') {
                return Err(refused(name, "its value contains a NUL byte"));
            }
        }
        if self.brokers.trim().is_empty() {
            return Err(refused("queue", "it names no broker"));
        }
        if self.uses_broker_assignor() {
            for name in ["session.timeout.ms", "heartbeat.interval.ms"] {
                if self.properties.contains_key(name) {
                    let why = "with `group.protocol=consumer` the brokers set it for the group";
                    return Err(refused(name, why));
                }
            }
        }
        let quiet = |value: &String| value.trim() == "0";
        if self
            .properties
            .get("statistics.interval.ms")
            .is_some_and(quiet)
        {
            let why = "mailq needs the statistics to detect a client that has lost its brokers";
            return Err(refused("statistics.interval.ms", why));
        }
        for name in ["session.timeout.ms", "socket.timeout.ms"] {
            let value = self.properties.get(name);
            if value.is_some_and(|value| value.parse::<u32>().is_err()) {
                return Err(refused(name, "it is not a number of milliseconds"));
            }
        }
        Ok(())
    }

    /// The consumer group of all workers of the environment: `prod.mail`.
    pub fn group(&self) -> String {
        format!("{}.mail", self.env)
    }

    /// For messages: `kafka://host:9092,host:9092`.
    pub fn url(&self) -> String {
        format!("kafka://{}", self.brokers)
    }

    pub fn session(&self) -> Duration {
        let session = self.milliseconds("session.timeout.ms");
        session.unwrap_or(if self.uses_broker_assignor() {
            BROKER_SESSION
        } else {
            SESSION
        })
    }

    pub(super) fn socket_timeout(&self) -> Duration {
        self.milliseconds("socket.timeout.ms")
            .unwrap_or_else(|| (self.session() / 2).max(LEAST_SOCKET_TIMEOUT))
    }

    /// Whether brokers assign partitions: the newer group protocol (KIP-848).
    pub(super) fn uses_broker_assignor(&self) -> bool {
        let protocol = self.properties.get("group.protocol");
        protocol.is_some_and(|value| value.eq_ignore_ascii_case("consumer"))
    }

    /// Whether connections use TLS or a login.
    pub(super) fn is_secured(&self) -> bool {
        let protocol = self.properties.get("security.protocol");
        protocol.is_some_and(|value| !value.eq_ignore_ascii_case("plaintext"))
    }

    fn milliseconds(&self, name: &str) -> Option<Duration> {
        let value = self.properties.get(name)?.parse().ok()?;
        Some(Duration::from_millis(value))
    }
}

fn refused(name: &str, why: &str) -> QueueError {
    QueueError::Setting {
        name: name.to_string(),
        why: why.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(properties: &[(&str, &str)]) -> KafkaSettings {
        let own = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        KafkaSettings {
            brokers: "127.0.0.1:9092".to_string(),
            env: "test".to_string(),
            properties: properties.iter().map(own).collect(),
            ..KafkaSettings::default()
        }
    }

    fn refused_name(settings: &KafkaSettings) -> Option<String> {
        match settings.check() {
            Err(QueueError::Setting { name, why }) => {
                assert!(why.len() > 10, "{name}: {why}");
                Some(name)
            }
            Err(other) => panic!("{other}"),
            Ok(()) => None,
        }
    }

    #[test]
    fn locked_properties_are_refused_by_name() {
        for name in [
            "enable.auto.commit",
            "enable.auto.offset.store",
            "auto.offset.reset",
            "acks",
            "request.required.acks",
            "topic.acks",
            "enable.idempotence",
            "partition.assignment.strategy",
            "isolation.level",
            "group.id",
            "transactional.id",
            "bootstrap.servers",
            "client.id",
            "group.instance.id",
        ] {
            let settings = with(&[("security.protocol", "SASL_SSL"), (name, "x")]);
            assert_eq!(refused_name(&settings).as_deref(), Some(name));
        }
    }

    #[test]
    fn other_properties_are_accepted() {
        let settings = with(&[
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanisms", "SCRAM-SHA-512"),
            ("session.timeout.ms", "6000"),
            ("socket.timeout.ms", "8000"),
        ]);
        assert_eq!(settings.check(), Ok(()));
        assert_eq!(settings.session(), Duration::from_secs(6));
        assert_eq!(settings.socket_timeout(), Duration::from_secs(8));
        assert_eq!(with(&[]).session(), SESSION);
        assert_eq!(settings.group(), "test.mail");
    }

    #[test]
    fn a_request_waits_for_half_of_the_session() {
        for (session, seconds) in [("30000", 15), ("8000", 4), ("6000", 3), ("2000", 3)] {
            let settings = with(&[("session.timeout.ms", session)]);
            assert_eq!(settings.socket_timeout(), Duration::from_secs(seconds));
        }
        assert_eq!(with(&[]).socket_timeout(), Duration::from_secs(15));
    }

    #[test]
    fn impossible_settings_are_refused() {
        let consumer = ("group.protocol", "consumer");
        assert_eq!(with(&[consumer]).session(), BROKER_SESSION);
        let both = with(&[consumer, ("session.timeout.ms", "6000")]);
        assert_eq!(refused_name(&both).as_deref(), Some("session.timeout.ms"));
        let words = with(&[("session.timeout.ms", "long")]);
        assert_eq!(refused_name(&words).as_deref(), Some("session.timeout.ms"));
        let nowhere = KafkaSettings::default();
        assert_eq!(refused_name(&nowhere).as_deref(), Some("queue"));
    }
}
