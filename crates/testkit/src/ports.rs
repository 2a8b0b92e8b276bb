//! Ports for servers that go away and come back, or are others' programs: below those that outgoing connections get,
//! and held against other tests and test processes, since the port of a server that is away looks free to everyone.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const FIRST: u16 = 20_000;
/// Numbers from one lock to the next.
const MOST: u16 = 40;
const LOCKS: u16 = 300;
/// Far more than a fork takes.
const FORKS_TAKE: Duration = Duration::from_secs(10);

/// A range of ports, given back when it is dropped, or with the process.
pub struct Ports {
    first: u16,
    _lock: File,
}

impl Ports {
    /// `count`: at most `MOST`.
    pub fn find(count: u16) -> Ports {
        assert!(count <= MOST, "{count} ports");
        let folder = cache().join("ports");
        fs::create_dir_all(&folder).expect("a folder for the locks of ports");
        let start = fastrand::u16(0..LOCKS);
        let mut ranges = (0..LOCKS).map(|number| FIRST + (start + number) % LOCKS * MOST);
        let found = ranges.find_map(|first| {
            let lock = File::create(folder.join(first.to_string())).ok()?;
            lock.try_lock().ok()?;
            are_free(first, count).then_some(Ports { first, _lock: lock })
        });
        found.expect("ports between 20000 and 32000")
    }

    pub fn first(&self) -> u16 {
        self.first
    }
}

/// Nobody answers there. A listener that is opened to find out would take the port itself, see [`listen`].
fn are_free(first: u16, count: u16) -> bool {
    (first..first + count).all(|port| TcpStream::connect(("127.0.0.1", port)).is_err())
}

/// Listens where another listener of this process may have been closed a moment ago. While a thread starts a program, its
/// child has copies of all sockets until it becomes that program, so the port stays taken for that long.
pub fn listen(port: u16) -> io::Result<TcpListener> {
    let began_at = Instant::now();
    loop {
        match TcpListener::bind(("127.0.0.1", port)) {
            Err(error)
                if error.kind() == ErrorKind::AddrInUse && began_at.elapsed() < FORKS_TAKE =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            result => return result,
        }
    }
}

/// What tests keep for the next time, and where.
pub fn cache() -> PathBuf {
    let named = std::env::var_os("MAILQ_TEST_CACHE").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    named.unwrap_or_else(|| home().join(".cache/mailq-tests"))
}
