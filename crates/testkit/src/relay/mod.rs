//! A fake relay on a loopback port, a thread for each connection. Stops, connections and all, when it is dropped.

pub mod behaviour;
pub mod certificate;
pub mod log;
mod visit;

use crate::ports;
use behaviour::{Behaviour, Point, Rule};
use log::Log;
use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Instant;
use visit::Visit;

pub struct FakeRelay {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// What the connections of one relay have in common.
pub struct Shared {
    pub behaviour: Behaviour,
    log: Mutex<Log>,
    /// How often a rule was applied to an address.
    applied: Mutex<HashMap<(Point, String, String), u32>>,
    open: Mutex<Vec<TcpStream>>,
    /// Connections that are open.
    visits: AtomicUsize,
    /// Of the limit: when its time began, and the recipients since then.
    window: Mutex<(Option<Instant>, u32)>,
    stops: AtomicBool,
}

impl FakeRelay {
    pub fn start(behaviour: Behaviour) -> FakeRelay {
        FakeRelay::start_at(0, behaviour)
    }

    /// On a port of one's choice: the relay that comes back after an outage.
    pub fn start_at(port: u16, behaviour: Behaviour) -> FakeRelay {
        let listener = ports::listen(port).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            behaviour,
            log: Mutex::default(),
            applied: Mutex::default(),
            open: Mutex::default(),
            visits: AtomicUsize::new(0),
            window: Mutex::default(),
            stops: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || accept(&listener, &accepting));
        FakeRelay {
            address,
            shared,
            acceptor: Some(acceptor),
        }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    pub fn log(&self) -> Log {
        self.shared.log().clone()
    }
}

impl Drop for FakeRelay {
    fn drop(&mut self) {
        self.shared.stops.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        for stream in lock(&self.shared.open).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    pub fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    pub fn has_too_many_connections(&self) -> bool {
        let most = self.behaviour.connections_at_once;
        most.is_some_and(|most| self.visits.load(Ordering::SeqCst) > most)
    }

    /// Counts one more recipient against the limit.
    pub fn is_over_limit(&self) -> bool {
        let Some((most, time)) = self.behaviour.limit else {
            return false;
        };
        let mut window = lock(&self.window);
        if window.0.is_none_or(|began_at| began_at.elapsed() >= time) {
            *window = (Some(Instant::now()), 0);
        }
        window.1 += 1;
        window.1 > most
    }

    /// Whether a rule still applies to this address; counts it if so.
    pub fn applies(&self, rule: &Rule, address: &str) -> bool {
        let Some(times) = rule.times else { return true };
        let key = (rule.point, rule.pattern.clone(), address.to_string());
        let mut applied = lock(&self.applied);
        let count = applied.entry(key).or_default();
        *count += 1;
        *count <= times
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stops.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let Ok(handle) = stream.try_clone() else {
            continue;
        };
        lock(&shared.open).push(handle);
        let number = {
            let mut log = shared.log();
            log.connections += 1;
            log.connections
        };
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            shared.visits.fetch_add(1, Ordering::SeqCst);
            // A client that hangs up ends its visit; that is no failure of the relay.
            let _ = Visit::run(stream, number, &shared);
            shared.visits.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// A test that failed in one thread should not hide what the others saw.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
