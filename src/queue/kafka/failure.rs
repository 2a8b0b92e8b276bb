//! What an error of librdkafka means: is the cluster away, did it refuse us, and which right is missing.

use super::health::Health;
use crate::domain::topic::Topic;
use crate::queue::QueueError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// What was being done, for messages: the operation and resource as access lists name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Read(Topic),
    Write(Topic),
    Describe(Topic),
    /// Asks for a topic's settings.
    Configs(Topic),
    Drop(Topic),
    Create(Topic),
    /// Asks for every topic there is.
    List,
    Commit,
    Members,
}

/// Names the cluster in messages, and knows what its brokers last said.
#[derive(Clone)]
pub(super) struct Explainer {
    pub url: String,
    pub env: String,
    pub health: Health,
}

impl Explainer {
    pub fn explain(&self, doing: Doing, error: &KafkaError) -> QueueError {
        match error.rdkafka_error_code() {
            Some(code) => self.explain_code(doing, code),
            None => self.away(doing, &error.to_string()),
        }
    }

    pub fn explain_code(&self, doing: Doing, code: Code) -> QueueError {
        match (code, doing.topic()) {
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
                what: self.missing_right(doing, code),
            },
            (Code::Authentication | Code::SaslAuthenticationFailed, _) => self.login(&code),
            // What a client heard when it looked for the coordinator is silence to whoever asks later.
            (_, None) if self.health.is_group_denied() => QueueError::Denied {
                url: self.url.clone(),
                what: self.missing_right(doing, Code::GroupAuthorizationFailed),
            },
            _ => match self.health.refused_login() {
                Some(why) => self.login(&why),
                None => self.away(doing, &code.to_string()),
            },
        }
    }

    fn login(&self, what: &dyn std::fmt::Display) -> QueueError {
        QueueError::Login {
            url: self.url.clone(),
            what: what.to_string(),
        }
    }

    /// For what a client says about itself: creation, configuration, time.
    pub fn away(&self, doing: Doing, what: &str) -> QueueError {
        let seen = self.health.trouble();
        let seen = seen.map_or(String::new(), |seen| format!(" ({seen})"));
        QueueError::Away {
            path: self.url.clone(),
            what: format!("{}: {what}{seen}", self.words(doing)),
        }
    }

    /// Only another process can go on.
    pub fn broken(&self, why: &str) -> QueueError {
        QueueError::Broken {
            path: self.url.clone(),
            what: why.to_string(),
        }
    }

    /// Errors: `Broken`, from the fatal error of any client on; `Denied`, once the group has refused this process.
    pub fn unbroken(&self) -> Result<(), QueueError> {
        let fatal = self.health.fatal().map(|why| self.broken(&why));
        fatal.or_else(|| self.health.denied()).map_or(Ok(()), Err)
    }

    /// `operation Read on topic prod.mail.send.v1`, as `kafka-acls` takes them.
    fn missing_right(&self, doing: Doing, code: Code) -> String {
        let group = format!("group `{}.mail`", self.env);
        let topic = doing.topic().map(|topic| topic.name(&self.env));
        let (operation, resource) = match (code, doing) {
            (Code::GroupAuthorizationFailed, Doing::Members) => ("Describe", group),
            (Code::GroupAuthorizationFailed, _) => ("Read", group),
            (Code::ClusterAuthorizationFailed, Doing::Write(_)) => {
                // A producer's first request is to be one; for that, Write on any topic is enough since 2.8.
                let topic = topic.unwrap_or_default();
                let old = "brokers before 2.8: `IdempotentWrite` on the cluster";
                ("Write", format!("topic `{topic}` ({old})"))
            }
            (Code::ClusterAuthorizationFailed, Doing::Create(_)) => {
                ("Create", "the cluster".to_string())
            }
            (Code::ClusterAuthorizationFailed, _) => ("Describe", "the cluster".to_string()),
            (_, doing) => {
                let named = topic.map(|name| format!("topic `{name}`"));
                let all = || format!("topics `{}.mail.*`", self.env);
                (doing.operation(), named.unwrap_or_else(all))
            }
        };
        format!("operation `{operation}` on {resource} is missing from its access list")
    }

    fn words(&self, doing: Doing) -> String {
        let topic = doing.topic().map(|topic| topic.name(&self.env));
        let topic = topic.unwrap_or_default();
        match doing {
            Doing::Read(_) => format!("reading `{topic}`"),
            Doing::Write(_) => format!("appending to `{topic}`"),
            Doing::Describe(_) => format!("listing offsets of `{topic}`"),
            Doing::Configs(_) => format!("describing the settings of `{topic}`"),
            Doing::Drop(_) => format!("deleting records from `{topic}`"),
            Doing::Create(_) => format!("creating `{topic}`"),
            Doing::List => "listing topics".to_string(),
            Doing::Commit => format!("committing for group `{}.mail`", self.env),
            Doing::Members => format!("listing members of group `{}.mail`", self.env),
        }
    }
}

impl Doing {
    fn topic(self) -> Option<Topic> {
        match self {
            Doing::Read(topic)
            | Doing::Write(topic)
            | Doing::Describe(topic)
            | Doing::Configs(topic)
            | Doing::Drop(topic)
            | Doing::Create(topic) => Some(topic),
            Doing::List | Doing::Commit | Doing::Members => None,
        }
    }

    fn operation(self) -> &'static str {
        match self {
            Doing::Read(_) | Doing::Commit => "Read",
            Doing::Write(_) => "Write",
            Doing::Drop(_) => "Delete",
            Doing::Create(_) => "Create",
            Doing::Configs(_) => "DescribeConfigs",
            Doing::Describe(_) | Doing::List | Doing::Members => "Describe",
        }
    }
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

    /// What was done, what the broker said, and the right that is missing.
    const RIGHTS: [(Doing, Code, &str); 12] = [
        (
            Doing::Read(Topic::Send),
            TOPIC,
            "`Read` on topic `prod.mail.send.v1`",
        ),
        (
            Doing::Write(Topic::Event),
            TOPIC,
            "`Write` on topic `prod.mail.event.v1`",
        ),
        (
            Doing::Describe(Topic::Send),
            TOPIC,
            "`Describe` on topic `prod.mail.send.v1`",
        ),
        (
            Doing::Configs(Topic::Send),
            TOPIC,
            "`DescribeConfigs` on topic `prod.mail.send.v1`",
        ),
        (
            Doing::Drop(Topic::Send),
            TOPIC,
            "`Delete` on topic `prod.mail.send.v1`",
        ),
        (
            Doing::Create(Topic::Send),
            TOPIC,
            "`Create` on topic `prod.mail.send.v1`",
        ),
        (
            Doing::Create(Topic::Send),
            CLUSTER,
            "`Create` on the cluster",
        ),
        (
            Doing::Write(Topic::Send),
            CLUSTER,
            "`Write` on topic `prod.mail.send.v1` (brokers before 2.8: `IdempotentWrite`",
        ),
        (Doing::Commit, GROUP, "`Read` on group `prod.mail`"),
        (
            Doing::Read(Topic::Send),
            GROUP,
            "`Read` on group `prod.mail`",
        ),
        (Doing::Members, GROUP, "`Describe` on group `prod.mail`"),
        (Doing::Commit, TOPIC, "`Read` on topics `prod.mail.*`"),
    ];

    #[test]
    fn a_missing_right_is_named() {
        for (doing, code, expected) in RIGHTS {
            let error = explainer().explain_code(doing, code);
            let QueueError::Denied { url, what } = &error else {
                panic!("{error:?}");
            };
            assert_eq!(url, "kafka://broker:9092");
            assert!(what.starts_with(&format!("operation {expected}")), "{what}");
        }
    }

    #[test]
    fn a_refused_login_is_not_an_absence() {
        let explainer = explainer();
        let doing = Doing::Describe(Topic::Send);
        let timed_out = Code::OperationTimedOut;
        let away = explainer.explain_code(doing, timed_out);
        assert!(matches!(away, QueueError::Away { .. }), "{away:?}");
        explainer.health.note(
            Code::BrokerTransportFailure,
            "broker:9092: Connection refused",
        );
        let away = explainer.explain_code(doing, timed_out).to_string();
        assert!(
            away.contains("listing offsets of `prod.mail.send.v1`"),
            "{away}"
        );
        assert!(away.contains("broker:9092: Connection refused"), "{away}");
        explainer
            .health
            .note(Code::Authentication, "wrong password");
        let login = explainer.explain_code(doing, timed_out);
        assert!(matches!(login, QueueError::Login { .. }), "{login:?}");
        explainer.health.well();
        let away = explainer.explain_code(doing, timed_out);
        assert!(matches!(away, QueueError::Away { .. }), "{away:?}");
    }

    #[test]
    fn a_fatal_error_stays() {
        let explainer = explainer();
        assert_eq!(explainer.unbroken(), Ok(()));
        explainer.health.note(Code::Fatal, "sequence lost");
        explainer.health.well();
        explainer.health.note(Code::BrokerTransportFailure, "gone");
        assert_eq!(explainer.unbroken(), Err(explainer.broken("sequence lost")));
    }

    #[test]
    fn silence_after_a_refused_group_is_a_missing_right() {
        let explainer = explainer();
        let refused = "FindCoordinator response error: Group authorization failed.";
        let note = |code| explainer.health.note(code, refused);
        note(Code::GroupAuthorizationFailed);
        explainer.health.well();
        for doing in [Doing::Commit, Doing::Members] {
            let error = explainer.explain_code(doing, Code::OperationTimedOut);
            assert!(matches!(error, QueueError::Denied { .. }), "{error:?}");
        }
        let doing = Doing::Describe(Topic::Send);
        let away = explainer.explain_code(doing, Code::OperationTimedOut);
        assert!(matches!(away, QueueError::Away { .. }), "{away:?}");
        explainer.health.group_well();
        let away = explainer.explain_code(Doing::Commit, Code::OperationTimedOut);
        assert!(matches!(away, QueueError::Away { .. }), "{away:?}");
    }

    #[test]
    fn an_unknown_topic_is_named() {
        let doing = Doing::Write(Topic::Dlq);
        let error = explainer().explain_code(doing, Code::UnknownTopicOrPartition);
        assert_eq!(error, QueueError::NoTopic(Topic::Dlq));
    }
}
