//! The keys of `[kafka]`.

use crate::config::declare::keys;
use crate::config::schema::{Limits, Shape, Table};
use crate::config::source::Sourced;
use std::path::PathBuf;

keys! {
    /// How to reach a queue on Apache Kafka.
    pub struct KafkaKeys in "kafka" as Table {
        /// Partitions of the send topic and of each retry topic
        ///
        /// For `mailq topics init`, which creates the topics. At most this many workers can send at the same time.
        partitions: u32 {
            default: "12",
            limits: Limits::Whole(1, 1_000),
            variables: &["MAILQ_KAFKA_PARTITIONS"],
        }

        /// Copies of each topic on different brokers
        ///
        /// For `mailq topics init`, which makes no more copies than there are brokers.
        replication: i16 {
            default: "3",
            limits: Limits::Whole(1, 9),
            variables: &["MAILQ_KAFKA_REPLICATION"],
        }

        /// Variable that holds `sasl.password`
        sasl_password_env: Option<Sourced<String>> {
            default_text: "none",
            example: "KAFKA_PASSWORD",
        }

        /// File whose first line is `sasl.password`
        sasl_password_file: Option<Sourced<PathBuf>> {
            default_text: "none",
            example: "/run/secrets/kafka",
        }

        /// Shell command whose first line of output is `sasl.password`
        sasl_password_command: Option<Sourced<String>> {
            default_text: "none",
            example: "pass show kafka",
        }

        /// Variable that holds `ssl.key.password`
        ///
        /// This is the password of the private key in `ssl.key.location`.
        ssl_key_password_env: Option<Sourced<String>> {
            default_text: "none",
            example: "KAFKA_KEY_PASSWORD",
        }

        /// File whose first line is `ssl.key.password`
        ssl_key_password_file: Option<Sourced<PathBuf>> {
            default_text: "none",
            example: "/run/secrets/kafka-key",
        }

        /// Shell command whose first line of output is `ssl.key.password`
        ssl_key_password_command: Option<Sourced<String>> {
            default_text: "none",
            example: "pass show kafka-key",
        }

        /// Shell command that prints an access token for `"sasl.mechanisms" = "OAUTHBEARER"`
        ///
        /// It runs again before the token expires.
        token_command: Option<String> {
            default_text: "none",
            example: "get-token --audience kafka",
        }
    }
}

pub const PROPERTIES: Table = Table::new(
    "kafka.properties",
    Shape::Free,
    "Properties for librdkafka, such as `\"security.protocol\" = \"SASL_SSL\"`, \
     `\"sasl.mechanisms\" = \"SCRAM-SHA-512\"`, `\"sasl.username\" = \"mailq\"` and \
     `\"ssl.ca.location\" = \"/etc/ssl/kafka-ca.pem\"`. `-X key=value` sets one on the command line and wins. Properties \
     on which mailq's promises rest (acknowledgements, commits, offsets, assignment) are refused.",
    &[],
);
