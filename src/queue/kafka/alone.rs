//! Clients that know no broker any more. A broker whose session with the controller has ended, because its machine stood
//! still, answers for a moment that there are topics and no brokers. librdkafka 2.12 then forgets all it knew, those it
//! was started with too, and never asks anybody again (its issue 5301, not mended by 2.15). Its statistics show it; so
//! a client that is seen without a broker is told of the first ones anew.

use rdkafka::Statistics as Told;
use rdkafka::bindings::rd_kafka_brokers_add;
use rdkafka::client::{Client, ClientContext};
use std::ffi::CString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Of one client; cloned with its context.
#[derive(Clone, Default)]
pub(super) struct Alone {
    is_alone: Arc<AtomicBool>,
    /// Where every client begins: `host:port,host:port`.
    brokers: Arc<str>,
}

impl Alone {
    pub fn new(brokers: &str) -> Alone {
        Alone {
            is_alone: Arc::default(),
            brokers: Arc::from(brokers),
        }
    }

    /// For another client.
    pub fn anew(&self) -> Alone {
        Alone {
            is_alone: Arc::default(),
            brokers: Arc::clone(&self.brokers),
        }
    }

    /// Coordinators are listed too, under names of their own: they lead to brokers that are known.
    pub fn note(&self, statistics: &Told) {
        let is_real = |source: &str| matches!(source, "learned" | "configured");
        let knows_any = statistics.brokers.values().any(|b| is_real(&b.source));
        self.is_alone.store(!knows_any, Ordering::Relaxed);
    }

    /// For a client that tells nothing of itself, when it has failed. Of one that knows its brokers nothing changes.
    pub fn begin_anew<C: ClientContext>(&self, client: &Client<C>) {
        introduce(client, &self.brokers);
    }

    /// To be called now and then by who has the client.
    pub fn mend<C: ClientContext>(&self, client: &Client<C>) {
        if self.is_alone.swap(false, Ordering::Relaxed) {
            tracing::warn!(
                brokers = &*self.brokers,
                "the client has lost its list of brokers; adding the configured ones again"
            );
            introduce(client, &self.brokers);
        }
    }
}

#[allow(unsafe_code)] // rust-rdkafka has no safe call for it.
fn introduce<C: ClientContext>(client: &Client<C>, brokers: &str) {
    let Ok(brokers) = CString::new(brokers) else {
        return;
    };
    // SAFETY: the client is alive for as long as it is borrowed; the text ends with a NUL, and is copied by the call,
    // which may come from any thread.
    unsafe {
        rd_kafka_brokers_add(client.native_ptr(), brokers.as_ptr());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::statistics::Broker;

    fn told(sources: &[&str]) -> Told {
        let broker = |source: &&str| Broker {
            source: (*source).to_string(),
            ..Broker::default()
        };
        Told {
            brokers: sources
                .iter()
                .map(|s| ((*s).to_string(), broker(s)))
                .collect(),
            ..Told::default()
        }
    }

    #[test]
    fn who_knows_only_coordinators_is_alone() {
        let alone = Alone::new("127.0.0.1:1");
        for (sources, expected) in [
            (vec![], true),
            (vec!["logical"], true),
            (vec!["logical", "learned"], false),
            (vec!["configured"], false),
        ] {
            alone.note(&told(&sources));
            assert_eq!(
                alone.is_alone.load(Ordering::Relaxed),
                expected,
                "{sources:?}"
            );
        }
        alone.note(&told(&[]));
        assert!(!alone.anew().is_alone.load(Ordering::Relaxed));
    }
}
