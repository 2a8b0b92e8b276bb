//! librdkafka's statistics as metrics.

use crate::queue::metric::{self, Metric};
use rdkafka::Statistics as ClientStatistics;
use rdkafka::statistics::Broker;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// `statistics.interval.ms`, unless the user sets it.
pub(super) const INTERVAL_MILLISECONDS: &str = "5000";
/// A client without statistics for longer than this has been closed.
const CLOSED_AFTER_SECONDS: i64 = 60;
const MICROSECONDS: f64 = 1e6;

/// The last statistics of each client of a handle.
#[derive(Clone, Default)]
pub(super) struct Statistics(Arc<Mutex<BTreeMap<String, ClientStatistics>>>);

impl Statistics {
    fn clients(&self) -> MutexGuard<'_, BTreeMap<String, ClientStatistics>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn record(&self, statistics: ClientStatistics) {
        let now = statistics.time;
        let mut clients = self.clients();
        clients.insert(statistics.name.clone(), statistics);
        clients.retain(|_, last| last.time + CLOSED_AFTER_SECONDS >= now);
    }

    pub fn metrics(&self) -> Vec<Metric> {
        self.clients().values().flat_map(of_client).collect()
    }
}

fn of_client(statistics: &ClientStatistics) -> Vec<Metric> {
    // The part of `mailq-send-host-4711#producer-2` that is unique in this process.
    let client = statistics
        .name
        .rsplit('#')
        .next()
        .unwrap_or_default()
        .to_string();
    let one = |of, value| Metric {
        of,
        labels: vec![client.clone()],
        value,
    };
    let mut metrics = vec![
        one(&metric::WAITING, statistics.msg_cnt as f64),
        one(&metric::SENT, statistics.txmsgs as f64),
        one(&metric::RECEIVED, statistics.rxmsgs as f64),
    ];
    if let Some(group) = &statistics.cgrp {
        metrics.push(one(&metric::REBALANCES, group.rebalance_cnt as f64));
        metrics.push(one(&metric::ASSIGNED, f64::from(group.assignment_size)));
    }
    // Configured addresses have negative ids.
    let brokers = statistics
        .brokers
        .values()
        .filter(|broker| broker.nodeid >= 0);
    metrics.extend(brokers.flat_map(|broker| of_broker(&client, broker)));
    metrics
}

fn of_broker(client: &str, broker: &Broker) -> Vec<Metric> {
    let one = |of, value| Metric {
        of,
        labels: vec![client.to_string(), broker.nodename.clone()],
        value,
    };
    let is_up = f64::from(u8::from(broker.state == "UP"));
    let rtt = broker.rtt.as_ref().filter(|rtt| rtt.cnt > 0);
    let mut metrics = vec![
        one(&metric::BROKER_UP, is_up),
        one(&metric::TIMEOUTS, broker.req_timeouts as f64),
        one(&metric::RETRIES, broker.txretries as f64),
        one(&metric::ERRORS, broker.txerrs as f64),
    ];
    metrics.extend(rtt.map(|rtt| one(&metric::ROUND_TRIP, rtt.p99 as f64 / MICROSECONDS)));
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::metric::Definition;

    fn statistics_of(name: &str, time: i64) -> ClientStatistics {
        ClientStatistics {
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
            ..ClientStatistics::default()
        }
    }

    fn find<'a>(metrics: &'a [Metric], of: &Definition) -> Vec<(&'a [String], f64)> {
        let named = metrics.iter().filter(|metric| metric.of == of);
        named.map(|r| (r.labels.as_slice(), r.value)).collect()
    }

    #[test]
    fn clients_and_brokers_have_labels() {
        let statistics = Statistics::default();
        statistics.record(statistics_of("mailq-send-a-1#producer-2", 100));
        let metrics = statistics.metrics();
        let waiting = find(&metrics, &metric::WAITING);
        let label = ["producer-2".to_string()];
        assert_eq!(waiting, [(label.as_slice(), 3.0)]);
        let up = find(&metrics, &metric::BROKER_UP);
        let mut up: Vec<(&str, f64)> = up.iter().map(|(l, v)| (l[1].as_str(), *v)).collect();
        up.sort_by(|a, b| a.0.cmp(b.0));
        assert_eq!(up, [("127.0.0.1:9092", 1.0), ("127.0.0.1:9093", 0.0)]);
    }

    #[test]
    fn a_closed_client_is_removed() {
        let statistics = Statistics::default();
        statistics.record(statistics_of("a#consumer-1", 100));
        statistics.record(statistics_of("a#consumer-2", 130));
        assert_eq!(statistics.clients().len(), 2);
        statistics.record(statistics_of("a#consumer-2", 161));
        assert_eq!(statistics.clients().len(), 1);
    }
}
