//! Real servers: a Postfix of our own (in a temporary folder, on a loopback port) that refuses, defers and accepts, and
//! Postfix's `smtp-sink`. Only processes started here are stopped, each by its number.

use mailq_testkit::ports::Ports;
use rustix::process::{Pid, Signal, getuid, kill_process};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const DAEMONS: &str = "/usr/lib/postfix/sbin";
const RECIPIENTS: u64 = 300;
const SINK_MESSAGES: u64 = 2_000;

/// Why the servers cannot be had here. In CI they must be: scripts/test.sh installs them.
fn missing(needs_root: bool) -> Option<String> {
    let root = needs_root && !getuid().is_root();
    let why = if root {
        "Postfix can only be started by root"
    } else if needs_root && !Path::new(DAEMONS).join("master").exists()
        || tool("smtp-sink").is_none()
    {
        "Postfix is not installed (Debian package `postfix`)"
    } else {
        return None;
    };
    assert!(
        std::env::var_os("CI").is_none(),
        "in CI this must run: {why}"
    );
    Some(why.to_string())
}

fn tool(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin".into(), "/usr/bin".into()];
    let all: Vec<PathBuf> = std::env::split_paths(&folders).chain(more).collect();
    all.into_iter()
        .map(|folder| folder.join(name))
        .find(|path| path.exists())
}

/// A server of its own process group; it ends with the value.
struct Server {
    child: Child,
    port: u16,
    _ports: Ports,
}

impl Server {
    fn start(mut command: Command, ports: Ports) -> Server {
        let port = ports.first();
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .spawn()
            .expect("the server starts");
        let mut server = Server {
            child,
            port,
            _ports: ports,
        };
        wait_until("the server answers", || {
            assert!(
                server.child.try_wait().expect("its state").is_none(),
                "the server has ended"
            );
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        server
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(id.expect("a number"), signal).expect("it is there");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let _ = self.child.wait();
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "waited in vain until {what}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

struct Project(TempDir);

impl Project {
    fn new(port: u16, recipients: u64) -> Project {
        let project = Project(TempDir::new().expect("a folder"));
        let rows = (0..recipients).map(|number| format!("u{number}@example.com,Name {number}\n"));
        let list: String = std::iter::once("email,name\n".to_string())
            .chain(rows)
            .collect();
        let settings = format!(
            "[send]\nrate = \"unlimited\"\n[[relay]]\nurl = \"smtp://127.0.0.1:{port}\"\n\
             [retry]\ninitial = \"8s\"\nsoft_interval = \"8s\"\njitter = 0.0\n"
        );
        let campaign =
            "from = \"news@acme.example\"\nsubject = \"Hello, {{ name }}\"\ntext = \"a.txt\"\n";
        project
            .write("mailq.toml", &settings)
            .write("campaigns/a.toml", campaign)
            .write("campaigns/a.csv", &list)
            .write(
                "templates/a.txt",
                "Dear {{ name }},\n.\nthe spring list is here.\n",
            );
        project
    }

    fn write(&self, name: &str, text: &str) -> &Project {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, text).expect("a file");
        self
    }

    /// Its standard output, after the exit code has been looked at.
    fn mailq(&self, arguments: &[&str], exit: i32) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_mailq"))
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .output()
            .expect("mailq runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {stderr}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn json(&self, arguments: &[&str], exit: i32) -> Value {
        let text = self.mailq(arguments, exit);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// `status` and `verify` both say so, and of nobody else anything.
    fn ended(&self, wanted: &[(&str, u64)]) {
        let status = self.json(&["status", "--json"], 0);
        let verify = self.json(&["verify", "--json"], 0);
        assert_eq!(status["campaigns"], verify["campaigns"]);
        let row = &status["campaigns"][0];
        let total: u64 = wanted.iter().map(|(_, count)| count).sum();
        assert_eq!(row["enqueued"], total, "{row}");
        for (key, count) in wanted {
            assert_eq!(row[*key], *count, "{row}");
        }
    }
}

/// Postfix in a folder: it takes everything (into `discard:`) but what `recipients` says.
fn postfix(folder: &Path, ports: Ports) -> Server {
    let port = ports.first();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("others may pass");
    fs::create_dir_all(folder.join("etc")).expect("a folder");
    fs::create_dir_all(folder.join("queue")).expect("a folder");
    fs::create_dir_all(folder.join("data")).expect("a folder");
    let id = Command::new("id")
        .args(["-u", "postfix"])
        .output()
        .expect("id");
    let id = String::from_utf8_lossy(&id.stdout)
        .trim()
        .parse()
        .expect("the user `postfix`");
    chown(folder.join("data"), Some(id), None).expect("Postfix's own");
    let home = folder.display();
    let main = MAIN
        .replace("HOME", &home.to_string())
        .replace("DAEMONS", DAEMONS);
    let master = format!("127.0.0.1:{port} inet n - n - - smtpd\n{MASTER}");
    fs::write(folder.join("etc/main.cf"), main).expect("main.cf");
    fs::write(folder.join("etc/master.cf"), master).expect("master.cf");
    let configuration = folder.join("etc");
    let check = Command::new("/usr/sbin/postfix")
        .arg("-c")
        .arg(&configuration)
        .arg("check")
        .output();
    let check = check.expect("postfix check");
    assert!(
        check.status.success(),
        "{}",
        String::from_utf8_lossy(&check.stderr)
    );
    let mut command = Command::new(Path::new(DAEMONS).join("master"));
    command.arg("-c").arg(&configuration).arg("-d");
    Server::start(command, ports)
}

const MAIN: &str = "compatibility_level = 3.6
queue_directory = HOME/queue
data_directory = HOME/data
command_directory = /usr/sbin
daemon_directory = DAEMONS
mail_owner = postfix
setgid_group = postdrop
maillog_file = HOME/log
maillog_file_prefixes = HOME
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
myhostname = relay.example
mydestination =
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = check_recipient_access texthash:HOME/etc/recipients, permit_mynetworks, reject
default_transport = discard:
local_recipient_maps =
alias_maps =
alias_database =
smtpd_peername_lookup = no
";

const MASTER: &str = "cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
";

/// Of ten recipients one is refused, and one more deferred if `defers`.
fn access(folder: &Path, defers: bool) {
    let rule = |number: u64| match number % 10 {
        0 => format!("u{number}@example.com 550 5.1.1 no such user\n"),
        1 if defers => format!("u{number}@example.com 450 4.2.0 mailbox is busy\n"),
        _ => String::new(),
    };
    let text: String = (0..RECIPIENTS).map(rule).collect();
    fs::create_dir_all(folder.join("etc")).expect("a folder");
    fs::write(folder.join("etc/recipients"), text).expect("the map");
}

/// The recipients in lines of the log that hold these words, each once, and how many lines there are.
fn logged(folder: &Path, words: &[&str]) -> (BTreeSet<String>, usize) {
    let text = fs::read_to_string(folder.join("log")).unwrap_or_default();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| words.iter().all(|word| line.contains(word)))
        .collect();
    let to = |line: &&str| Some(line.split_once("to=<")?.1.split_once('>')?.0.to_string());
    (lines.iter().filter_map(to).collect(), lines.len())
}

#[test]
fn postfix_refuses_defers_and_accepts() {
    if let Some(why) = missing(true) {
        println!("skipped: {why}");
        return;
    }
    let home = TempDir::new().expect("a folder");
    let folder = home.path();
    access(folder, true);
    let server = postfix(folder, Ports::find(1));
    let project = Project::new(server.port, RECIPIENTS);
    let tenth = RECIPIENTS / 10;

    // The deferred ones are due later than this waits.
    project.mailq(&["run", "campaigns/a.toml", "--max-wait", "1s"], 75);
    let taken = ("delivered", RECIPIENTS - 2 * tenth);
    project.ended(&[taken, ("bounced", tenth), ("retrying", tenth)]);

    access(folder, false);
    server.signal(Signal::HUP);
    project.mailq(&["run", "campaigns/a.toml"], 0);
    project.ended(&[("delivered", RECIPIENTS - tenth), ("bounced", tenth)]);

    // What Postfix itself wrote down of everybody.
    let sent = || logged(folder, &["status=sent"]);
    wait_until("Postfix has logged every mail", || {
        sent().1 as u64 >= RECIPIENTS - tenth
    });
    let (sent, sent_lines) = sent();
    let (refused, refused_lines) = logged(folder, &["reject: RCPT", " 550 5.1.1 "]);
    let (deferred, _) = logged(folder, &["reject: RCPT", " 450 4.2.0 "]);
    assert_eq!(
        (sent.len() as u64, sent_lines as u64),
        (RECIPIENTS - tenth, RECIPIENTS - tenth)
    );
    assert_eq!((refused.len() as u64, refused_lines as u64), (tenth, tenth));
    assert_eq!(deferred.len() as u64, tenth);
    assert!(deferred.is_subset(&sent) && refused.is_disjoint(&sent));
    assert_eq!((refused.len() + sent.len()) as u64, RECIPIENTS);
}

#[test]
fn smtp_sink_counts_what_mailq_counts() {
    if let Some(why) = missing(false) {
        println!("skipped: {why}");
        return;
    }
    let home = TempDir::new().expect("a folder");
    let ports = Ports::find(1);
    let mut command = Command::new(tool("smtp-sink").expect("smtp-sink"));
    let template = home.path().join("%M.");
    if getuid().is_root() {
        // It insists on being nobody in particular.
        command.args(["-u", "nobody"]);
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777))
            .expect("others may write");
    }
    command
        .arg("-d")
        .arg(&template)
        .arg(format!("127.0.0.1:{}", ports.first()))
        .arg("100");
    let server = Server::start(command, ports);
    let project = Project::new(server.port, SINK_MESSAGES);
    project.mailq(&["run", "campaigns/a.toml"], 0);
    project.ended(&[("delivered", SINK_MESSAGES)]);
    drop(server);

    let mut recipients = BTreeSet::new();
    let mut mails = 0;
    for entry in fs::read_dir(home.path()).expect("the dump") {
        let text = fs::read(entry.expect("an entry").path()).expect("a mail");
        let text = String::from_utf8_lossy(&text);
        let to = text
            .lines()
            .find_map(|line| line.strip_prefix("X-Rcpt-Args: "));
        // Whoever only looked whether it answers sent none.
        if let Some(to) = to {
            mails += 1;
            recipients.insert(to.to_string());
        }
    }
    assert_eq!(
        (mails, recipients.len() as u64),
        (SINK_MESSAGES, SINK_MESSAGES)
    );
}
