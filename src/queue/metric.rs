//! Numbers that a queue tells of itself, for those who watch over it.

/// One number, named as Prometheus wants it: base units, and `_total` where it only grows.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    pub name: &'static str,
    pub help: &'static str,
    pub labels: Vec<(&'static str, String)>,
    pub value: f64,
}

impl Metric {
    pub fn is_counter(&self) -> bool {
        self.name.ends_with("_total")
    }
}
