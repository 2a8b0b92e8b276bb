//! Gives a client its first brokers again when it has forgotten all of them.
//!
//! A broker whose session with the controller has ended, because its machine stood still, answers for a moment that
//! there are topics and no brokers. librdkafka 2.12 then removes every broker that it knows, the configured ones too,
//! and never connects again (its issue 5301, still open in 2.15). Its statistics show that; the configured brokers are
//! then added again.

use rdkafka::Statistics as ClientStatistics;
use rdkafka::bindings::rd_kafka_brokers_add;
use rdkafka::client::{Client, ClientContext};
use std::ffi::CString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The first brokers of one client, and whether it has lost them. Clones are for the same client.
#[derive(Clone, Default)]
pub(super) struct Bootstrap {
    has_no_broker: Arc<AtomicBool>,
    /// `host:port,host:port`
    brokers: Arc<str>,
}

impl Bootstrap {
    pub fn new(brokers: &str) -> Bootstrap {
        Bootstrap {
            has_no_broker: Arc::default(),
            brokers: Arc::from(brokers),
        }
    }

    /// The same brokers for another client.
    pub fn for_client(&self) -> Bootstrap {
        Bootstrap {
            has_no_broker: Arc::default(),
            brokers: Arc::clone(&self.brokers),
        }
    }

    /// Takes note of the client's statistics. They list coordinators too, under a source of their own (`logical`):
    /// those are only references to brokers.
    pub fn observe(&self, statistics: &ClientStatistics) {
        let is_broker = |source: &str| matches!(source, "learned" | "configured");
        let mut brokers = statistics.brokers.values();
        let knows_one = brokers.any(|broker| is_broker(&broker.source));
        self.has_no_broker.store(!knows_one, Ordering::Relaxed);
    }

    /// Adds the brokers again if the client knows none. The thread that polls the client calls it.
    pub fn restore<C: ClientContext>(&self, client: &Client<C>) {
        if self.has_no_broker.swap(false, Ordering::Relaxed) {
            tracing::warn!(
                brokers = &*self.brokers,
                "the client has lost its list of brokers; adding the configured ones again"
            );
            add_brokers(client, &self.brokers);
        }
    }

    /// Adds the brokers without a look at the statistics, for clients that have none. A broker that the client knows is
    /// not added twice.
    pub fn restore_now<C: ClientContext>(&self, client: &Client<C>) {
        add_brokers(client, &self.brokers);
    }
}

#[allow(unsafe_code)] // rust-rdkafka has no safe call for it.
fn add_brokers<C: ClientContext>(client: &Client<C>, brokers: &str) {
    let Ok(brokers) = CString::new(brokers) else {
        // librdkafka took the same text as `bootstrap.servers`, where a NUL is refused too.
        tracing::error!(brokers, "the list of brokers holds a NUL");
        return;
    };
    // SAFETY: the client lives for as long as it is borrowed. The text ends with a NUL, and the call, which may come
    // from any thread, copies it.
    unsafe {
        rd_kafka_brokers_add(client.native_ptr(), brokers.as_ptr());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::statistics::Broker;

    fn statistics(sources: &[&str]) -> ClientStatistics {
        let broker = |source: &&str| Broker {
            source: (*source).to_string(),
            ..Broker::default()
        };
        ClientStatistics {
            brokers: sources
                .iter()
                .map(|source| ((*source).to_string(), broker(source)))
                .collect(),
            ..ClientStatistics::default()
        }
    }

    #[test]
    fn a_client_that_knows_only_coordinators_has_no_broker() {
        let bootstrap = Bootstrap::new("127.0.0.1:1");
        for (sources, expected) in [
            (vec![], true),
            (vec!["logical"], true),
            (vec!["logical", "learned"], false),
            (vec!["configured"], false),
        ] {
            bootstrap.observe(&statistics(&sources));
            let found = bootstrap.has_no_broker.load(Ordering::Relaxed);
            assert_eq!(found, expected, "{sources:?}");
        }
        bootstrap.observe(&statistics(&[]));
        let other = bootstrap.for_client();
        assert!(!other.has_no_broker.load(Ordering::Relaxed));
    }
}
