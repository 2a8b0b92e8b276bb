//! Two workers; one at a time is ended while mail flows, by SIGKILL or by SIGTERM, and started again. One recipient in
//! ten is deferred once.

use super::super::Setting;
use super::super::account::{check_all_delivered, events};
use super::super::process::Process;
use super::super::project::Project;
use super::super::report::Report;
use super::super::server::{Answer, Server};
use super::{SHORT_RETRIES, keeping, mail_flows, wait_for_accepted, wait_for_flow};
use anyhow::bail;
use rustix::process::Signal;
use std::time::{Duration, Instant};

const WORKERS: usize = 2;
const RECIPIENTS_PER_END: u64 = 1000;
const MAX_UNCOMMITTED: u64 = 64;
/// 20 connections of each worker then take at most 800 messages a second: a restart is short beside it.
const REPLY_DELAY: Duration = Duration::from_millis(50);
const DRAIN: Duration = Duration::from_secs(600);
/// A worker that was started again gets its part of the queue from the other within a second or so.
const FINDS_WORK: Duration = Duration::from_secs(5);
/// What `mailq send` promises for a clean stop, and a little for the machine.
const CLEAN_STOP: Duration = Duration::from_secs(27);

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    end_workers(setting, Signal::KILL, report)
}

pub fn run_term(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    end_workers(setting, Signal::TERM, report)
}

fn end_workers(setting: &Setting, signal: Signal, report: &mut Report) -> anyhow::Result<()> {
    let population = u32::try_from(setting.count * RECIPIENTS_PER_END)?;
    let server = Server::start(WORKERS, population, Box::new(deferring_once))?;
    server.slow(REPLY_DELAY);
    keeping(Project::new(setting, SHORT_RETRIES)?, |project| {
        let csv = project.campaign("kill", 0, population)?;
        project.call(&["enqueue", &csv])?;
        let began_at = Instant::now();
        let flowing = rounds(setting, signal, project, &server, report)?;
        report.figure("sent in", format!("{:.1?}", began_at.elapsed()));
        report.figure("ends", setting.count);
        let share = flowing as f64 / setting.count.max(1) as f64;
        // A few ends beside a whole test run say little of when they fall.
        let least = if setting.count >= 50 { 0.9 } else { 0.5 };
        report.at_least("share of ends while mail flowed", share, least);
        let most = match signal {
            Signal::KILL => setting.count * MAX_UNCOMMITTED,
            _ => 0,
        };
        let told = check_all_delivered(project, "kill", &server, most, report)?;
        let named: u32 = told.iter().map(|told| told.in_doubt).sum();
        let listed = events(project, population, &["--type", "in_doubt"])?;
        let listed: u32 = listed.iter().map(|told| told.in_doubt).sum();
        report.expect("listed by `events --type in_doubt`", listed, named);
        let deferred = told.iter().filter(|told| told.deferred > 0).count();
        report.figure("recipients told as deferred", deferred);
        // A killed worker takes the knowledge of some deferrals with it.
        let least = u64::from(population) / 10 - most.min(u64::from(population) / 50);
        report.check(deferred as u64 >= least, "too few were deferred");
        Ok(())
    })
}

fn deferring_once(recipient: u32, attempt: u32) -> Answer {
    match (recipient % 10, attempt) {
        (3, 0) => Answer::AtRecipient("451 4.2.0 mailbox busy"),
        _ => Answer::Accept,
    }
}

/// Returns how many of the ends fell while mail flowed at that worker.
fn rounds(
    setting: &Setting,
    signal: Signal,
    project: &Project,
    server: &Server,
    report: &mut Report,
) -> anyhow::Result<u64> {
    let mut random = setting.random();
    let k = MAX_UNCOMMITTED.to_string();
    let more = ["--max-uncommitted", k.as_str()];
    let start = |gate: usize| {
        Process::draining(project, &format!("worker{gate}"), &server.url(gate), &more)
    };
    let mut workers = (0..WORKERS)
        .map(start)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut flowing = 0;
    let mut longest_stop = Duration::ZERO;
    for round in 0..setting.count {
        let until = (round as f64 + random.f64()) * 0.95 * RECIPIENTS_PER_END as f64;
        wait_for_accepted(server, until as u64 + 1)?;
        let gate = random.usize(..WORKERS);
        flowing += u64::from(moment_of_flow(server, gate, &mut random));
        let stopped_at = Instant::now();
        workers[gate].signal(signal)?;
        let status = workers[gate].wait(CLEAN_STOP)?;
        longest_stop = longest_stop.max(stopped_at.elapsed());
        if signal != Signal::KILL && !matches!(status.code(), Some(0 | 75)) {
            let words = workers[gate].last_words();
            bail!("SIGTERM: worker {gate} ended with {status}: {words}");
        }
        workers[gate] = start(gate)?;
    }
    for worker in &mut workers {
        worker.wait_for_success(DRAIN)?;
    }
    report.figure("longest stop", format!("{longest_stop:.1?}"));
    Ok(flowing)
}

/// Waits for a random moment at which mail flows there; `false` when there is none within seconds.
fn moment_of_flow(server: &Server, gate: usize, random: &mut fastrand::Rng) -> bool {
    let began_at = Instant::now();
    while wait_for_flow(server, gate, FINDS_WORK) {
        // One that has nothing to do with what the relay has just done.
        std::thread::sleep(Duration::from_micros(random.u64(..60_000)));
        if mail_flows(server, gate) {
            return true;
        }
        if began_at.elapsed() > FINDS_WORK {
            break;
        }
    }
    false
}
