//! Real Kafka brokers on loopback, started by scripts/kafka.sh. Dropping a cluster ends them. They also end with the test
//! process, however it ends: a guard process waits for the end of a pipe that only the test process holds.

mod produce;
pub mod proxy;
mod wire;

use crate::ports::{self, Ports};
use proxy::Proxy;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::MetadataPartition;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const NEWEST: &str = "4.3.1";
/// Used for the contract only.
pub const OLDEST: &str = "3.9.2";
/// The user of secure clusters, for SCRAM-SHA-256, SCRAM-SHA-512 and PLAIN.
pub const USER: &str = "mailq";
pub const PASSWORD: &str = "mailq-secret";
/// As scripts/kafka.sh numbers them.
const PORTS_OF_A_NODE: u16 = 10;

/// The options of a cluster.
#[derive(Clone, Debug)]
pub struct Options {
    pub version: &'static str,
    /// Adds listeners with TLS, passwords and ACLs. On the open listener everyone may do everything.
    pub secure: bool,
    /// Each node's Java heap, such as `256m`, and how many processors it may use.
    pub heap: &'static str,
    pub processors: u32,
    /// The port at which a single node advertises [`Listener::Proxied`].
    pub proxy: Option<u16>,
    /// `key=value` into each broker's configuration.
    pub set: Vec<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            version: NEWEST,
            secure: false,
            heap: "256m",
            processors: 1,
            proxy: None,
            set: Vec::new(),
        }
    }
}

/// The listeners of a cluster. [`Listener::Open`] exists always, `Proxied` with a proxy, the others if it is secure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    Open = 0,
    SaslTls = 2,
    /// With a client's certificate: [`Cluster::client_certificate`] `mailq`.
    Tls = 3,
    SaslPlain = 4,
    Proxied = 5,
}

/// A running cluster. Nodes are numbered from 1. Dropping it ends them and removes their data.
pub struct Cluster {
    nodes: u32,
    folder: PathBuf,
    ports: Ports,
    /// Its end is what the guard waits for.
    pipe: Option<ChildStdin>,
    guard: Child,
    _data: TempDir,
    _turn: Option<Turn>,
}

impl Cluster {
    /// Starts a cluster and waits until it is ready. A cluster of three waits until no other of three runs in this process,
    /// because one after the other is faster on few processors. So one test must not hold two.
    pub fn start(nodes: u32, options: &Options) -> Cluster {
        let turn = (nodes > 1).then(Turn::wait);
        let data = TempDir::new().expect("a folder");
        let folder = data.path().canonicalize().expect("its name");
        let mut guard = script(&["guard", text(&folder)])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the guard starts");
        let cluster = Cluster {
            nodes,
            folder,
            ports: Ports::find(PORTS_OF_A_NODE * u16::try_from(nodes).expect("few nodes")),
            pipe: guard.stdin.take(),
            guard,
            _data: data,
            _turn: turn,
        };
        cluster.run("start", &options.arguments(nodes, cluster.ports.first()));
        cluster
    }

    pub fn nodes(&self) -> u32 {
        self.nodes
    }

    /// For `kafka://`: every node, separated by commas.
    pub fn brokers(&self) -> String {
        self.brokers_at(Listener::Open)
    }

    pub fn url(&self) -> String {
        format!("kafka://{}", self.brokers())
    }

    pub fn brokers_at(&self, listener: Listener) -> String {
        let all = (1..=self.nodes).map(|node| format!("127.0.0.1:{}", self.port(node, listener)));
        all.collect::<Vec<_>>().join(",")
    }

    pub fn port(&self, node: u32, listener: Listener) -> u16 {
        let before = u16::try_from(node - 1).expect("few nodes");
        self.ports.first() + PORTS_OF_A_NODE * before + listener as u16
    }

    /// SIGKILL; it has ended when this returns.
    pub fn kill(&self, node: u32) {
        self.run("kill", &[node.to_string()]);
    }

    /// SIGTERM; it hands its partitions over before it ends.
    pub fn term(&self, node: u32) {
        self.run("term", &[node.to_string()]);
    }

    /// After a kill: ready when this returns, though its copies may not be in sync yet ([`Cluster::wait_in_sync`]).
    pub fn start_again(&self, node: u32) {
        self.run("up", &[node.to_string()]);
        self.run("ready", &[node.to_string()]);
    }

    /// SIGTERM to all nodes, all at a time; they have ended when this returns.
    pub fn stop(&self) {
        self.run("stop", &[""; 0]);
    }

    /// Starts what does not run; ready when it returns.
    pub fn start_all(&self) {
        self.run("start", &[""; 0]);
    }

    /// SIGSTOP: connections stay and nothing answers.
    pub fn pause(&self, node: u32) {
        self.run("pause", &[node.to_string()]);
    }

    pub fn cont(&self, node: u32) {
        self.run("cont", &[node.to_string()]);
    }

    /// The number of a node's process, if it runs.
    pub fn process(&self, node: u32) -> Option<u32> {
        let output = script(&["pid", text(&self.folder), &node.to_string()]).output();
        String::from_utf8(output.ok()?.stdout)
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// The coordinator of a consumer group. The first request for any group creates the topic of offsets.
    pub fn coordinator_of(&self, group: &str) -> u32 {
        wait_for(&format!("a coordinator of `{group}`"), || {
            let mut ports = (1..=self.nodes).map(|node| self.port(node, Listener::Open));
            ports.find_map(|port| wire::coordinator_of(port, group).ok().flatten())
        })
    }

    /// Waits until each partition has all its copies in sync, so that the next node may be killed.
    pub fn wait_in_sync(&self) {
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.brokers())
            .create()
            .expect("a client");
        wait_for("all copies in sync", || {
            let metadata = client.fetch_metadata(None, Duration::from_secs(5)).ok()?;
            let mut partitions = metadata
                .topics()
                .iter()
                .flat_map(|topic| topic.partitions());
            let all = metadata.brokers().len() == self.nodes as usize;
            let in_sync = |partition: &MetadataPartition| {
                partition.leader() > 0 && partition.isr().len() == partition.replicas().len()
            };
            (all && partitions.all(in_sync)).then_some(())
        });
    }

    /// A tool of Kafka's own over the open listener, such as `topics`, `groups` or `acls`; its standard output.
    pub fn tool(&self, name: &str, arguments: &[&str]) -> String {
        let brokers = self.brokers();
        let mut all = vec![name, "--bootstrap-server", &brokers];
        all.extend(arguments);
        self.run("tool", &all)
    }

    /// The authority that the listeners' certificates are from.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("tls/ca.pem")
    }

    /// Certificate and key of the client whom brokers call `User:mailq`.
    pub fn client_certificate(&self) -> (PathBuf, PathBuf) {
        let tls = self.folder.join("tls");
        (tls.join("mailq.pem"), tls.join("mailq.key"))
    }

    /// Where its data, logs and certificates lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn run(&self, command: &str, arguments: &[impl AsRef<str>]) -> String {
        let output = script(&[command, text(&self.folder)])
            .args(arguments.iter().map(AsRef::as_ref))
            .stdin(Stdio::null())
            .output()
            .expect("scripts/kafka.sh runs");
        assert!(
            output.status.success(),
            "scripts/kafka.sh {command}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.guard.wait();
    }
}

impl Options {
    fn arguments(&self, nodes: u32, port: u16) -> Vec<String> {
        let mut arguments = vec!["--nodes".to_string(), nodes.to_string()];
        arguments.extend(["--port".to_string(), port.to_string()]);
        arguments.extend(["--version".to_string(), self.version.to_string()]);
        arguments.extend(["--heap".to_string(), self.heap.to_string()]);
        arguments.extend(["--processors".to_string(), self.processors.to_string()]);
        arguments.extend(self.secure.then(|| "--secure".to_string()));
        if let Some(port) = self.proxy {
            arguments.extend(["--proxy".to_string(), port.to_string()]);
        }
        for set in &self.set {
            arguments.extend(["--set".to_string(), set.clone()]);
        }
        arguments
    }
}

/// A single node that tests share: the first call starts it, and it ends with the process.
pub fn shared(version: &'static str) -> &'static Cluster {
    static NEW: OnceLock<Cluster> = OnceLock::new();
    static OLD: OnceLock<Cluster> = OnceLock::new();
    let cluster = match version {
        OLDEST => &OLD,
        _ => &NEW,
    };
    cluster.get_or_init(|| {
        let options = Options {
            version,
            ..Options::default()
        };
        Cluster::start(1, &options)
    })
}

/// The address of a shared single node behind a proxy that takes the offsets out of every second acknowledgement.
pub fn shared_without_offsets() -> String {
    static SHARED: OnceLock<(Cluster, Proxy)> = OnceLock::new();
    let (_, proxy) = SHARED.get_or_init(|| {
        let proxy = Proxy::start();
        let options = Options {
            proxy: Some(proxy.port()),
            ..Options::default()
        };
        let cluster = Cluster::start(1, &options);
        proxy.lead_to(cluster.port(1, Listener::Proxied));
        proxy.drop_offsets(2);
        (cluster, proxy)
    });
    format!("127.0.0.1:{}", proxy.port())
}

/// Why there can be no brokers here. In CI there must be: scripts/test.sh installs what they need.
pub fn missing() -> Option<String> {
    let found = |tool: &str| {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders).any(|folder| folder.join(tool).exists())
    };
    let fetched = [NEWEST, OLDEST].iter().all(|version| {
        let jars = ports::cache().join("kafka").join(version).join("jars");
        jars.is_dir()
    });
    let why = match () {
        () if !found("java") => "no Java (Debian package `default-jre-headless`)",
        () if !fetched && !found("mvn") => "no Maven to fetch Kafka with (Debian package `maven`)",
        () => return None,
    };
    assert!(
        std::env::var_os("CI").is_none(),
        "in CI this must run: {why}"
    );
    Some(why.to_string())
}

/// Asks until there is an answer, for at most a minute.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        let waited = started.elapsed();
        assert!(waited < Duration::from_secs(60), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn script(arguments: &[&str]) -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/kafka.sh");
    let mut command = Command::new(path);
    command.args(arguments);
    command
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a name in UTF-8")
}

/// The right to run a cluster of several nodes in this process.
struct Turn;

static TAKEN: Mutex<bool> = Mutex::new(false);
static GIVEN_BACK: Condvar = Condvar::new();

impl Turn {
    fn wait() -> Turn {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let free = GIVEN_BACK.wait_while(taken, |taken| *taken);
        *free.unwrap_or_else(PoisonError::into_inner) = true;
        Turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) = false;
        GIVEN_BACK.notify_one();
    }
}
