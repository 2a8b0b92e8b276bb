//! mailq beside Postfix's `smtp-source -d`, in turns, each to a fresh `smtp-sink`: messages a second of both.

use super::keeping;
use crate::acceptance::Setting;
use crate::acceptance::process::Process;
use crate::acceptance::project::Project;
use crate::acceptance::report::Report;
use crate::ports::Ports;
use anyhow::{Context, bail};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const ROUNDS: u32 = 3;
pub const MESSAGE_BYTES: usize = 5700;
const CONNECTIONS: &str = "50";
const LONGEST: Duration = Duration::from_secs(1800);

/// A fresh `smtp-sink`; gone with its value.
struct Sink {
    child: Child,
    address: String,
    _ports: Ports,
}

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let population = u32::try_from(setting.count)?;
    keeping(Project::new(setting, "")?, |project| {
        compare(project, population, 0.8, report).map(|_| ())
    })
}

/// In turns; ours must be `least` of theirs. Returns how many messages a second were enqueued, each time.
pub fn compare(
    project: &Project,
    population: u32,
    least: f64,
    report: &mut Report,
) -> anyhow::Result<Vec<f64>> {
    let csv = project.campaign_of_size("source", 0, population, MESSAGE_BYTES)?;
    let (mut ours, mut theirs, mut enqueued) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        enqueued.push(enqueue(project, &csv, population, round)?);
        ours.push(mailq(project, population, "1024")?);
        theirs.push(smtp_source(population)?);
    }
    enqueue(project, &csv, population, ROUNDS)?;
    let at_64 = mailq(project, population, "64")?;
    report.figure("enqueue, messages/s", format!("{enqueued:.0?}"));
    report.figure("mailq, messages/s", format!("{ours:.0?}"));
    report.figure("smtp-source -d, messages/s", format!("{theirs:.0?}"));
    let theirs = median(theirs);
    report.at_least("ratio of the medians", median(ours) / theirs, least);
    report.figure("mailq at K = 64, messages/s", format!("{at_64:.0}"));
    report.figure("ratio at K = 64", format!("{:.2}", at_64 / theirs));
    Ok(enqueued)
}

/// Messages a second.
pub fn enqueue(project: &Project, csv: &str, count: u32, round: u32) -> anyhow::Result<f64> {
    let run = format!("round{round}");
    let began_at = Instant::now();
    project.call(&["enqueue", csv, "--run", &run])?;
    Ok(f64::from(count) / began_at.elapsed().as_secs_f64())
}

fn mailq(project: &Project, count: u32, k: &str) -> anyhow::Result<f64> {
    let sink = Sink::start()?;
    let url = format!("smtp://{}", sink.address);
    let more = ["--connections", CONNECTIONS, "--max-uncommitted", k];
    let began_at = Instant::now();
    let mut worker = Process::draining(project, "send", &url, &more)?;
    worker.wait_for_success(LONGEST)?;
    Ok(f64::from(count) / began_at.elapsed().as_secs_f64())
}

fn smtp_source(count: u32) -> anyhow::Result<f64> {
    let sink = Sink::start()?;
    let (messages, bytes) = (count.to_string(), MESSAGE_BYTES.to_string());
    let began_at = Instant::now();
    let status = Command::new("smtp-source")
        .env("PATH", path())
        .args(["-d", "-s", CONNECTIONS, "-m", &messages, "-l", &bytes])
        .args(["-f", "from@sender.example", "-t", "u0@site0.example"])
        .arg(&sink.address)
        .stdout(Stdio::null())
        .status()
        .context("smtp-source (Debian package postfix)")?;
    if !status.success() {
        bail!("smtp-source ended with {status}");
    }
    Ok(f64::from(count) / began_at.elapsed().as_secs_f64())
}

/// Debian keeps Postfix's tools where only root looks.
fn path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:/usr/sbin:/sbin")
}

impl Sink {
    fn start() -> anyhow::Result<Sink> {
        let ports = Ports::find(1);
        let address = format!("127.0.0.1:{}", ports.first());
        let mut command = Command::new("smtp-sink");
        command.env("PATH", path());
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "nobody"]);
        }
        let child = command
            .args([&address, "1024"])
            .stdout(Stdio::null())
            .spawn()
            .context("smtp-sink (Debian package postfix)")?;
        let sink = Sink {
            child,
            address,
            _ports: ports,
        };
        let began_at = Instant::now();
        while TcpStream::connect(&sink.address).is_err() {
            if began_at.elapsed() > Duration::from_secs(5) {
                bail!("smtp-sink does not answer at {}", sink.address);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(sink)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn median(mut speeds: Vec<f64>) -> f64 {
    speeds.sort_by(f64::total_cmp);
    speeds[speeds.len() / 2]
}
