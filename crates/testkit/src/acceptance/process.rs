//! A running `mailq` and the signals it gets. Ends with its value: no line leaves a process behind.

use super::project::{Project, tail};
use anyhow::bail;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(2);

pub struct Process {
    child: Child,
    name: String,
    log: std::path::PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Its standard error goes to the log of this name, its standard output to `NAME.out`.
    pub fn start(project: &Project, name: &str, arguments: &[&str]) -> anyhow::Result<Process> {
        let out = fs::File::create(project.path().join(format!("{name}.out")))?;
        let child = project
            .command(arguments)
            .stdout(Stdio::from(out))
            .stderr(Stdio::from(project.log(name)?))
            .spawn()?;
        Ok(Process {
            child,
            name: name.to_string(),
            log: project.path().join(format!("{name}.log")),
            ended: None,
        })
    }

    /// A worker at this relay, at an unlimited rate, until the queue is empty.
    pub fn draining(
        project: &Project,
        name: &str,
        relay: &str,
        more: &[&str],
    ) -> anyhow::Result<Process> {
        let mut arguments = vec!["send", "--drain", "--rate", "unlimited", "--relay", relay];
        arguments.extend(more);
        Process::start(project, name, &arguments)
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Does nothing once the process has been waited for: its number may be another's by then.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        if self.ended()?.is_none()
            && let Some(id) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            kill_process(id, signal)?;
        }
        Ok(())
    }

    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::KILL)?;
        self.wait(Duration::from_secs(10))?;
        Ok(())
    }

    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(self.ended)
    }

    pub fn wait(&mut self, at_most: Duration) -> anyhow::Result<ExitStatus> {
        let started_at = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if started_at.elapsed() > at_most {
                bail!(
                    "`{}` has not ended in {at_most:?}; its log ends: {}",
                    self.name,
                    self.last_words()
                );
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits for an end with exit code 0.
    pub fn wait_for_success(&mut self, at_most: Duration) -> anyhow::Result<()> {
        let status = self.wait(at_most)?;
        if !status.success() {
            bail!(
                "`{}` ended with {status}; its log ends: {}",
                self.name,
                self.last_words()
            );
        }
        Ok(())
    }

    /// All that it has said so far.
    pub fn words(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn last_words(&self) -> String {
        tail(&self.words())
    }

    /// Processor time that it has used so far; `None` once it has ended.
    pub fn processor_time(&self) -> Option<Duration> {
        const TICKS_A_SECOND: f64 = 100.0; // Of every Linux, whatever its kernel counts in.
        let line = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // The name, which may hold anything, is in brackets; user and system time are the 12th and 13th after it.
        let after = line.rsplit_once(')')?.1;
        let times = after.split_whitespace().skip(11).take(2);
        let ticks: f64 = times.filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
        Some(Duration::from_secs_f64(ticks / TICKS_A_SECOND))
    }

    /// The most memory it has had so far, in bytes; `None` once it has ended.
    pub fn peak_memory_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kilobytes * 1024)
    }

    /// Bytes that it has sent to the storage so far; `None` once it has ended.
    pub fn bytes_written(&self) -> Option<u64> {
        let counts = fs::read_to_string(format!("/proc/{}/io", self.child.id())).ok()?;
        let line = counts
            .lines()
            .find(|line| line.starts_with("write_bytes:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
