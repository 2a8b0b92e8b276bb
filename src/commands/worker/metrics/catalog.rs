//! Every metric of the page, in its order: name, kind, labels, unit and meaning. `docs/metrics.md` has the same table,
//! which a test holds to this one.

use crate::queue::metric::{Definition, OF_BACKENDS, metrics};

metrics! {
    static OF_WORKERS;
    SENT = (
        "emails_sent_total", Counter, ["campaign", "relay", "outcome"], "messages",
        "Messages of this worker by outcome; a deferred one is counted again when it is tried again."
    ),
    LATENCY = (
        "delivery_latency_seconds", Histogram, [], "seconds",
        "From when a message was due to the reply of the relay that accepted it."
    ),
    RETRY_SIZE = (
        "retry_queue_size", Gauge, ["tier"], "messages",
        "Messages in the queue that wait in a retry tier."
    ),
    OUTCOMES = (
        "mailq_outcomes_total", Counter, ["relay", "site", "outcome", "class", "reason"], "messages",
        "Messages of this worker by relay, receiving site and what the reply means."
    ),
    ATTEMPTS = (
        "mailq_attempts_total", Counter, ["relay"], "transactions",
        "Mail transactions of this worker that began: the rate that is used."
    ),
    RATE_LIMIT = (
        "mailq_rate_limit", Gauge, ["of"], "messages per second",
        "Rate allowed: of all workers together, and of this worker."
    ),
    RELAY_RATE_LIMIT = (
        "mailq_relay_rate_limit", Gauge, ["relay"], "messages per second",
        "What this worker may send to a relay by its rate."
    ),
    SITE_RATE_LIMIT = (
        "mailq_site_rate_limit", Gauge, ["site"], "messages per second",
        "What this worker may send to a site that has a rate."
    ),
    RELAY_CONNECTIONS = (
        "mailq_relay_connections", Gauge, ["relay"], "connections",
        "Connections of this worker that a relay has greeted."
    ),
    LANE_MESSAGES = (
        "mailq_lane_messages", Gauge, ["relay", "site"], "messages",
        "Messages with a relay now; each holds a connection, which several may share."
    ),
    RELAY_PAUSED = (
        "mailq_relay_paused", Gauge, ["relay"], "0 or 1",
        "1: the breaker of a relay is open, and it only gets probes."
    ),
    SITE_PAUSED = (
        "mailq_site_paused", Gauge, ["site"], "sites",
        "1: the breaker of a site is open; for `other`, how many are."
    ),
    SITE_WAITING = (
        "mailq_site_waiting_messages", Gauge, ["site"], "messages",
        "Claimed messages that have not begun."
    ),
    CLAIMED = (
        "mailq_claimed_messages", Gauge, [], "messages",
        "Messages that may be with a relay: how much of K is in use."
    ),
    MAX_CLAIMED = (
        "mailq_claimed_messages_limit", Gauge, [], "messages",
        "K (`--max-uncommitted`): the most that a kill can leave in doubt."
    ),
    OWNED_PARTITIONS = (
        "mailq_owned_partitions", Gauge, [], "partitions",
        "Partitions of send and the tiers that this worker has."
    ),
    STOPPED_PARTITIONS = (
        "mailq_stopped_partitions", Gauge, [], "partitions",
        "Owned partitions that are not worked on, because something in them is damaged."
    ),
    JOURNAL_CYCLE = (
        "mailq_journal_cycle_seconds", Histogram, [], "seconds",
        "Journal latency: one cycle with its appends and its commit."
    ),
    JOURNAL_IDLE = (
        "mailq_journal_idle_seconds", Gauge, [], "seconds",
        "Since the last cycle of the journal ended; grows while the queue is away."
    ),
    UPTIME = (
        "mailq_uptime_seconds", Gauge, [], "seconds",
        "Since this worker started."
    ),
    LAG = (
        "mailq_queue_lag_messages", Gauge, [], "messages",
        "Messages in the queue that may be sent now, retries included."
    ),
    PENDING = (
        "mailq_queue_pending_messages", Gauge, [], "messages",
        "Messages in the queue that may be sent now, without those that wait for a retry."
    ),
    DEAD_LETTERS = (
        "mailq_dead_letters", Gauge, [], "letters",
        "Dead letters in the queue that were neither sent again nor purged."
    ),
    WORKERS = (
        "mailq_workers", Gauge, [], "workers",
        "Workers that have joined the queue."
    ),
    RETRY_OVERDUE = (
        "mailq_retry_overdue_seconds", Gauge, ["tier"], "seconds",
        "Since the oldest message of a retry tier was due; 0: none is."
    ),
}

/// Those of every worker, then those of its queue.
pub fn all() -> impl Iterator<Item = &'static Definition> {
    OF_WORKERS.iter().chain(OF_BACKENDS).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::metric::Kind;

    fn table() -> String {
        let mut text =
            "| name | type | labels | unit | meaning |\n|---|---|---|---|---|\n".to_string();
        for metric in all() {
            let labels = metric.labels.iter().map(|label| format!("`{label}`"));
            let labels = labels.collect::<Vec<_>>().join(", ");
            let kind = format!("{:?}", metric.kind).to_lowercase();
            let (name, unit, help) = (metric.name, metric.unit, metric.help);
            text += &format!("| `{name}` | {kind} | {labels} | {unit} | {help} |\n");
        }
        text
    }

    #[test]
    fn names_follow_the_rules_of_prometheus() {
        let mut names: Vec<&str> = Vec::new();
        for metric in all() {
            let name = metric.name;
            assert!(!names.contains(&name), "{name} twice");
            names.push(name);
            let is_counter = metric.kind == Kind::Counter;
            assert_eq!(name.ends_with("_total"), is_counter, "{name}");
            if name.ends_with("_seconds") {
                assert_eq!(metric.unit, "seconds", "{name}");
            }
            assert!(metric.help.ends_with('.'), "{name}");
        }
    }

    #[test]
    fn the_manual_has_every_metric() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        let manual = std::fs::read_to_string(path).unwrap();
        let wanted = table();
        assert!(manual.contains(&wanted), "docs/metrics.md needs:\n{wanted}");
    }
}
