//! A backend's own metrics.

/// One value, named by Prometheus' rules: base units, and `_total` for a counter.
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
