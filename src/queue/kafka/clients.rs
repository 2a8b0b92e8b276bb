//! The configuration of each client of librdkafka: mailq's defaults, overridden by the user's properties, overridden by
//! the locked ones.

use super::settings::KafkaSettings;
use super::statistics;
use rdkafka::ClientConfig;

/// librdkafka's default for `max.poll.interval.ms`; it must not be below the session.
const MAX_POLL_INTERVAL_MILLISECONDS: u128 = 300_000;

impl KafkaSettings {
    fn client(&self, defaults: &[(&str, &str)], locked: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        let socket_timeout = self.socket_timeout().as_millis().to_string();
        let common = [
            ("socket.keepalive.enable", "true"),
            ("socket.timeout.ms", &socket_timeout),
            ("socket.nagle.disable", "true"),
            ("log.connection.close", "false"),
            // So that a broker that is back is used within seconds.
            ("reconnect.backoff.max.ms", "2000"),
            ("statistics.interval.ms", statistics::INTERVAL_MILLISECONDS),
        ];
        for (name, value) in common.iter().chain(defaults) {
            config.set(*name, *value);
        }
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        for (name, value) in locked {
            config.set(*name, *value);
        }
        config.set("bootstrap.servers", &self.brokers);
        config.set("client.id", self.client_id());
        config
    }

    /// `mailq-send-host-4711`: role, host and process.
    pub(super) fn client_id(&self) -> String {
        let name = rustix::system::uname();
        let host = name.nodename().to_string_lossy();
        format!("mailq-{}-{host}-{}", self.role, std::process::id())
    }

    fn consumer(&self, defaults: &[(&str, &str)]) -> ClientConfig {
        let locked = [
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("enable.partition.eof", "false"),
            ("allow.auto.create.topics", "false"),
            ("check.crcs", "true"),
        ];
        let mut config = self.client(defaults, &locked);
        config.set("group.id", self.group());
        config
    }

    /// The client for queries; never a member.
    pub(super) fn query_client(&self) -> ClientConfig {
        without_membership(self.consumer(&[]))
    }

    /// The client that reads logs; never a member. Partitions that were read to the end are unassigned, so the short
    /// waits of a fetch cost little.
    pub(super) fn reader(&self) -> ClientConfig {
        without_membership(self.consumer(&[
            ("fetch.wait.max.ms", "10"),
            ("fetch.queue.backoff.ms", "10"),
            ("fetch.error.backoff.ms", "100"),
            ("queued.min.messages", "4"),
            ("queued.max.messages.kbytes", "4096"),
            ("fetch.message.max.bytes", "1048576"),
        ]))
    }

    /// The member of the group; reads nothing. The worker's name follows the client id, so that `members` can list it.
    pub(super) fn member(&self, name: &str) -> ClientConfig {
        let session = self.session().as_millis();
        let session_text = session.to_string();
        let mut config = match self.uses_broker_assignor() {
            true => self.consumer(&[]),
            false => self.consumer(&[
                ("session.timeout.ms", &session_text),
                ("heartbeat.interval.ms", "1000"),
                ("partition.assignment.strategy", "cooperative-sticky"),
            ]),
        };
        config.set("queued.min.messages", "1");
        config.set("queued.max.messages.kbytes", "1024");
        let longest = session.max(MAX_POLL_INTERVAL_MILLISECONDS);
        config.set("max.poll.interval.ms", longest.to_string());
        if let Some(id) = &self.instance_id {
            config.set("group.instance.id", id);
        }
        config.set("client.id", format!("{}/{name}", self.client_id()));
        config
    }

    /// The producer: one for the life of the process. It tries a record until it is acknowledged, without a limit of its
    /// own, so nothing is dropped in silence.
    pub(super) fn producer(&self) -> ClientConfig {
        let defaults = [
            ("linger.ms", "0"),
            ("compression.type", "none"),
            ("queue.buffering.max.kbytes", "65536"),
            ("topic.metadata.propagation.max.ms", "5000"),
        ];
        let locked = [
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("message.timeout.ms", "0"),
        ];
        self.client(&defaults, &locked)
    }

    /// The admin client. Nobody polls it, so statistics would pile up.
    pub(super) fn admin(&self) -> ClientConfig {
        self.client(&[], &[("statistics.interval.ms", "0")])
    }
}

/// Removes what only a member may be configured with.
fn without_membership(mut config: ClientConfig) -> ClientConfig {
    for name in [
        "group.protocol",
        "session.timeout.ms",
        "heartbeat.interval.ms",
    ] {
        config.remove(name);
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn settings(properties: &[(&str, &str)]) -> KafkaSettings {
        let own = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        KafkaSettings {
            brokers: "127.0.0.1:9092".to_string(),
            env: "test".to_string(),
            role: "send".to_string(),
            properties: properties.iter().map(own).collect::<BTreeMap<_, _>>(),
            ..KafkaSettings::default()
        }
    }

    #[test]
    fn user_properties_override_defaults_and_not_locked_ones() {
        let settings = settings(&[("linger.ms", "7"), ("acks", "1")]);
        let producer = settings.producer();
        assert_eq!(producer.get("linger.ms"), Some("7"));
        assert_eq!(producer.get("acks"), Some("all"));
        assert_eq!(producer.get("enable.idempotence"), Some("true"));
    }

    #[test]
    fn the_newer_group_protocol_gets_none_of_our_membership_settings() {
        let settings = settings(&[("group.protocol", "consumer")]);
        let member = settings.member("worker");
        for name in [
            "session.timeout.ms",
            "heartbeat.interval.ms",
            "partition.assignment.strategy",
        ] {
            assert_eq!(member.get(name), None);
        }
        assert!(member.create_native_config().is_ok());
        assert_eq!(settings.query_client().get("group.protocol"), None);
    }

    #[test]
    fn librdkafka_accepts_the_configuration_of_every_client() {
        let settings = settings(&[("session.timeout.ms", "6000")]);
        let member = settings.member("worker");
        assert_eq!(member.get("session.timeout.ms"), Some("6000"));
        assert!(
            member
                .get("client.id")
                .is_some_and(|id| id.ends_with("/worker"))
        );
        let all = [
            member,
            settings.query_client(),
            settings.reader(),
            settings.producer(),
            settings.admin(),
        ];
        for config in all {
            assert!(config.create_native_config().is_ok());
        }
    }
}
