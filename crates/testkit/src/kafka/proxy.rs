//! A network that can be cut: passes bytes on between a client and a broker, or keeps them until it is mended, as a
//! network does that has lost its way for a while. Connections stay.

use crate::ports::{self, Ports};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

/// How often a cut connection looks whether it is whole again.
const LOOK: Duration = Duration::from_millis(5);

pub struct Proxy {
    ports: Ports,
    network: Arc<Network>,
}

#[derive(Default)]
struct Network {
    is_cut: AtomicBool,
    /// The broker's; 0 before it is known.
    to: AtomicU16,
}

impl Proxy {
    /// Before its broker, which must know where to advertise it.
    pub fn start() -> Proxy {
        let ports = Ports::find(1);
        let listener = ports::listen(ports.first()).expect("a free port");
        let network = Arc::new(Network::default());
        let shared = Arc::clone(&network);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let network = Arc::clone(&shared);
                std::thread::spawn(move || network.join(client));
            }
        });
        Proxy { ports, network }
    }

    pub fn port(&self) -> u16 {
        self.ports.first()
    }

    pub fn lead_to(&self, port: u16) {
        self.network.to.store(port, Ordering::SeqCst);
    }

    pub fn cut(&self) {
        self.network.is_cut.store(true, Ordering::SeqCst);
    }

    /// What was kept goes on now.
    pub fn mend(&self) {
        self.network.is_cut.store(false, Ordering::SeqCst);
    }
}

impl Network {
    fn join(self: Arc<Self>, client: TcpStream) {
        self.wait();
        let to = self.to.load(Ordering::SeqCst);
        let Ok(broker) = TcpStream::connect(("127.0.0.1", to)) else {
            return;
        };
        let (Ok(from_client), Ok(from_broker)) = (client.try_clone(), broker.try_clone()) else {
            return;
        };
        let network = Arc::clone(&self);
        std::thread::spawn(move || network.pass_on(from_broker, client));
        self.pass_on(from_client, broker);
    }

    fn pass_on(&self, mut from: TcpStream, mut to: TcpStream) {
        let _ = to.set_nodelay(true);
        let mut bytes = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            self.wait();
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    fn wait(&self) {
        while self.is_cut.load(Ordering::SeqCst) {
            std::thread::sleep(LOOK);
        }
    }
}
