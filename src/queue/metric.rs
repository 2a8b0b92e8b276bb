//! What a metric is, and a backend's own metrics. The page of `send --metrics` has more of them.

/// How a value behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Never falls, except to 0 when the process starts again. Its name ends in `_total`.
    Counter,
    Gauge,
    Histogram,
}

/// A metric, named by Prometheus' rules: base units, and `_total` for a counter.
#[derive(Debug, PartialEq, Eq)]
pub struct Definition {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub unit: &'static str,
    pub help: &'static str,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    pub of: &'static Definition,
    /// In the order of the definition's labels.
    pub labels: Vec<String>,
    pub value: f64,
}

/// Defines metrics, and a list of them all in their order.
macro_rules! metrics {
    (
        $(#[$doc:meta])* $visible:vis static $list:ident;
        $($definition:ident = ($name:literal, $kind:ident, $labels:expr, $unit:literal, $help:literal),)+
    ) => {
        $(pub static $definition: $crate::queue::metric::Definition = $crate::queue::metric::Definition {
            name: $name,
            kind: $crate::queue::metric::Kind::$kind,
            labels: &$labels,
            unit: $unit,
            help: $help,
        };)+

        $(#[$doc])*
        $visible static $list: &[&$crate::queue::metric::Definition] = &[$(&$definition),+];
    };
}

pub(crate) use metrics;

/// Of a client of librdkafka, and of a broker as this client sees it.
const CLIENT: [&str; 1] = ["client"];
const BROKER: [&str; 2] = ["client", "broker"];

metrics! {
    /// Metrics that a backend has beside those of every worker: of the embedded queue, then of Kafka.
    pub static OF_BACKENDS;
    DISK_USED_RATIO = (
        "mailq_disk_used_ratio", Gauge, [], "ratio",
        "Used share of the file system with the queue, without what is reserved for root."
    ),
    WAITING = (
        "mailq_kafka_waiting_messages", Gauge, CLIENT, "records",
        "Records that a client has not yet sent to a broker; grows while the cluster is unavailable."
    ),
    SENT = ("mailq_kafka_sent_messages_total", Counter, CLIENT, "records", "Records sent to brokers."),
    RECEIVED = (
        "mailq_kafka_received_messages_total", Counter, CLIENT, "records",
        "Records received from brokers."
    ),
    REBALANCES = (
        "mailq_kafka_rebalances_total", Counter, CLIENT, "rebalances",
        "Rebalances of the group that this worker took part in."
    ),
    ASSIGNED = (
        "mailq_kafka_owned_partitions", Gauge, CLIENT, "partitions",
        "Partitions that the group has assigned to this worker."
    ),
    BROKER_UP = ("mailq_kafka_broker_up", Gauge, BROKER, "0 or 1", "1: connected to this broker."),
    TIMEOUTS = (
        "mailq_kafka_request_timeouts_total", Counter, BROKER, "requests",
        "Requests that a broker did not answer in time."
    ),
    RETRIES = (
        "mailq_kafka_request_retries_total", Counter, BROKER, "requests",
        "Requests that were sent again."
    ),
    ERRORS = (
        "mailq_kafka_request_errors_total", Counter, BROKER, "requests",
        "Requests that could not be sent."
    ),
    ROUND_TRIP = (
        "mailq_kafka_round_trip_seconds", Gauge, BROKER, "seconds",
        "Recent 99th percentile of the round-trip time."
    ),
}
