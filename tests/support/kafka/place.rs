//! Ports for one cluster, below those that outgoing connections get, and held against other test processes: the ports of
//! a killed node look free to everyone else.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;

const FIRST: u16 = 20_000;
const STEP: u16 = 40;
const PLACES: u16 = 300;

/// Given back when it is dropped, or with the process.
pub struct Place {
    port: u16,
    _lock: File,
}

impl Place {
    pub fn find(nodes: u32) -> Place {
        let folder = cache().join("ports");
        fs::create_dir_all(&folder).expect("a folder for the locks of ports");
        let start = fastrand::u16(0..PLACES);
        let mut places = (0..PLACES).map(|place| FIRST + (start + place) % PLACES * STEP);
        let found = places.find_map(|port| {
            let lock = File::create(folder.join(port.to_string())).ok()?;
            lock.try_lock().ok()?;
            is_free(port, nodes).then_some(Place { port, _lock: lock })
        });
        found.expect("ports between 20000 and 32000 for a cluster")
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

fn is_free(port: u16, nodes: u32) -> bool {
    let nodes = u16::try_from(nodes).expect("few nodes");
    let mut ports = (0..nodes).flat_map(|node| (0..5).map(move |offset| port + 10 * node + offset));
    ports.all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
}

/// What scripts/kafka.sh keeps, and where.
pub fn cache() -> PathBuf {
    let named = std::env::var_os("MAILQ_TEST_CACHE").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    named.unwrap_or_else(|| home().join(".cache/mailq-tests"))
}
