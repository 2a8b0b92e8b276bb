//! The keys at the top of `mailq.toml`.

use crate::config::declare::keys;
use crate::config::queue_url::QueueUrl;
use crate::config::schema::Limits;
use std::path::PathBuf;
use std::time::Duration;

keys! {
    /// Settings of the project.
    pub struct ProjectKeys in "" as Table {
        /// Queue: `sqlite:PATH` or `kafka://HOST:9092,HOST:9092`
        ///
        /// `sqlite:` names a database file, which all processes of one machine share. `kafka:` names the brokers of a
        /// cluster, for workers on any number of hosts; `mailq topics init` creates its topics.
        queue: QueueUrl {
            default: "sqlite:.mailq/queue.db",
            default_text: "`sqlite:.mailq/queue.db` in the project",
            variables: &["MAILQ_QUEUE"],
            flag: "--queue",
        }

        /// Environment, the first part of topic names
        ///
        /// Up to 32 lower-case letters, digits and `-`.
        env: String {
            default: "prod",
            check: is_environment,
            variables: &["MAILQ_ENV"],
        }

        /// File with the secret key of the project
        ///
        /// It is created with the queue. Message-IDs, tokens and suppression keys are derived from it, so every host
        /// needs the same key, and a backup of the project must include it.
        key_file: PathBuf {
            default: ".mailq/key",
            variables: &["MAILQ_KEY_FILE"],
        }

        /// How long a worker that does not answer keeps its partitions of the queue
        ///
        /// Only for `sqlite:` queues. The partitions of a worker that has died are free at once.
        lease: Duration {
            default: "5s",
            limits: Limits::Span(Duration::from_secs(1), Duration::from_secs(600)),
            variables: &["MAILQ_LEASE"],
        }
    }
}

fn is_environment(text: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match text.len() <= 32 && text.chars().all(good) {
        true => Ok(()),
        false => Err("not up to 32 lower-case letters, digits and `-`".into()),
    }
}
