//! The text format of Prometheus, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).

use crate::domain::rate::Rate;
use crate::engine::worker::Summary;
use crate::queue::Metric;
use std::fmt::Write;

pub const CONTENT: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Default)]
pub struct Page(String);

impl Page {
    pub fn worker(&mut self, summary: &Summary) {
        let outcomes = [
            ("delivered", summary.delivered),
            ("deferred", summary.deferred),
            ("bounced", summary.bounced),
            ("dead", summary.dead),
            ("suppressed", summary.suppressed),
            ("expired", summary.expired),
            ("cancelled", summary.cancelled),
            ("in_doubt", summary.in_doubt),
        ];
        self.metrics(&outcomes.map(|(name, count)| Metric {
            name: "mailq_messages_total",
            help: "Messages by outcome in this worker; a deferred message may be sent later.",
            labels: vec![("outcome", name.to_string())],
            value: count as f64,
        }));
        let help = "Mail transactions started with a relay.";
        self.one("mailq_attempts_total", help, summary.attempts as f64);
        let help = "Seconds since this worker started.";
        self.one("mailq_uptime_seconds", help, summary.elapsed.as_secs_f64());
    }

    pub fn limits(&mut self, all: Option<Rate>, own: Option<Rate>) {
        let known = [("all", all), ("worker", own)].into_iter();
        let known = known.filter_map(|(of, rate)| Some((of, rate?)));
        let limits = known.map(|(of, rate)| Metric {
            name: "mailq_rate_limit",
            help: "Highest rate in messages per second: of all workers together, and of this worker.",
            labels: vec![("of", of.to_string())],
            value: rate.per_second(),
        });
        self.metrics(&limits.collect::<Vec<_>>());
    }

    pub fn left(&mut self, messages: u64) {
        let help = "Messages in the queue that may be sent now, including retries.";
        self.one("mailq_queue_messages", help, messages as f64);
    }

    fn one(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.metrics(&[Metric {
            name,
            help,
            labels: Vec::new(),
            value,
        }]);
    }

    /// The format requires all metrics of one name to stand together.
    pub fn metrics(&mut self, metrics: &[Metric]) {
        let mut written: Vec<&str> = Vec::new();
        for metric in metrics {
            if written.contains(&metric.name) {
                continue;
            }
            written.push(metric.name);
            let kind = if metric.is_counter() {
                "counter"
            } else {
                "gauge"
            };
            let (name, help) = (metric.name, metric.help);
            self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
            for one in metrics.iter().filter(|other| other.name == metric.name) {
                let labels = labels(&one.labels);
                self.line(format_args!("{name}{labels} {}", number(one.value)));
            }
        }
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{text}");
    }

    pub fn into_text(self) -> String {
        self.0
    }
}

fn labels(labels: &[(&str, String)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let quoted = |text: &str| {
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        text.replace('\n', "\\n")
    };
    let pairs = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{}\"", quoted(value)));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

fn number(value: f64) -> String {
    match value {
        value if value == f64::INFINITY => "+Inf".to_string(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn writes_the_text_format_of_prometheus() {
        let mut page = Page::default();
        page.worker(&Summary {
            delivered: 7,
            attempts: 9,
            elapsed: Duration::from_millis(1_500),
            ..Summary::default()
        });
        page.limits(Some(Rate::per_minute(30)), Some(Rate::Unlimited));
        page.left(12);
        let text = page.into_text();
        for line in [
            "# TYPE mailq_messages_total counter",
            "mailq_messages_total{outcome=\"delivered\"} 7",
            "mailq_messages_total{outcome=\"in_doubt\"} 0",
            "mailq_attempts_total 9",
            "mailq_uptime_seconds 1.5",
            "mailq_rate_limit{of=\"all\"} 0.5",
            "mailq_rate_limit{of=\"worker\"} +Inf",
            "mailq_queue_messages 12",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert_eq!(text.matches("# TYPE mailq_messages_total").count(), 1);
    }

    #[test]
    fn escapes_label_values() {
        let labels = [("broker", "a\"} 1\nb\\".to_string())];
        assert_eq!(super::labels(&labels), "{broker=\"a\\\"} 1\\nb\\\\\"}");
    }
}
