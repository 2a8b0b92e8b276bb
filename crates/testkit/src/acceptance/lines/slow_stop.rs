//! A worker is stopped at random moments while its relay needs 20 s for each reply to a final dot: what it has not given
//! yet is not begun, and what it has given is waited for.

use super::keeping;
use super::kill::CLEAN_STOP;
use crate::acceptance::Setting;
use crate::acceptance::account::check_all_delivered;
use crate::acceptance::process::Process;
use crate::acceptance::project::Project;
use crate::acceptance::report::Report;
use crate::acceptance::server::Server;
use anyhow::bail;
use rustix::process::Signal;
use std::time::{Duration, Instant};

const REPLY_DELAY: Duration = Duration::from_secs(20);
const CONNECTIONS: u32 = 20;
const DRAIN: Duration = Duration::from_secs(300);

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    run_with(setting, report, &|setting| Project::new(setting, ""))
}

/// The same on any queue.
pub fn run_with(
    setting: &Setting,
    report: &mut Report,
    new_project: &dyn Fn(&Setting) -> anyhow::Result<Project>,
) -> anyhow::Result<()> {
    // At most two messages a connection begin before each stop.
    let population = u32::try_from(setting.count)? * CONNECTIONS * 2 + CONNECTIONS;
    let server = Server::accepting(1, population)?;
    server.slow(REPLY_DELAY);
    keeping(new_project(setting)?, |project| {
        let csv = project.campaign("slow-stop", 0, population)?;
        project.call(&["enqueue", &csv])?;
        let mut random = setting.random();
        let mut most_begun_after = 0;
        let mut longest = Duration::ZERO;
        for round in 0..setting.count {
            let signal = [Signal::TERM, Signal::HUP][(round % 2) as usize];
            let moment = Duration::from_secs_f64(1.0 + 24.0 * random.f64());
            let stopped_at = stop_once(project, &server, signal, moment)?;
            longest = longest.max(stopped_at.elapsed());
            let ledger = server.ledger();
            let begun = ledger.transactions.iter();
            let begun_after = begun.filter(|t| t.begun_at > stopped_at).count();
            most_begun_after = most_begun_after.max(begun_after as u64);
        }
        report.figure("stops", setting.count);
        report.figure("longest stop", format!("{longest:.1?}"));
        report.figure("taken before the last stop", server.ledger().accepted);
        // What was pipelined behind a message on the wire at that moment may still arrive: one on each connection.
        report.at_most(
            "most MAIL FROM after a stop",
            most_begun_after,
            u64::from(CONNECTIONS),
        );
        server.slow(Duration::ZERO);
        let mut last = Process::draining(project, "send", &server.url(0), &[])?;
        last.wait_for_success(DRAIN)?;
        let told = check_all_delivered(project, "slow-stop", &server, 0, report)?;
        let doubts: u32 = told.iter().map(|told| told.in_doubt).sum();
        report.expect("in doubt after clean stops", doubts, 0);
        Ok(())
    })
}

/// Returns when the signal was sent.
fn stop_once(
    project: &Project,
    server: &Server,
    signal: Signal,
    moment: Duration,
) -> anyhow::Result<Instant> {
    let connections = CONNECTIONS.to_string();
    let more = ["--connections", connections.as_str()];
    let mut worker = Process::draining(project, "send", &server.url(0), &more)?;
    std::thread::sleep(moment);
    let stopped_at = Instant::now();
    worker.signal(signal)?;
    let status = worker.wait(CLEAN_STOP)?;
    if !matches!(status.code(), Some(0 | 75)) {
        bail!("the worker ended with {status}: {}", worker.last_words());
    }
    Ok(stopped_at)
}
