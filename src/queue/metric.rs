//! Numbers that a queue tells of itself, for those who watch over it.

/// One number, named as Prometheus wants it: `mailq_kafka_…`, with base units.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    pub name: &'static str,
    pub help: &'static str,
    /// It only grows.
    pub is_counter: bool,
    pub labels: Vec<(&'static str, String)>,
    pub value: f64,
}
