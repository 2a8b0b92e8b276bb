//! The keys of `mailq.toml`.

use super::{Key, Kind, Schema, Shape, UNSET};

pub const PROJECT: Schema = Schema {
    page: "5 mailq.toml",
    sections: &[
        ("send", Shape::Table, "Limits of all workers together."),
        (
            "relay",
            Shape::Repeated,
            "Where mail is handed over, one table for each relay. Several share the work by `weight`.",
        ),
        (
            "site",
            Shape::Labelled,
            "Limits for a receiving provider, named by its domain.",
        ),
        (
            "retry",
            Shape::Table,
            "When a message is tried again after a temporary failure.",
        ),
        ("events", Shape::Table, "The record of every outcome."),
        (
            "kafka",
            Shape::Table,
            "For a queue on Apache Kafka, `kafka://HOST:9092,HOST:9092`; `mailq topics init` makes its topics.",
        ),
        (
            "kafka.properties",
            Shape::Free,
            "Passed through to librdkafka, as `-X key=value` is, which wins: `\"security.protocol\" = \"SASL_SSL\"`, `\"sasl.mechanisms\" = \"SCRAM-SHA-512\"`, `\"sasl.username\" = \"mailq\"`, `\"ssl.ca.location\" = \"/etc/ssl/kafka-ca.pem\"`. Those on which the promises rest (acknowledgements, commits, offsets, assignment) are refused by name.",
        ),
    ],
    keys: &[
        Key {
            name: "queue",
            default: Some("sqlite:.mailq/queue.db"),
            variables: &["MAILQ_QUEUE"],
            flag: Some("--queue"),
            example: "sqlite:.mailq/queue.db",
            doc: "The queue. `sqlite:PATH`: an embedded database file, for all processes of one machine. `kafka://HOST:9092,HOST:9092`: a cluster, for workers on as many hosts as you like.",
            ..UNSET
        },
        Key {
            name: "env",
            default: Some("prod"),
            variables: &["MAILQ_ENV"],
            example: "prod",
            doc: "The environment, first part of topic names: lower-case letters, digits and `-`.",
            ..UNSET
        },
        Key {
            name: "key_file",
            kind: Kind::Path,
            default: Some(".mailq/key"),
            variables: &["MAILQ_KEY_FILE"],
            example: ".mailq/key",
            doc: "The project's secret key, made with the queue. Message-IDs, tokens and suppression keys come from it: it must be the same on every host, and a backup of the project must hold it.",
            ..UNSET
        },
        Key {
            name: "lease",
            kind: Kind::Span,
            default: Some("5s"),
            variables: &["MAILQ_LEASE"],
            example: "5s",
            doc: "How long a worker that has stopped answering keeps its part of the queue, from `1s` to `10m`. One that died is noticed at once.",
            ..UNSET
        },
        Key {
            section: "send",
            name: "rate",
            kind: Kind::Rate,
            variables: &["MAILQ_RATE"],
            flag: Some("--rate"),
            example: "30/min",
            doc: "The most that leaves, all workers together: `30/min`, `500/s`, `10000/h`, `2M/day` or `unlimited`. Default: `30/min` to a server, `unlimited` to `maildir:`.",
            ..UNSET
        },
        Key {
            section: "send",
            name: "burst",
            kind: Kind::Count(1, 1_000_000),
            default: Some("1"),
            variables: &["MAILQ_BURST"],
            flag: Some("--burst"),
            example: "1",
            doc: "How many messages may leave at once after a pause; a window may then hold `burst - 1` more than the rate.",
        },
        Key {
            section: "send",
            name: "connections",
            kind: Kind::Count(1, 10_000),
            default: Some("20"),
            variables: &["MAILQ_CONNECTIONS", "MAX_WORKERS"],
            flag: Some("--connections"),
            example: "20",
            doc: "Connections that one worker keeps open, all relays together.",
        },
        Key {
            section: "send",
            name: "max_uncommitted",
            kind: Kind::Count(1, 65_536),
            default: Some("64"),
            variables: &["MAILQ_MAX_UNCOMMITTED"],
            flag: Some("--max-uncommitted"),
            example: "64",
            doc: "K, the most messages that a killed worker can leave in doubt. A higher K is faster over slow disks.",
        },
        Key {
            section: "relay",
            name: "url",
            variables: &["MAILQ_RELAY"],
            flag: Some("--relay"),
            example: "smtp://smtp.example.com:587",
            doc: "`smtp://HOST:587` (STARTTLS required, unless the host is loopback or `?tls=none` or `?tls=opportunistic` is added; port 587, or 25 on loopback), `smtps://HOST:465` (TLS from the first byte), or `maildir:PATH` (an outbox of files instead of a server: no mail leaves the machine).",
            ..UNSET
        },
        Key {
            section: "relay",
            name: "user",
            variables: &["SMTP_USER", "EMAIL_SMTP_USER"],
            example: "me@example.com",
            doc: "Login name. Without one there is no login. The variables are for a relay that comes from a flag or a variable.",
            ..UNSET
        },
        Key {
            section: "relay",
            name: "password_env",
            example: "SMTP_PASS",
            doc: "Name of the variable that holds the password. Default: `SMTP_PASS`, then `EMAIL_SMTP_PASS`, where there is a user.",
            ..UNSET
        },
        Key {
            section: "relay",
            name: "password_file",
            kind: Kind::Path,
            example: "/run/secrets/smtp",
            doc: "A file whose first line is the password.",
            ..UNSET
        },
        Key {
            section: "relay",
            name: "password_command",
            example: "pass show smtp",
            doc: "A shell command whose first line of output is the password, or the access token for `xoauth2`.",
            ..UNSET
        },
        Key {
            section: "relay",
            name: "auth",
            kind: Kind::Choice(&["auto", "plain", "login", "xoauth2"]),
            default: Some("auto"),
            example: "auto",
            doc: "How to log in; `auto` takes the first of PLAIN and LOGIN that the relay offers.",
            ..UNSET
        },
        Key {
            section: "relay",
            name: "ca_file",
            kind: Kind::Path,
            example: "relay-ca.pem",
            doc: "Certificates (PEM) to trust for this relay instead of the system's.",
            ..UNSET
        },
        Key {
            section: "relay",
            name: "rate",
            kind: Kind::Rate,
            example: "10/s",
            doc: "The most that this relay gets, all workers together. Default: no limit but that of `[send]`.",
            ..UNSET
        },
        Key {
            section: "relay",
            name: "connections",
            kind: Kind::Count(1, 10_000),
            example: "10",
            doc: "Connections of one worker to this relay. Default: as `[send]` says.",
            ..UNSET
        },
        Key {
            section: "relay",
            name: "weight",
            kind: Kind::Count(1, 1_000),
            default: Some("1"),
            example: "1",
            doc: "Its share of the mail where there are several relays.",
            ..UNSET
        },
        Key {
            section: "relay",
            name: "pipelining",
            kind: Kind::Boolean,
            default: Some("true"),
            example: "true",
            doc: "Use PIPELINING where the relay offers it. `false` is for relays that offer it and break.",
            ..UNSET
        },
        Key {
            section: "site",
            name: "rate",
            kind: Kind::Rate,
            example: "20/s",
            doc: "The most that this provider gets, all workers together.",
            ..UNSET
        },
        Key {
            section: "site",
            name: "connections",
            kind: Kind::Count(1, 10_000),
            example: "5",
            doc: "Connections of one worker that may carry mail for this provider at the same time.",
            ..UNSET
        },
        Key {
            section: "retry",
            name: "initial",
            kind: Kind::Span,
            default: Some("1m"),
            variables: &["MAILQ_RETRY_INITIAL"],
            example: "1m",
            doc: "The wait before the first retry after a temporary failure.",
            ..UNSET
        },
        Key {
            section: "retry",
            name: "factor",
            kind: Kind::Number(1.0, 100.0),
            default: Some("2.0"),
            variables: &["MAILQ_RETRY_FACTOR"],
            example: "2.0",
            doc: "Each wait is this many times the last one.",
            ..UNSET
        },
        Key {
            section: "retry",
            name: "max",
            kind: Kind::Span,
            default: Some("30m"),
            variables: &["MAILQ_RETRY_MAX"],
            example: "30m",
            doc: "The longest wait.",
            ..UNSET
        },
        Key {
            section: "retry",
            name: "jitter",
            kind: Kind::Number(0.0, 0.5),
            default: Some("0.1"),
            variables: &["MAILQ_RETRY_JITTER"],
            example: "0.1",
            doc: "Waits are spread by this part of themselves, either way, so that what failed together does not come back together.",
            ..UNSET
        },
        Key {
            section: "retry",
            name: "tries",
            kind: Kind::Count(0, 100),
            default: Some("3"),
            variables: &["MAILQ_RETRY_TRIES"],
            example: "3",
            doc: "Retries after the first attempt; then the message is a dead letter.",
            ..UNSET
        },
        Key {
            section: "retry",
            name: "soft_interval",
            kind: Kind::Span,
            default: Some("30m"),
            variables: &["MAILQ_RETRY_SOFT_INTERVAL"],
            example: "30m",
            doc: "The wait after a soft failure (mailbox full, greylisting), the same each time.",
            ..UNSET
        },
        Key {
            section: "events",
            name: "keep",
            kind: Kind::Span,
            default: Some("90d"),
            variables: &["MAILQ_EVENTS_KEEP"],
            example: "90d",
            doc: "How long outcomes are kept after their run is done. `mailq verify` and `mailq recipients` can answer that long.",
            ..UNSET
        },
        Key {
            section: "kafka",
            name: "partitions",
            kind: Kind::Count(1, 1_000),
            default: Some("12"),
            variables: &["MAILQ_KAFKA_PARTITIONS"],
            example: "12",
            doc: "Partitions of the send topic and every retry tier, when `mailq topics init` makes them: as many workers at most have something to do.",
            ..UNSET
        },
        Key {
            section: "kafka",
            name: "replication",
            kind: Kind::Count(1, 9),
            default: Some("3"),
            variables: &["MAILQ_KAFKA_REPLICATION"],
            example: "3",
            doc: "Copies of each topic on different brokers, when they are made; never more than there are brokers.",
            ..UNSET
        },
        Key {
            section: "kafka",
            name: "sasl_password_env",
            example: "KAFKA_PASSWORD",
            doc: "Name of the variable that holds `sasl.password`.",
            ..UNSET
        },
        Key {
            section: "kafka",
            name: "sasl_password_file",
            kind: Kind::Path,
            example: "/run/secrets/kafka",
            doc: "A file whose first line is it.",
            ..UNSET
        },
        Key {
            section: "kafka",
            name: "sasl_password_command",
            example: "pass show kafka",
            doc: "A shell command whose first line of output is it.",
            ..UNSET
        },
        Key {
            section: "kafka",
            name: "ssl_key_password_env",
            example: "KAFKA_KEY_PASSWORD",
            doc: "Name of the variable that holds `ssl.key.password`, of the private key that `ssl.key.location` names.",
            ..UNSET
        },
        Key {
            section: "kafka",
            name: "ssl_key_password_file",
            kind: Kind::Path,
            example: "/run/secrets/kafka-key",
            doc: "A file whose first line is it.",
            ..UNSET
        },
        Key {
            section: "kafka",
            name: "ssl_key_password_command",
            example: "pass show kafka-key",
            doc: "A shell command whose first line of output is it.",
            ..UNSET
        },
        Key {
            section: "kafka",
            name: "token_command",
            example: "get-token --audience kafka",
            doc: "A shell command that prints an access token, for `\"sasl.mechanisms\" = \"OAUTHBEARER\"`; run again before the token expires.",
            ..UNSET
        },
    ],
};
