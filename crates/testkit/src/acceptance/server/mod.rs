//! A relay on 127.0.0.1 that counts: a thread for each connection, several gates (ports) so that each worker can have
//! its own. It can be slowed, closed and opened again while it runs, and answers by script.

mod ledger;
mod visit;

pub use ledger::{Ledger, Recipient, Transaction};

use crate::ports::{self, Ports};
use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// What the relay does with one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Accept,
    /// The same, so long after the final dot.
    AcceptAfter(Duration),
    /// This line in reply to RCPT TO.
    AtRecipient(&'static str),
    /// This line in reply to the final dot.
    AfterDot(&'static str),
    /// No reply to the final dot, the connection is gone.
    DropAfterDot,
    /// 421 in reply to RCPT TO, the connection is gone.
    Goodbye,
    /// Bytes that are no reply, to RCPT TO.
    Junk,
}

/// What is wrong with a gate as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Trouble {
    None,
    /// Refuses connections and hangs up on all, as a relay that was ended.
    Closed,
    /// Takes connections, reads nothing and answers nothing, as a relay that was stopped (SIGSTOP).
    Frozen,
    /// 451 in reply to every RCPT TO.
    Deferring,
}

/// (recipient's number, attempts before this one) -> what to do.
pub type Script = Box<dyn Fn(u32, u32) -> Answer + Send + Sync>;

pub struct Server {
    gates: Vec<Gate>,
    shared: Arc<Shared>,
    _ports: Ports,
}

struct Gate {
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    script: Script,
    ledger: Mutex<Ledger>,
    delay_micros: AtomicU64,
    /// By gate: a `Trouble`.
    troubles: Vec<AtomicU8>,
    open: Mutex<HashMap<u64, OpenConnection>>,
}

struct OpenConnection {
    gate: usize,
    stream: TcpStream,
}

impl Shared {
    fn has(&self, gate: usize, trouble: Trouble) -> bool {
        self.troubles[gate].load(Ordering::SeqCst) == trouble as u8
    }
}

impl Server {
    /// `population`: how many recipients there are, `u0@` to `u<population - 1>@`.
    pub fn start(gates: usize, population: u32, script: Script) -> io::Result<Server> {
        let shared = Arc::new(Shared {
            script,
            ledger: Mutex::new(Ledger::new(population, gates)),
            delay_micros: AtomicU64::new(0),
            troubles: (0..gates).map(|_| AtomicU8::default()).collect(),
            open: Mutex::default(),
        });
        let ports = Ports::find(u16::try_from(gates).unwrap_or(u16::MAX));
        let addresses = (ports.first()..).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let gates = addresses.take(gates).enumerate();
        let gates = gates.map(|(number, address)| Gate::open(address, number, &shared));
        Ok(Server {
            gates: gates.collect::<io::Result<Vec<_>>>()?,
            shared,
            _ports: ports,
        })
    }

    pub fn accepting(gates: usize, population: u32) -> io::Result<Server> {
        Server::start(gates, population, Box::new(|_, _| Answer::Accept))
    }

    pub fn url(&self, gate: usize) -> String {
        format!("smtp://{}", self.gates[gate].address)
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.shared.ledger)
    }

    /// The wait before each reply to a final dot.
    pub fn slow(&self, delay: Duration) {
        let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.shared.delay_micros.store(micros, Ordering::SeqCst);
    }

    /// Refuses connections and hangs up on all.
    pub fn close(&mut self) {
        for gate in 0..self.gates.len() {
            self.close_gate(gate);
        }
    }

    /// After `close`, at the same ports.
    pub fn open(&mut self) -> io::Result<()> {
        (0..self.gates.len()).try_for_each(|gate| self.set_trouble(gate, Trouble::None))
    }

    /// Ends the trouble that the gate had before. A gate that was closed is opened at the same port.
    pub fn set_trouble(&mut self, gate: usize, trouble: Trouble) -> io::Result<()> {
        if trouble == Trouble::Closed {
            self.close_gate(gate);
            return Ok(());
        }
        let was_closed = self.shared.has(gate, Trouble::Closed);
        self.shared.troubles[gate].store(trouble as u8, Ordering::SeqCst);
        if was_closed {
            let address = self.gates[gate].address;
            self.gates[gate] = Gate::open(address, gate, &self.shared)?;
        }
        Ok(())
    }

    fn close_gate(&mut self, gate: usize) {
        self.shared.troubles[gate].store(Trouble::Closed as u8, Ordering::SeqCst);
        self.gates[gate].shut();
        lock(&self.shared.open).retain(|_, open| {
            if open.gate == gate {
                let _ = open.stream.shutdown(Shutdown::Both);
            }
            open.gate != gate
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.close();
    }
}

impl Gate {
    fn open(address: SocketAddr, number: usize, shared: &Arc<Shared>) -> io::Result<Gate> {
        let listener = ports::listen(address.port())?;
        let shared = Arc::clone(shared);
        let acceptor = std::thread::spawn(move || accept(&listener, number, &shared));
        Ok(Gate {
            address,
            acceptor: Some(acceptor),
        })
    }

    fn shut(&mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            // It waits in `accept`; a connection wakes it.
            let _ = TcpStream::connect(self.address);
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, gate: usize, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.has(gate, Trouble::Closed) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let Ok(handle) = stream.try_clone() else {
            continue;
        };
        let number = lock(&shared.ledger).connected(gate);
        let connection = OpenConnection {
            gate,
            stream: handle,
        };
        lock(&shared.open).insert(number, connection);
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // A client that hangs up ends its visit; that is no failure of the relay.
            let _ = visit::run(&stream, gate, &shared);
            let _ = stream.shutdown(Shutdown::Both);
            lock(&shared.open).remove(&number);
        });
    }
}

/// A thread that failed should not hide what the others saw.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
