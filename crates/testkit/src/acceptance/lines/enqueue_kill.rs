//! enqueue killed at random moments and run again, half of the times with a second one beside it; then drained. A run
//! that is complete before all kills are spent is followed by another run of the same list: one mail of each for all.

use super::keeping;
use crate::acceptance::Setting;
use crate::acceptance::account::{events, total};
use crate::acceptance::process::Process;
use crate::acceptance::project::Project;
use crate::acceptance::report::Report;
use crate::acceptance::server::Server;
use anyhow::bail;
use std::time::{Duration, Instant};

const RECIPIENTS_PER_KILL: u64 = 10_000;
const BATCH: &str = "5000";
const LONGEST: Duration = Duration::from_secs(600);

/// How long a process lives before it is killed.
pub struct Lives {
    shortest: Duration,
    longest: Duration,
}

/// When something else may happen to the queue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Nobody enqueues.
    Between,
    /// A process does, and is about to be killed.
    Within,
}

pub type Meanwhile<'a> = &'a mut dyn FnMut(Moment) -> anyhow::Result<()>;

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let population = u32::try_from(setting.count * RECIPIENTS_PER_KILL)?;
    let server = Server::accepting(1, population)?;
    let lives = measure(setting, &Project::new(setting, "")?, population)?;
    keeping(Project::new(setting, "")?, |project| {
        let csv = project.campaign("list", 0, population)?;
        let runs = kill_enqueue(setting, project, &csv, &lives, &mut |_| Ok(()), report)?;
        drain(project, &server)?;
        check(project, &server, runs, &[], report)
    })
}

pub fn drain(project: &Project, server: &Server) -> anyhow::Result<()> {
    let mut worker = Process::draining(project, "send", &server.url(0), &[])?;
    worker.wait_for_success(LONGEST)
}

/// Everyone got one mail of each run; of those `suppressed` at times, one or none, and events tell which.
pub fn check(
    project: &Project,
    server: &Server,
    runs: u64,
    suppressed: &[u32],
    report: &mut Report,
) -> anyhow::Result<()> {
    let told = events(project, server.ledger().population(), &[])?;
    let ledger = server.ledger();
    let population = told.len();
    let mut all = vec![true; population];
    for number in suppressed {
        all[*number as usize] = false;
    }
    let mut exact = [0, 0];
    for (number, (seen, told)) in ledger.recipients.iter().zip(&told).enumerate() {
        let (mails, delivered) = (u64::from(seen.accepted), u64::from(told.delivered));
        let by_all = mails == runs || !all[number];
        exact[0] += usize::from(by_all && mails <= runs);
        let ends = delivered + u64::from(told.suppressed);
        exact[1] += usize::from(ends == runs && delivered == mails);
    }
    report.figure("runs", runs);
    report.expect("recipients with one mail a run", exact[0], population);
    report.expect("told so by events", exact[1], population);
    report.expect("strangers", ledger.strangers, 0);
    drop(ledger);
    let verified = project.json(&["verify"])?;
    let findings = &verified["findings"];
    report.check(verified["ok"] == true, format_args!("verify: {findings}"));
    let status = project.json(&["status"])?;
    for (name, document) in [("status", status), ("verify", verified)] {
        let held_back = total(&document, "list", "suppressed");
        report.check(
            held_back == 0 || !suppressed.is_empty(),
            format_args!("{name}: {held_back} suppressed"),
        );
        let ended = total(&document, "list", "delivered") + held_back;
        let wanted = runs * population as u64;
        report.expect(&format!("ended, says {name}"), ended, wanted);
    }
    Ok(())
}

/// How long one takes, in a project that is not used again: so that it takes about all kills to complete one run.
pub fn measure(setting: &Setting, project: &Project, population: u32) -> anyhow::Result<Lives> {
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
pub fn kill_enqueue(
    setting: &Setting,
    project: &Project,
    csv: &str,
    lives: &Lives,
    meanwhile: Meanwhile<'_>,
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
        meanwhile(Moment::Between)?;
        let mut first = start("first", run)?;
        let mut second = match kills % 2 {
            0 => None,
            _ => Some(start("second", run)?),
        };
        std::thread::sleep(life());
        meanwhile(Moment::Within)?;
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
    report.figure(
        "killed after",
        format!("{:.2?} to {:.2?}", lives.shortest, lives.longest),
    );
    report.figure("kills", kills);
    report.figure("with a second process beside", pairs);
    let mut last = [start("first", run)?, start("second", run)?];
    for process in &mut last {
        process.wait_for_success(LONGEST)?;
    }
    Ok(run)
}
