//! Turns errors of librdkafka into the queue's: is the cluster away, was the login refused, which right is missing?

use super::health::Health;
use crate::domain::topic::Topic;
use crate::queue::QueueError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// The operation that failed, for messages. Rights are those that ACLs name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Read(Topic),
    Write(Topic),
    Describe(Topic),
    /// Reads a topic's configuration.
    Configs(Topic),
    Drop(Topic),
    Create(Topic),
    /// Lists all topics.
    List,
    Commit,
    Members,
}

/// Explains errors with the cluster's name and the last errors of its clients.
#[derive(Clone)]
pub(super) struct Explainer {
    pub url: String,
    pub env: String,
    pub health: Health,
}

impl Explainer {
    pub fn explain(&self, operation: Operation, error: &KafkaError) -> QueueError {
        match error.rdkafka_error_code() {
            Some(code) => self.explain_code(operation, code),
            None => self.away(operation, &error.to_string()),
        }
    }

    pub fn explain_code(&self, operation: Operation, code: Code) -> QueueError {
        match (code, operation.topic()) {
            (Code::UnknownTopicOrPartition | Code::UnknownTopic, Some(topic)) => {
                QueueError::NoTopic(topic)
            }
            (
                Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed,
                _,
            ) => QueueError::Denied {
                url: self.url.clone(),
                what: self.missing_right(operation, code),
            },
            (Code::Authentication | Code::SaslAuthenticationFailed, _) => self.login(&code),
            // The refusal came when the client looked for the coordinator; requests after it only time out.
            (_, None) if self.health.is_group_denied() => QueueError::Denied {
                url: self.url.clone(),
                what: self.missing_right(operation, Code::GroupAuthorizationFailed),
            },
            _ => match self.health.login_refusal() {
                Some(why) => self.login(&why),
                None => self.away(operation, &code.to_string()),
            },
        }
    }

    fn login(&self, what: &dyn std::fmt::Display) -> QueueError {
        QueueError::Login {
            url: self.url.clone(),
            what: what.to_string(),
        }
    }

    /// The cluster does not do what was asked. The clients' last error is added.
    pub fn away(&self, operation: Operation, what: &str) -> QueueError {
        let seen = self.health.last_error();
        let seen = seen.map_or(String::new(), |seen| format!(" ({seen})"));
        QueueError::Away {
            path: self.url.clone(),
            what: format!("{}: {what}{seen}", self.describe(operation)),
        }
    }

    /// This process cannot go on; another one can.
    pub fn broken(&self, why: &str) -> QueueError {
        QueueError::Broken {
            path: self.url.clone(),
            what: why.to_string(),
        }
    }

    /// Errors: `Broken` after a fatal error of any client; `Denied` after the group has refused this process.
    pub fn check_usable(&self) -> Result<(), QueueError> {
        let fatal = self.health.fatal().map(|why| self.broken(&why));
        fatal
            .or_else(|| self.health.membership_denied())
            .map_or(Ok(()), Err)
    }

    /// The missing right in the words of `kafka-acls`: operation and resource.
    fn missing_right(&self, operation: Operation, code: Code) -> String {
        let group = format!("group `{}.mail`", self.env);
        let topic = operation.topic().map(|topic| topic.name(&self.env));
        let (operation, resource) = match (code, operation) {
            (Code::GroupAuthorizationFailed, Operation::Members) => ("Describe", group),
            (Code::GroupAuthorizationFailed, _) => ("Read", group),
            (Code::ClusterAuthorizationFailed, Operation::Write(_)) => {
                // A producer first asks for a producer id. Since Kafka 2.8 Write on any topic is enough for that.
                let topic = topic.unwrap_or_default();
                let old = "brokers before 2.8: `IdempotentWrite` on the cluster";
                ("Write", format!("topic `{topic}` ({old})"))
            }
            (Code::ClusterAuthorizationFailed, Operation::Create(_)) => {
                ("Create", "the cluster".to_string())
            }
            (Code::ClusterAuthorizationFailed, _) => ("Describe", "the cluster".to_string()),
            (_, operation) => {
                let named = topic.map(|name| format!("topic `{name}`"));
                let all = || format!("topics `{}.mail.*`", self.env);
                (operation.operation(), named.unwrap_or_else(all))
            }
        };
        format!("operation `{operation}` on {resource} is missing from its access list")
    }

    fn describe(&self, operation: Operation) -> String {
        let topic = operation.topic().map(|topic| topic.name(&self.env));
        let topic = topic.unwrap_or_default();
        match operation {
            Operation::Read(_) => format!("reading `{topic}`"),
            Operation::Write(_) => format!("appending to `{topic}`"),
            Operation::Describe(_) => format!("listing offsets of `{topic}`"),
            Operation::Configs(_) => format!("describing the settings of `{topic}`"),
            Operation::Drop(_) => format!("deleting records from `{topic}`"),
            Operation::Create(_) => format!("creating `{topic}`"),
            Operation::List => "listing topics".to_string(),
            Operation::Commit => format!("committing for group `{}.mail`", self.env),
            Operation::Members => format!("listing members of group `{}.mail`", self.env),
        }
    }
}

impl Operation {
    fn topic(self) -> Option<Topic> {
        match self {
            Operation::Read(topic)
            | Operation::Write(topic)
            | Operation::Describe(topic)
            | Operation::Configs(topic)
            | Operation::Drop(topic)
            | Operation::Create(topic) => Some(topic),
            Operation::List | Operation::Commit | Operation::Members => None,
        }
    }

    fn operation(self) -> &'static str {
        match self {
            Operation::Read(_) | Operation::Commit => "Read",
            Operation::Write(_) => "Write",
            Operation::Drop(_) => "Delete",
            Operation::Create(_) => "Create",
            Operation::Configs(_) => "DescribeConfigs",
            Operation::Describe(_) | Operation::List | Operation::Members => "Describe",
        }
    }
}

/// The error for a client that cannot be created: a property is wrong. The binding names the property, not its value.
pub(super) fn unusable_client(error: &KafkaError) -> QueueError {
    let (name, why) = match error {
        KafkaError::ClientConfig(_, what, name, _) => (name.clone(), what.clone()),
        other => ("[kafka] properties".to_string(), other.to_string()),
    };
    QueueError::Setting { name, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explainer() -> Explainer {
        Explainer {
            url: "kafka://broker:9092".to_string(),
            env: "prod".to_string(),
            health: Health::default(),
        }
    }

    const TOPIC: Code = Code::TopicAuthorizationFailed;
    const GROUP: Code = Code::GroupAuthorizationFailed;
    const CLUSTER: Code = Code::ClusterAuthorizationFailed;

    /// The operation, the broker's answer and the missing right.
    const RIGHTS: [(Operation, Code, &str); 12] = [
        (
            Operation::Read(Topic::Send),
            TOPIC,
            "`Read` on topic `prod.mail.send.v1`",
        ),
        (
            Operation::Write(Topic::Event),
            TOPIC,
            "`Write` on topic `prod.mail.event.v1`",
        ),
        (
            Operation::Describe(Topic::Send),
            TOPIC,
            "`Describe` on topic `prod.mail.send.v1`",
        ),
        (
            Operation::Configs(Topic::Send),
            TOPIC,
            "`DescribeConfigs` on topic `prod.mail.send.v1`",
        ),
        (
            Operation::Drop(Topic::Send),
            TOPIC,
            "`Delete` on topic `prod.mail.send.v1`",
        ),
        (
            Operation::Create(Topic::Send),
            TOPIC,
            "`Create` on topic `prod.mail.send.v1`",
        ),
        (
            Operation::Create(Topic::Send),
            CLUSTER,
            "`Create` on the cluster",
        ),
        (
            Operation::Write(Topic::Send),
            CLUSTER,
            "`Write` on topic `prod.mail.send.v1` (brokers before 2.8: `IdempotentWrite`",
        ),
        (Operation::Commit, GROUP, "`Read` on group `prod.mail`"),
        (
            Operation::Read(Topic::Send),
            GROUP,
            "`Read` on group `prod.mail`",
        ),
        (Operation::Members, GROUP, "`Describe` on group `prod.mail`"),
        (Operation::Commit, TOPIC, "`Read` on topics `prod.mail.*`"),
    ];

    #[test]
    fn a_missing_right_is_named() {
        for (operation, code, expected) in RIGHTS {
            let error = explainer().explain_code(operation, code);
            let QueueError::Denied { url, what } = &error else {
                panic!("{error:?}");
            };
            assert_eq!(url, "kafka://broker:9092");
            assert!(what.starts_with(&format!("operation {expected}")), "{what}");
        }
    }

    #[test]
    fn a_timeout_after_a_refused_login_is_a_refused_login() {
        let explainer = explainer();
        let operation = Operation::Describe(Topic::Send);
        let timed_out = Code::OperationTimedOut;
        let away = explainer.explain_code(operation, timed_out);
        assert!(matches!(away, QueueError::Away { .. }), "{away:?}");
        explainer.health.record_error(
            Code::BrokerTransportFailure,
            "broker:9092: Connection refused",
        );
        let away = explainer.explain_code(operation, timed_out).to_string();
        assert!(
            away.contains("listing offsets of `prod.mail.send.v1`"),
            "{away}"
        );
        assert!(away.contains("broker:9092: Connection refused"), "{away}");
        explainer
            .health
            .record_error(Code::Authentication, "wrong password");
        let login = explainer.explain_code(operation, timed_out);
        assert!(matches!(login, QueueError::Login { .. }), "{login:?}");
        explainer.health.answered();
        let away = explainer.explain_code(operation, timed_out);
        assert!(matches!(away, QueueError::Away { .. }), "{away:?}");
    }

    #[test]
    fn a_fatal_error_stays() {
        let explainer = explainer();
        assert_eq!(explainer.check_usable(), Ok(()));
        explainer.health.record_error(Code::Fatal, "sequence lost");
        explainer.health.answered();
        explainer
            .health
            .record_error(Code::BrokerTransportFailure, "gone");
        assert_eq!(
            explainer.check_usable(),
            Err(explainer.broken("sequence lost"))
        );
    }

    #[test]
    fn a_timeout_after_a_refused_group_is_a_missing_right() {
        let explainer = explainer();
        let refused = "FindCoordinator response error: Group authorization failed.";
        let record_error = |code| explainer.health.record_error(code, refused);
        record_error(Code::GroupAuthorizationFailed);
        explainer.health.answered();
        for operation in [Operation::Commit, Operation::Members] {
            let error = explainer.explain_code(operation, Code::OperationTimedOut);
            assert!(matches!(error, QueueError::Denied { .. }), "{error:?}");
        }
        let operation = Operation::Describe(Topic::Send);
        let away = explainer.explain_code(operation, Code::OperationTimedOut);
        assert!(matches!(away, QueueError::Away { .. }), "{away:?}");
        explainer.health.group_answered();
        let away = explainer.explain_code(Operation::Commit, Code::OperationTimedOut);
        assert!(matches!(away, QueueError::Away { .. }), "{away:?}");
    }

    #[test]
    fn an_unknown_topic_is_named() {
        let operation = Operation::Write(Topic::Dlq);
        let error = explainer().explain_code(operation, Code::UnknownTopicOrPartition);
        assert_eq!(error, QueueError::NoTopic(Topic::Dlq));
    }
}
