//! The page for Prometheus. The crate `prometheus-client` writes the text format, version 0.0.4.

use super::catalog;
use crate::engine::worker::figures::Histogram;
use crate::queue::Metric;
use crate::queue::metric::{Definition, Kind};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

pub const CONTENT: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Debug)]
enum Value {
    Whole(u64),
    Real(f64),
    Histogram(Histogram),
}

#[derive(Debug)]
struct Sample {
    of: &'static Definition,
    labels: Vec<String>,
    value: Value,
}

/// Values in any order; the text has them by the order of the catalogue.
#[derive(Debug, Default)]
pub struct Page(Vec<Sample>);

impl Page {
    pub fn whole(&mut self, of: &'static Definition, labels: &[&str], value: u64) {
        self.add(of, labels, Value::Whole(value));
    }

    pub fn real(&mut self, of: &'static Definition, labels: &[&str], value: f64) {
        self.add(of, labels, Value::Real(value));
    }

    pub fn histogram(&mut self, of: &'static Definition, value: Histogram) {
        self.add(of, &[], Value::Histogram(value));
    }

    pub fn metrics(&mut self, metrics: Vec<Metric>) {
        self.0.extend(metrics.into_iter().map(|metric| Sample {
            of: metric.of,
            labels: metric.labels,
            value: match metric.value.fract() == 0.0 && metric.value >= 0.0 {
                true => Value::Whole(metric.value as u64),
                false => Value::Real(metric.value),
            },
        }));
    }

    fn add(&mut self, of: &'static Definition, labels: &[&str], value: Value) {
        let labels = labels.iter().map(|label| label.to_string()).collect();
        self.0.push(Sample { of, labels, value });
    }

    /// Errors: none that a text in memory can have.
    pub fn into_text(self) -> Result<String, std::fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        prometheus_client::encoding::prometheus_text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for definition in catalog::all() {
            let mut samples = self.0.iter().filter(|sample| sample.of == definition);
            let mut next = samples.next();
            if next.is_none() {
                continue;
            }
            let (kind, name) = match definition.kind {
                // The encoder appends the ending.
                Kind::Counter => {
                    let name = definition.name.strip_suffix("_total");
                    (MetricType::Counter, name.unwrap_or(definition.name))
                }
                Kind::Gauge => (MetricType::Gauge, definition.name),
                Kind::Histogram => (MetricType::Histogram, definition.name),
            };
            let mut metric = encoder.encode_descriptor(name, definition.help, None, kind)?;
            while let Some(sample) = next {
                let names = definition.labels.iter().copied();
                let values = sample.labels.iter().map(String::as_str);
                let labels: Vec<(&str, &str)> = names.zip(values).collect();
                sample.encode(metric.encode_family(&labels)?)?;
                next = samples.next();
            }
        }
        Ok(())
    }
}

impl Sample {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        match (&self.value, self.of.kind) {
            (Value::Whole(value), Kind::Counter) => ConstCounter::new(*value).encode(encoder),
            (Value::Real(value), Kind::Counter) => ConstCounter::new(*value).encode(encoder),
            (Value::Whole(value), _) => ConstGauge::new(*value).encode(encoder),
            (Value::Real(value), _) => ConstGauge::new(*value).encode(encoder),
            (Value::Histogram(value), _) => encoder.encode_histogram::<NoLabelSet>(
                value.sum_seconds(),
                value.count(),
                &value.buckets(),
                None,
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn writes_the_text_format_of_prometheus() {
        let mut page = Page::default();
        page.whole(&catalog::SENT, &["spring", "a", "delivered"], 7);
        page.real(&catalog::RATE_LIMIT, &["all"], 0.5);
        page.whole(&catalog::SENT, &["spring", "a", "bounced"], 0);
        page.real(&catalog::RATE_LIMIT, &["worker"], f64::INFINITY);
        let mut latency = Histogram::new(&[0.5]);
        latency.observe(Duration::from_millis(250));
        latency.observe(Duration::from_secs(2));
        page.histogram(&catalog::LATENCY, latency);
        let text = page.into_text().unwrap();
        for line in [
            "# TYPE emails_sent_total counter",
            "emails_sent_total{campaign=\"spring\",relay=\"a\",outcome=\"delivered\"} 7",
            "emails_sent_total{campaign=\"spring\",relay=\"a\",outcome=\"bounced\"} 0",
            "mailq_rate_limit{of=\"all\"} 0.5",
            "mailq_rate_limit{of=\"worker\"} +Inf",
            "# TYPE delivery_latency_seconds histogram",
            "delivery_latency_seconds_bucket{le=\"0.5\"} 1",
            "delivery_latency_seconds_bucket{le=\"+Inf\"} 2",
            "delivery_latency_seconds_sum 2.25",
            "delivery_latency_seconds_count 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert_eq!(text.matches("# TYPE emails_sent_total").count(), 1);
    }

    #[test]
    fn escapes_label_values() {
        let mut page = Page::default();
        page.whole(&catalog::ATTEMPTS, &["a\"} 1\nb\\"], 1);
        let text = page.into_text().unwrap();
        let line = "mailq_attempts_total{relay=\"a\\\"} 1\\nb\\\\\"} 1\n";
        assert!(text.ends_with(line), "{text}");
    }
}
