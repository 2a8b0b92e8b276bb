//! A proxy between a client and a broker. It can be cut: then it keeps requests and answers until it is mended, and
//! connections stay. It can also take the offsets out of acknowledgements, as if the broker had received a batch twice.

use super::produce::Produce;
use crate::ports::{self, Ports};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
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
    /// One of so many acknowledgements comes without offsets; 0: none.
    drops_each: AtomicU32,
    /// Acknowledgements so far, and how many of them came without offsets.
    acknowledged: AtomicU32,
    dropped: AtomicU32,
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

    /// From now on one of so many acknowledgements comes without offsets; 0: none.
    pub fn drop_offsets(&self, each: u32) {
        self.network.drops_each.store(each, Ordering::SeqCst);
    }

    /// How many acknowledgements came without offsets.
    pub fn dropped(&self) -> u32 {
        self.network.dropped.load(Ordering::SeqCst)
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
        let requests = Arc::new(Mutex::new(Produce::default()));
        let (network, sent) = (Arc::clone(&self), Arc::clone(&requests));
        std::thread::spawn(move || {
            network.pass_on(from_broker, client, |frame| {
                let mut sent = sent.lock().expect("nobody panics with it");
                if sent.is_answered_by(frame) && network.drops() {
                    Produce::drop_offsets(frame);
                }
            });
        });
        self.pass_on(from_client, broker, |frame| {
            requests.lock().expect("nobody panics with it").note(frame);
        });
    }

    /// Counts an acknowledgement. True: its offsets are to be taken out.
    fn drops(&self) -> bool {
        let each = self.drops_each.load(Ordering::SeqCst);
        let count = self.acknowledged.fetch_add(1, Ordering::SeqCst) + 1;
        let drops = each > 0 && count.is_multiple_of(each);
        self.dropped.fetch_add(u32::from(drops), Ordering::SeqCst);
        drops
    }

    fn pass_on(&self, mut from: TcpStream, mut to: TcpStream, mut see: impl FnMut(&mut [u8])) {
        let _ = to.set_nodelay(true);
        while let Ok(mut frame) = frame(&mut from) {
            self.wait();
            see(&mut frame);
            if to.write_all(&frame).is_err() {
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

/// One request or answer with the four bytes of its length.
fn frame(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut frame = length.to_vec();
    from.take(u32::from_be_bytes(length).into())
        .read_to_end(&mut frame)?;
    Ok(frame)
}
