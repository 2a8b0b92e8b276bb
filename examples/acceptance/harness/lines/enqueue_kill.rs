//! enqueue killed at random moments and run again, half of the times with a second one beside it; then drained. A run
//! that is complete before all kills are spent is followed by another run of the same list: one mail of each for all.

use super::super::Setting;
use super::super::account::{events, total};
use super::super::process::Process;
use super::super::project::Project;
use super::super::report::Report;
use super::super::server::Server;
use super::keeping;
use anyhow::bail;
use std::time::{Duration, Instant};

const RECIPIENTS_PER_KILL: u64 = 10_000;
const BATCH: &str = "5000";
const LONGEST: Duration = Duration::from_secs(600);

/// How long a process lives before it is killed.
struct Lives {
    shortest: Duration,
    longest: Duration,
}

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let population = u32::try_from(setting.count * RECIPIENTS_PER_KILL)?;
    let server = Server::accepting(1, population)?;
    let lives = measure(setting, population)?;
    report.figure(
        "killed after",
        format!("{:.2?} to {:.2?}", lives.shortest, lives.longest),
    );
    keeping(Project::new(setting, "")?, |project| {
        let csv = project.campaign("list", 0, population)?;
        let runs = kills(setting, project, &csv, &lives, report)?;
        let mut worker = Process::draining(project, "send", &server.url(0), &[])?;
        worker.wait_for_success(LONGEST)?;
        report.figure("runs", runs);
        check(project, &server, runs, report)
    })
}

fn check(project: &Project, server: &Server, runs: u64, report: &mut Report) -> anyhow::Result<()> {
    let ledger = server.ledger();
    let population = ledger.recipients.len();
    let exact = ledger.recipients.iter();
    let exact = exact.filter(|r| u64::from(r.accepted) == runs).count();
    report.expect("recipients with one mail a run", exact, population);
    report.expect("strangers", ledger.strangers, 0);
    drop(ledger);
    let told = events(project, u32::try_from(population)?, &[])?;
    let exact = told.iter().filter(|t| u64::from(t.delivered) == runs);
    report.expect("told so by events", exact.count(), population);
    let verified = project.json(&["verify"])?;
    let findings = &verified["findings"];
    report.check(verified["ok"] == true, format_args!("verify: {findings}"));
    let status = project.json(&["status"])?;
    for (name, document) in [("status", status), ("verify", verified)] {
        let delivered = total(&document, "list", "delivered");
        let wanted = runs * population as u64;
        report.expect(&format!("delivered, says {name}"), delivered, wanted);
    }
    Ok(())
}

/// So that it takes about all kills to complete one run.
fn measure(setting: &Setting, population: u32) -> anyhow::Result<Lives> {
    let project = Project::new(setting, "")?;
    let csv = project.campaign("list", 0, population)?;
    let began_at = Instant::now();
    project.call(&["enqueue", &csv, "--dry-run", "--limit", "1"])?;
    let start = began_at.elapsed();
    let began_at = Instant::now();
    project.call(&["enqueue", &csv, "--batch-size", BATCH])?;
    let whole = began_at.elapsed();
    let share = (3.0 / setting.count.max(1) as f64).min(1.0);
    Ok(Lives {
        shortest: start / 2,
        longest: start + whole.mul_f64(share),
    })
}

/// Returns the number of complete runs.
fn kills(
    setting: &Setting,
    project: &Project,
    csv: &str,
    lives: &Lives,
    report: &mut Report,
) -> anyhow::Result<u64> {
    let mut random = setting.random();
    let start = |name: &str, run: u64| {
        let run = format!("run{run}");
        let arguments = ["enqueue", csv, "--batch-size", BATCH, "--run", &run];
        Process::start(project, name, &arguments)
    };
    let mut life = || lives.shortest + (lives.longest - lives.shortest).mul_f64(random.f64());
    let (mut kills, mut pairs, mut run) = (0, 0, 1);
    while kills < setting.count {
        let mut first = start("first", run)?;
        let mut second = match kills % 2 {
            0 => None,
            _ => Some(start("second", run)?),
        };
        std::thread::sleep(life());
        let done = first.ended()?;
        first.kill()?;
        if let Some(second) = &mut second {
            std::thread::sleep(life() / 2);
            second.kill()?;
        }
        match done {
            // Complete before its time: what is to be killed is the next run.
            Some(status) if status.success() => run += 1,
            Some(status) => bail!("enqueue ended with {status}: {}", first.last_words()),
            None => {
                kills += 1;
                pairs += u64::from(second.is_some());
            }
        }
    }
    report.figure("kills", kills);
    report.figure("with a second process beside", pairs);
    let mut last = [start("first", run)?, start("second", run)?];
    for process in &mut last {
        process.wait_for_success(LONGEST)?;
    }
    Ok(run)
}
