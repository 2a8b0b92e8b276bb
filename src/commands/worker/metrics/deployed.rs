//! The alerts and the dashboard in `deploy/` ask only for metrics of the page, and for labels that these have. Prometheus
//! itself would take a wrong name for a metric without values, and the alert would never fire.

use super::catalog;
use crate::queue::metric::{Definition, Kind};
use serde_json::Value;

/// Labels that Prometheus adds.
const ADDED: [&str; 3] = ["instance", "job", "le"];
/// Words of PromQL that are followed by no parenthesis.
const KEYWORDS: [&str; 13] = [
    "sum", "max", "min", "count", "topk", "by", "on", "and", "or", "unless", "offset", "bool",
    "without",
];
/// Words whose parenthesis holds labels.
const BEFORE_LABELS: [&str; 3] = ["by", "on", "without"];

fn read(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The metric that a name in an expression means.
fn metric(name: &str) -> Option<&'static Definition> {
    let of = |name: &str| catalog::all().find(|metric| metric.name == name);
    let series = ["_bucket", "_sum", "_count"];
    let histogram = series.iter().find_map(|end| of(name.strip_suffix(end)?));
    match of(name) {
        Some(metric) if metric.kind != Kind::Histogram => Some(metric),
        _ => histogram.filter(|metric| metric.kind == Kind::Histogram),
    }
}

/// Everything that is wrong in an expression.
fn wrong(expression: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut rest = expression;
    let mut last: Option<&'static Definition> = None;
    let mut found = 0;
    while let Some(next) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        if next == '{' || next == '[' || next == '"' {
            let close = match next {
                '{' => '}',
                '[' => ']',
                quote => quote,
            };
            let inside = rest.strip_prefix(next).unwrap_or_default();
            let (inside, after) = inside.split_once(close).unwrap_or((inside, ""));
            if next == '{' {
                wrong.extend(wrong_labels(inside, last));
            }
            rest = after;
        } else if is_word(next) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            rest = after;
            let is_called = after.trim_start().starts_with('(');
            if BEFORE_LABELS.contains(&word) {
                rest = after.split_once(')').map_or("", |(_, rest)| rest);
            } else if !is_called && !next.is_ascii_digit() && !KEYWORDS.contains(&word) {
                last = metric(word);
                found += 1;
                if last.is_none() && word != "up" {
                    wrong.push(format!("`{word}` is no metric: {expression}"));
                }
            }
        } else {
            rest = rest.strip_prefix(next).unwrap_or_default();
        }
    }
    if found == 0 {
        wrong.push(format!("no metric in: {expression}"));
    }
    wrong
}

/// `campaign="a",outcome=~"b|c"`
fn wrong_labels(matchers: &str, of: Option<&Definition>) -> Vec<String> {
    let quoted = matchers.split('"').step_by(2);
    let names = quoted.filter_map(|part| {
        let name = part.trim_matches([',', ' ', '=', '~', '!']);
        (!name.is_empty()).then_some(name)
    });
    let own = of.map_or(&[][..], |metric| metric.labels);
    names
        .filter(|name| !own.contains(name) && !ADDED.contains(name))
        .map(|name| format!("`{name}` is no label of {:?}", of.map(|metric| metric.name)))
        .collect()
}

/// The values of `expr:`, also those that go on over further lines.
fn expressions_of_rules(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        let words = line.trim();
        if let Some(expression) = words.strip_prefix("expr: ") {
            goes_on = expression == ">-";
            found.push(if goes_on { "" } else { expression }.to_string());
        } else if goes_on && line.starts_with("          ") {
            if let Some(last) = found.last_mut() {
                *last += words;
                last.push(' ');
            }
        } else {
            goes_on = false;
        }
    }
    found
}

/// What the panels ask for, and the variables above them.
fn expressions_of_dashboard(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let panels = targets.filter_map(|target| target["expr"].as_str());
    let variables = dashboard["templating"]["list"].as_array();
    let variables = variables.into_iter().flatten().filter_map(|variable| {
        let query = variable["query"].as_str()?;
        Some(query.strip_prefix("label_values(")?.split_once(',')?.0)
    });
    panels.chain(variables).map(str::to_string).collect()
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_exist() {
    let rules = read("deploy/prometheus/alerts.yml");
    let dashboard = read("deploy/grafana/mailq.json");
    let of_rules = expressions_of_rules(&rules);
    assert_eq!(of_rules.len(), rules.matches("- alert:").count());
    let of_dashboard = expressions_of_dashboard(&serde_json::from_str(&dashboard).unwrap());
    assert!(of_dashboard.len() > 20, "{of_dashboard:?}");
    let all = of_rules.iter().chain(&of_dashboard);
    let wrong: Vec<String> = all.flat_map(|expression| wrong(expression)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Descriptions name metrics as well.
    for text in [rules, dashboard, read("deploy/prometheus/alerts_test.yml")] {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for word in words.filter(|word| word.starts_with("mailq_")) {
            assert!(metric(word).is_some(), "{word}");
        }
    }
}

#[test]
fn a_wrong_name_and_a_wrong_label_are_found() {
    assert!(wrong("max(mailq_workers) > 0").is_empty());
    assert!(wrong("sum by (le) (rate(delivery_latency_seconds_bucket[5m]))").is_empty());
    for expression in [
        "max(mailq_worker) > 0",
        "rate(delivery_latency_seconds[5m])",
        "rate(emails_sent_total{result=\"delivered\"}[5m])",
        "vector(0)",
    ] {
        assert_eq!(wrong(expression).len(), 1, "{expression}");
    }
}
