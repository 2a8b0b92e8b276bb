//! A project on disk with a fake relay, to run `mailq` in.

use mailq_testkit::relay::FakeRelay;
use mailq_testkit::relay::behaviour::Behaviour;
use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

pub struct Project {
    folder: TempDir,
    pub relay: FakeRelay,
}

pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Project {
    /// Retries after `retry`, a duration.
    pub fn new(retry: &str) -> Project {
        Project::with_relay(retry, Behaviour::default())
    }

    pub fn with_relay(retry: &str, behaviour: Behaviour) -> Project {
        let project = Project {
            folder: TempDir::new().unwrap(),
            relay: FakeRelay::start(behaviour),
        };
        let url = project.relay.url();
        project.write(
            "mailq.toml",
            &format!(
                "[send]\nrate = \"unlimited\"\n[[relay]]\nurl = \"{url}\"\n\
                 [retry]\ninitial = \"{retry}\"\nmax = \"{retry}\"\nsoft_interval = \"{retry}\"\n"
            ),
        );
        project.write("templates/spring.txt", "Hello {{ name }}\n");
        project.write(
            "campaigns/spring.toml",
            "from = \"Acme <news@acme.example>\"\nsubject = \"Hi {{ name }}\"\ntext = \"spring.txt\"\nin_doubt = \"hold\"\n",
        );
        project
    }

    /// A drained queue with one message for each outcome. Rows: delivered, bounced, dead (refused once), in doubt,
    /// delivered after a retry, delivered.
    pub fn with_everything() -> Project {
        let project = Project::new("1s");
        project.list(&[
            ("anna@example.org", "=SUM(A1)"),
            ("bounce@example.org", "\"Smith, \"\"Bob\"\"\""),
            ("refuse-data-1@example.org", " spaces "),
            ("drop-after-data-1@example.org", "Ünal"),
            ("defer-1@example.org", "Dora"),
            ("+plus@example.org", "-1"),
        ]);
        project.ok(&["enqueue", "campaigns/spring.toml"]);
        let ran = project.mailq(&["send", "--drain"]);
        assert_eq!(ran.code, 1, "letters need a person: {}", ran.stderr);
        project
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes the list. Names are written as they are, quotes included.
    pub fn list(&self, rows: &[(&str, &str)]) {
        let rows: String = rows
            .iter()
            .map(|(email, name)| format!("{name},{email}\n"))
            .collect();
        self.write("campaigns/spring.csv", &format!("name,email\n{rows}"));
    }

    pub fn people(&self, count: usize) {
        let addresses: Vec<String> = (0..count).map(|n| format!("p{n}@example.org")).collect();
        let rows: Vec<(&str, &str)> = addresses.iter().map(|a| (a.as_str(), "P")).collect();
        self.list(&rows);
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailq"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        command
    }

    pub fn mailq(&self, arguments: &[&str]) -> Ran {
        Ran::of(&self.command(arguments).output().unwrap())
    }

    /// Must exit with 0.
    pub fn ok(&self, arguments: &[&str]) -> Ran {
        let ran = self.mailq(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        ran
    }

    /// The JSON document that the command prints. It must exit with 0.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.push("--json");
        document(&self.ok(&all).stdout)
    }

    /// In the background, with this stdout.
    pub fn start(&self, arguments: &[&str], stdout: Stdio) -> Child {
        let mut command = self.command(arguments);
        command.stdout(stdout).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// The only campaign of `status --json`. Checks that its counts add up.
    pub fn status(&self) -> Value {
        let status = self.json(&["status"]);
        let rows = status["campaigns"].as_array().unwrap();
        assert_eq!(rows.len(), 1, "{status}");
        assert_law(&rows[0]);
        rows[0].clone()
    }

    /// The file of the queue, while no process has it open.
    pub fn database(&self) -> Connection {
        open(&self.path(".mailq/queue.db"))
    }
}

fn open(path: &Path) -> Connection {
    Connection::open(path).unwrap()
}

impl Ran {
    pub fn of(output: &Output) -> Ran {
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout.clone()).unwrap(),
            stderr: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }
}

pub fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

pub fn send_signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Asks a process to end and waits for it.
pub fn end(child: Child, signal: Signal) -> Ran {
    send_signal(&child, signal);
    Ran::of(&child.wait_with_output().unwrap())
}

pub const PARTS: [&str; 9] = [
    "delivered",
    "bounced",
    "dead",
    "suppressed",
    "expired",
    "cancelled",
    "in_doubt",
    "retrying",
    "pending",
];

/// `enqueued` must be the sum of all other counts.
pub fn assert_law(row: &Value) {
    let parts = PARTS.map(|part| row[part].as_u64().unwrap());
    assert_eq!(
        row["enqueued"].as_u64().unwrap(),
        parts.iter().sum::<u64>(),
        "{row}"
    );
}
