//! Which queue: a database file or a Kafka cluster.

use super::schema::{Limits, Value, ValueError};
use std::fmt;
use std::path::{Path, PathBuf};

/// Which queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueUrl {
    /// Absolute path of the database file.
    Sqlite(PathBuf),
    /// Brokers, `host:9092,host:9092`.
    Kafka(String),
}

impl fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueueUrl::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            QueueUrl::Kafka(brokers) => write!(f, "kafka://{brokers}"),
        }
    }
}

impl Value for QueueUrl {
    fn expects(_: &Limits) -> String {
        "a queue like `sqlite:.mailq/queue.db` or `kafka://host:9092`".into()
    }

    fn parse(text: &str, limits: &Limits) -> Result<QueueUrl, ValueError> {
        match text.split_once(':') {
            Some(("sqlite", "")) => Err(ValueError::Form("no path after `sqlite:`".into())),
            Some(("sqlite", path)) if !path.contains(char::is_control) => {
                Ok(QueueUrl::Sqlite(path.into()))
            }
            // The value may hold a login, so no error shows it.
            Some(("kafka", list)) => brokers(list)
                .map(QueueUrl::Kafka)
                .map_err(|why| ValueError::Hidden(why.into())),
            // Of another program, perhaps with its password: `host=db password=…`.
            _ if text.contains(['@', '=', '?']) => {
                let why = format!("is not {}", Self::expects(limits));
                Err(ValueError::Hidden(why))
            }
            _ => Err(ValueError::Form(format!("not {}", Self::expects(limits)))),
        }
    }

    fn resolve(self, folder: &Path) -> QueueUrl {
        match self {
            QueueUrl::Sqlite(path) => QueueUrl::Sqlite(path.resolve(folder)),
            cluster => cluster,
        }
    }
}

/// `//host:9092,host:9092` without the slashes. Errors: what is wrong, to follow the name of the key.
fn brokers(text: &str) -> Result<String, &'static str> {
    let list = text.strip_prefix("//").unwrap_or(text);
    let list = list.strip_suffix('/').unwrap_or(list);
    if list.contains('@') {
        return Err("has a login in it");
    }
    let is_broker = |broker: &str| {
        let (host, port) = match broker.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
            _ => (broker, None),
        };
        let known = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        !host.is_empty()
            && host.chars().all(known)
            && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
    };
    match list.split(',').all(is_broker) {
        true => Ok(list.to_string()),
        false => Err("is not a queue like `kafka://host:9092,host:9092`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_may_hold_a_password_is_not_shown() {
        for (text, is_shown) in [
            ("postgres://u:hunter2@db/x", false),
            ("host=db password=hunter2", false),
            ("redis://db?password=hunter2", false),
            ("redis://db", true),
        ] {
            let parsed = QueueUrl::parse(text, &Limits::None);
            let is_form = matches!(parsed, Err(ValueError::Form(_)));
            assert!(parsed.is_err() && is_form == is_shown, "{text}");
        }
    }

    #[test]
    fn brokers_are_hosts_with_ports() {
        for (text, list) in [
            ("//a:9092,b:9092", Some("a:9092,b:9092")),
            ("//kafka-1.example.org", Some("kafka-1.example.org")),
            ("//[::1]:9092/", Some("[::1]:9092")),
            ("//", None),
            ("//a:9092,", None),
            ("//a:0", None),
            ("//a:b", None),
            ("//me:pw@a:9092", None),
            ("//a/b", None),
        ] {
            assert_eq!(brokers(text).ok().as_deref(), list, "{text}");
        }
    }
}
