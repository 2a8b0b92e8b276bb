//! Where a scenario is played: a copy of its folder, its relay, its processes and what they printed.

use super::relay_script;
use super::script::{Call, End, Step};
use super::transcript::{Names, normal};
use mailq_testkit::ports::Ports;
use mailq_testkit::relay::FakeRelay;
use mailq_testkit::relay::log::{Accepted, Log};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// No call takes longer, by far.
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(2);

pub struct Stage {
    project: TempDir,
    /// For what processes print.
    prints: TempDir,
    relay: Option<FakeRelay>,
    relay_script: String,
    /// The relay keeps its port while it is away.
    ports: Ports,
    /// Of relays that were stopped.
    past: Vec<Log>,
    running: Vec<Running>,
    calls: usize,
    stdout: String,
    stderr: String,
    /// Whether a process was killed: mails may have come twice.
    pub saw_kill: bool,
}

struct Running {
    name: String,
    child: Child,
    /// As it is shown, and the number of the files that hold what it prints.
    shown: String,
    number: usize,
}

impl Drop for Stage {
    fn drop(&mut self) {
        for running in &mut self.running {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }
}

impl Stage {
    pub fn set(folder: &Path) -> Result<Stage, String> {
        let temporary = || TempDir::new().map_err(|error| error.to_string());
        let relay_script = fs::read_to_string(folder.join("relay.script")).unwrap_or_default();
        let mut stage = Stage {
            project: temporary()?,
            prints: temporary()?,
            relay: None,
            relay_script: relay_script.clone(),
            ports: Ports::find(1),
            past: Vec::new(),
            running: Vec::new(),
            calls: 0,
            stdout: String::new(),
            stderr: String::new(),
            saw_kill: false,
        };
        stage.start_relay(&relay_script)?;
        if relay_script::parse(&relay_script)?.is_down {
            stage.stop_relay();
        }
        let common = folder.with_file_name("common");
        stage.copy(&common)?;
        stage.copy(folder)?;
        Ok(stage)
    }

    pub fn path(&self) -> &Path {
        self.project.path()
    }

    pub fn printed(&self) -> (&str, &str) {
        (&self.stdout, &self.stderr)
    }

    /// Of all relays that there were, oldest first.
    pub fn logs(&self) -> Vec<Log> {
        let now = self.relay.iter().map(FakeRelay::log);
        self.past.iter().cloned().chain(now).collect()
    }

    pub fn mails(&self) -> Vec<Accepted> {
        self.logs()
            .into_iter()
            .flat_map(|log| log.accepted)
            .collect()
    }

    pub fn names(&self) -> Names {
        let host = rustix::system::uname();
        vec![
            (self.path().display().to_string(), "{{folder}}"),
            (
                format!("smtp://127.0.0.1:{}", self.ports.first()),
                "{{relay}}",
            ),
            (format!("127.0.0.1:{}", self.ports.first()), "{{address}}"),
            (format!("localhost:{}", self.ports.first()), "{{local}}"),
            (
                format!(" on {} ", host.nodename().to_string_lossy()),
                " on {{host}} ",
            ),
        ]
    }

    fn copy(&self, from: &Path) -> Result<(), String> {
        for name in super::files(from) {
            let is_ours = ["run", "relay.script"]
                .iter()
                .any(|ours| name == Path::new(ours));
            if is_ours || name.starts_with("expected") {
                continue;
            }
            let text = fs::read(from.join(&name)).map_err(|error| error.to_string())?;
            self.write(&name, &text)?;
        }
        Ok(())
    }

    /// Text gets the relay's place; bytes that are none stay as they are.
    fn write(&self, name: &Path, content: &[u8]) -> Result<(), String> {
        let path = self.path().join(name);
        let parent = path.parent().unwrap_or(&path);
        fs::create_dir_all(parent).map_err(|error| error.to_string())?;
        let filled = match std::str::from_utf8(content) {
            Ok(text) => self.filled(text).into_bytes(),
            Err(_) => content.to_vec(),
        };
        fs::write(&path, filled).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn filled(&self, text: &str) -> String {
        let port = self.ports.first();
        let text = text.replace("{{relay}}", &format!("smtp://127.0.0.1:{port}"));
        let text = text.replace("{{port}}", &port.to_string());
        text.replace("{{folder}}", &self.path().display().to_string())
    }

    fn start_relay(&mut self, text: &str) -> Result<(), String> {
        let script = relay_script::parse(text)?;
        if let Some(pem) = script.trusted {
            self.write(Path::new("relay-ca.pem"), pem.as_bytes())?;
        }
        let port = self.ports.first();
        self.relay = Some(FakeRelay::start_at(port, script.behaviour));
        Ok(())
    }

    fn stop_relay(&mut self) {
        if let Some(relay) = self.relay.take() {
            self.past.push(relay.log());
        }
    }

    pub fn perform(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Mailq(call) => self.call(call),
            Step::Wait { name, exit } => self.wait(name, *exit),
            Step::Signal { name, kill } => self.signal(name, *kill),
            Step::WaitForMails(count) => {
                let count = *count;
                self.until("so many mails", |stage| {
                    Ok(stage.mails().len() as u64 >= count)
                })
            }
            Step::Sleep(span) => {
                std::thread::sleep(*span);
                Ok(())
            }
            Step::StopRelay => {
                self.stop_relay();
                Ok(())
            }
            Step::StartRelay(script) => {
                let text = match script {
                    Some(name) => {
                        fs::read_to_string(self.path().join(name)).map_err(|e| e.to_string())?
                    }
                    None => self.relay_script.replace("down\n", ""),
                };
                self.start_relay(&text)
            }
            Step::Write { path, text, append } => {
                let mut whole = match append {
                    true => fs::read(self.path().join(path)).unwrap_or_default(),
                    false => Vec::new(),
                };
                whole.extend_from_slice(text);
                self.write(Path::new(path), &whole)
            }
            Step::Remove(path) => self.remove(path),
            Step::Copy { from, to } => {
                let copied = fs::copy(self.path().join(from), self.path().join(to));
                copied.map(|_| ()).map_err(|error| error.to_string())
            }
        }
    }

    fn remove(&self, path: &str) -> Result<(), String> {
        let path = self.path().join(path);
        let removed = match path.is_dir() {
            true => fs::remove_dir_all(&path),
            false => fs::remove_file(&path),
        };
        removed.map_err(|error| format!("{}: {error}", path.display()))
    }

    fn until(
        &mut self,
        what: &str,
        mut is_so: impl FnMut(&mut Stage) -> Result<bool, String>,
    ) -> Result<(), String> {
        let started = Instant::now();
        while !is_so(self)? {
            if started.elapsed() > PATIENCE {
                return Err(format!("waited {PATIENCE:?} in vain for {what}"));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    fn call(&mut self, call: &Call) -> Result<(), String> {
        let mut running = self.spawn(call)?;
        match &call.end {
            End::Itself => {}
            End::Background(name) => {
                running.name.clone_from(name);
                self.running.push(running);
                return Ok(());
            }
            End::KilledAfterMails(count) | End::TerminatedAfterMails(count) => {
                let count = *count;
                let what = format!("{count} mails");
                let enough = |stage: &mut Stage| Ok(stage.mails().len() as u64 >= count);
                self.strike(&mut running, &call.end, &what, enough)?;
            }
            End::KilledWhen { path, bytes } => {
                let path = self.path().join(path);
                let bytes = *bytes;
                let size = move || fs::metadata(&path).map_or(0, |found| found.len());
                let what = format!("{bytes} bytes");
                self.strike(&mut running, &call.end, &what, |_| Ok(size() >= bytes))?;
            }
        }
        let wanted = match call.end {
            End::KilledAfterMails(_) | End::KilledWhen { .. } => None,
            _ => Some(call.exit),
        };
        self.end(running, wanted)
    }

    /// Waits for the moment, then sends the signal. That the process ended before it is a failure: nothing was tried.
    fn strike(
        &mut self,
        running: &mut Running,
        end: &End,
        what: &str,
        mut is_time: impl FnMut(&mut Stage) -> Result<bool, String>,
    ) -> Result<(), String> {
        self.until(what, |stage| {
            let ended = running
                .child
                .try_wait()
                .map_err(|error| error.to_string())?;
            match ended {
                Some(status) => Err(format!(
                    "`{}` ended ({status}) before {what}",
                    running.shown
                )),
                None => is_time(stage),
            }
        })?;
        match end {
            End::TerminatedAfterMails(_) => terminate(&running.child),
            _ => {
                self.saw_kill = true;
                running.child.kill().map_err(|error| error.to_string())
            }
        }
    }

    fn spawn(&mut self, call: &Call) -> Result<Running, String> {
        self.calls += 1;
        let number = self.calls;
        let arguments: Vec<String> = call
            .arguments
            .iter()
            .map(|word| self.filled(word))
            .collect();
        let create = |kind: &str| {
            File::create(self.prints.path().join(format!("{number}.{kind}")))
                .map_err(|error| error.to_string())
        };
        let mut command = self.command();
        if let Some(files) = call.files {
            command = self.called(Command::new("sh"));
            let program = env!("CARGO_BIN_EXE_mailq");
            let limited = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
            command.args(["-c", &limited, program]);
        }
        let child = command
            .args(&arguments)
            .envs(call.variables.iter().cloned())
            .stdout(create("out")?)
            .stderr(create("err")?)
            .spawn()
            .map_err(|error| format!("mailq cannot be started: {error}"))?;
        Ok(Running {
            name: String::new(),
            child,
            shown: format!("$ mailq {}", call.arguments.join(" ")),
            number,
        })
    }

    /// `mailq` in the project, without the variables of whoever runs the tests.
    pub fn command(&self) -> Command {
        self.called(Command::new(env!("CARGO_BIN_EXE_mailq")))
    }

    fn called(&self, mut command: Command) -> Command {
        command
            .current_dir(self.path())
            .env_clear()
            .env("PATH", installed_path())
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        command
    }

    fn signal(&mut self, name: &str, kill: bool) -> Result<(), String> {
        let found = self.running.iter_mut().find(|running| running.name == name);
        let running = found.ok_or(format!("nothing called `{name}` is running"))?;
        if !kill {
            return terminate(&running.child);
        }
        running.child.kill().map_err(|error| error.to_string())?;
        self.saw_kill = true;
        let place = self.running.iter().position(|running| running.name == name);
        let running = self.running.remove(place.unwrap_or_default());
        self.end(running, None)
    }

    fn wait(&mut self, name: &str, exit: i32) -> Result<(), String> {
        let place = self.running.iter().position(|running| running.name == name);
        let place = place.ok_or(format!("nothing called `{name}` is running"))?;
        let running = self.running.remove(place);
        self.end(running, Some(exit))
    }

    /// Waits, keeps what was printed, and looks at the exit code if one is wanted.
    fn end(&mut self, mut running: Running, wanted: Option<i32>) -> Result<(), String> {
        let mut status: Option<ExitStatus> = None;
        let waited = self.until("its end", |_| {
            status = running
                .child
                .try_wait()
                .map_err(|error| error.to_string())?;
            Ok(status.is_some())
        });
        if waited.is_err() {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
        let names = self.names();
        for kind in ["out", "err"] {
            let path = self
                .prints
                .path()
                .join(format!("{}.{kind}", running.number));
            let text = fs::read(path).unwrap_or_default();
            let text = normal(&String::from_utf8_lossy(&text), &names);
            let whole = if kind == "out" {
                &mut self.stdout
            } else {
                &mut self.stderr
            };
            if !text.is_empty() {
                whole.push_str(&normal(&running.shown, &names));
                whole.push_str(&text);
            }
        }
        waited.map_err(|error| format!("`{}`: {error}", running.shown))?;
        let code = status.and_then(|status| status.code());
        match wanted {
            Some(wanted) if code != Some(wanted) => {
                let found = code.map_or("a signal".to_string(), |code| code.to_string());
                Err(format!(
                    "`{}` ended with {found}, not {wanted}",
                    running.shown
                ))
            }
            _ => Ok(()),
        }
    }

    /// Nothing may be left in the background.
    pub fn finish(&mut self) -> Result<(), String> {
        match self.running.first() {
            Some(running) => Err(format!(
                "`{}` is still running: `wait` for it",
                running.shown
            )),
            None => Ok(()),
        }
    }

    /// Everything that helps whoever looks for the fault.
    pub fn report(&self) -> String {
        let mut out = Vec::new();
        let _ = writeln!(out, "-- in {}", self.path().display());
        for name in super::files(self.path()) {
            let size = fs::metadata(self.path().join(&name)).map_or(0, |found| found.len());
            let _ = writeln!(out, "   {:>9} {}", size, name.display());
        }
        let _ = writeln!(out, "-- stdout\n{}-- stderr\n{}", self.stdout, self.stderr);
        let _ = writeln!(out, "-- relay: {} mails", self.mails().len());
        for (connection, line) in self.logs().iter().flat_map(|log| &log.commands).take(60) {
            let _ = writeln!(out, "   {connection}: {line}");
        }
        String::from_utf8_lossy(&out).into_owned()
    }
}

fn terminate(child: &Child) -> Result<(), String> {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let id = id.ok_or("a process without a number")?;
    kill_process(id, Signal::TERM).map_err(|error| error.to_string())
}

/// PATH with the program's folder first, as where it is installed: another `mailq` may be on this machine.
fn installed_path() -> std::ffi::OsString {
    let own = std::path::Path::new(env!("CARGO_BIN_EXE_mailq")).parent();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = own.into_iter().map(std::path::Path::to_path_buf);
    std::env::join_paths(own.chain(std::env::split_paths(&path))).expect("folders of PATH")
}
