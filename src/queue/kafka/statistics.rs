//! What librdkafka tells of its clients every few seconds, as metrics.

use crate::queue::Metric;
use rdkafka::Statistics as Told;
use rdkafka::statistics::Broker;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// `statistics.interval.ms`, unless the user says otherwise.
pub(super) const EVERY_MILLISECONDS: &str = "5000";
/// A client that was silent for longer is gone.
const SILENT_SECONDS: i64 = 60;
const MICROSECONDS: f64 = 1e6;

/// The last of each client of a handle.
#[derive(Clone, Default)]
pub(super) struct Statistics(Arc<Mutex<BTreeMap<String, Told>>>);

impl Statistics {
    fn told(&self) -> MutexGuard<'_, BTreeMap<String, Told>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn note(&self, statistics: Told) {
        let now = statistics.time;
        let mut told = self.told();
        told.insert(statistics.name.clone(), statistics);
        told.retain(|_, last| last.time + SILENT_SECONDS >= now);
    }

    pub fn metrics(&self) -> Vec<Metric> {
        self.told().values().flat_map(of_client).collect()
    }
}

fn of_client(told: &Told) -> Vec<Metric> {
    // `mailq-send-host-4711#producer-2`: the part that is unique here.
    let client = told.name.rsplit('#').next().unwrap_or_default().to_string();
    let one = |name, help, value| Metric {
        name,
        help,
        labels: vec![("client", client.clone())],
        value,
    };
    let mut metrics = vec![
        one(
            "mailq_kafka_waiting_messages",
            "Messages that a client has not yet handed to a broker.",
            told.msg_cnt as f64,
        ),
        one(
            "mailq_kafka_sent_messages_total",
            "Messages that brokers were given.",
            told.txmsgs as f64,
        ),
        one(
            "mailq_kafka_received_messages_total",
            "Messages that brokers gave.",
            told.rxmsgs as f64,
        ),
    ];
    if let Some(group) = &told.cgrp {
        metrics.push(one(
            "mailq_kafka_rebalances_total",
            "Rebalances of the group that this worker took part in.",
            group.rebalance_cnt as f64,
        ));
        metrics.push(one(
            "mailq_kafka_owned_partitions",
            "Partitions that the group has given to this worker.",
            f64::from(group.assignment_size),
        ));
    }
    // Below zero: an address to begin with, not a broker.
    let brokers = told.brokers.values().filter(|broker| broker.nodeid >= 0);
    metrics.extend(brokers.flat_map(|broker| of_broker(&client, broker)));
    metrics
}

fn of_broker(client: &str, broker: &Broker) -> Vec<Metric> {
    let one = |name, help, value| Metric {
        name,
        help,
        labels: vec![
            ("client", client.to_string()),
            ("broker", broker.nodename.clone()),
        ],
        value,
    };
    let is_up = f64::from(u8::from(broker.state == "UP"));
    let rtt = broker.rtt.as_ref().filter(|rtt| rtt.cnt > 0);
    let mut metrics = vec![
        one(
            "mailq_kafka_broker_up",
            "1: connected to this broker.",
            is_up,
        ),
        one(
            "mailq_kafka_request_timeouts_total",
            "Requests that a broker did not answer in time.",
            broker.req_timeouts as f64,
        ),
        one(
            "mailq_kafka_request_retries_total",
            "Requests that were sent again.",
            broker.txretries as f64,
        ),
        one(
            "mailq_kafka_request_errors_total",
            "Requests that could not be sent.",
            broker.txerrs as f64,
        ),
    ];
    metrics.extend(rtt.map(|rtt| {
        one(
            "mailq_kafka_round_trip_seconds",
            "99 of 100 requests were answered within this, of late.",
            rtt.p99 as f64 / MICROSECONDS,
        )
    }));
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, time: i64) -> Told {
        Told {
            name: name.to_string(),
            time,
            msg_cnt: 3,
            brokers: [(0, "UP"), (1, "DOWN"), (-1, "UP")]
                .map(|(nodeid, state)| {
                    let broker = Broker {
                        nodeid,
                        nodename: format!("127.0.0.1:{}", 9092 + nodeid),
                        state: state.to_string(),
                        ..Broker::default()
                    };
                    (nodeid.to_string(), broker)
                })
                .into(),
            ..Told::default()
        }
    }

    fn find<'a>(metrics: &'a [Metric], name: &str) -> Vec<(&'a [(&'a str, String)], f64)> {
        let named = metrics.iter().filter(|metric| metric.name == name);
        named.map(|r| (r.labels.as_slice(), r.value)).collect()
    }

    #[test]
    fn clients_and_brokers_are_told_apart() {
        let statistics = Statistics::default();
        statistics.note(told("mailq-send-a-1#producer-2", 100));
        let metrics = statistics.metrics();
        let waiting = find(&metrics, "mailq_kafka_waiting_messages");
        let label = [("client", "producer-2".to_string())];
        assert_eq!(waiting, [(label.as_slice(), 3.0)]);
        let up = find(&metrics, "mailq_kafka_broker_up");
        let mut up: Vec<(&str, f64)> = up.iter().map(|(l, v)| (l[1].1.as_str(), *v)).collect();
        up.sort_by(|a, b| a.0.cmp(b.0));
        assert_eq!(up, [("127.0.0.1:9092", 1.0), ("127.0.0.1:9093", 0.0)]);
    }

    #[test]
    fn a_client_that_is_gone_is_forgotten() {
        let statistics = Statistics::default();
        statistics.note(told("a#consumer-1", 100));
        statistics.note(told("a#consumer-2", 130));
        assert_eq!(statistics.told().len(), 2);
        statistics.note(told("a#consumer-2", 161));
        assert_eq!(statistics.told().len(), 1);
    }
}
