//! A thousand sites with a limit each, in a list ordered by site; and one slow site that holds most of the list.

use super::{keeping, wait_for_accepted};
use crate::acceptance::Setting;
use crate::acceptance::process::Process;
use crate::acceptance::project::Project;
use crate::acceptance::report::Report;
use crate::acceptance::server::{Ledger, Server};
use rustix::process::Signal;
use std::fmt::Write;
use std::time::{Duration, Instant};

const SITES: u32 = 1000;
/// Messages a second, of each site.
const RATE: u32 = 2;
const NOT_ABOVE: f64 = 1.05;
const NOT_BELOW: f64 = 0.95;
/// The rate is reached after this.
const START: Duration = Duration::from_secs(5);
/// Sites with the last recipients end at different times.
const END: Duration = Duration::from_secs(3);
const MORE_BYTES: u64 = 16 << 20;
const LONGEST: Duration = Duration::from_secs(60);
/// Of the second part, in percent.
const LARGE_SITE: u32 = 60;

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let unlimited = many_sites(setting, false, report)?;
    let limited = many_sites(setting, true, report)?;
    report.figure("peak MB without limits", unlimited >> 20);
    report.at_most("peak bytes with limits", limited, unlimited + MORE_BYTES);
    large_site(setting, report)
}

/// Returns the most memory that the worker had.
fn many_sites(setting: &Setting, is_limited: bool, report: &mut Report) -> anyhow::Result<u64> {
    let population = u32::try_from(setting.count)?;
    let server = Server::accepting(1, population)?;
    let mut settings = format!("[[relay]]\nurl = \"{}\"\n", server.url(0));
    for site in (0..SITES).filter(|_| is_limited) {
        write!(
            settings,
            "[site.\"site{site}.example\"]\nrate = \"{RATE}/s\"\n"
        )?;
    }
    keeping(Project::new(setting, &settings)?, |project| {
        let numbers: Vec<u32> = (0..population).collect();
        let each = population.div_ceil(SITES);
        let csv = project.campaign_at_sites("sites", &numbers, 600, &|number| number / each)?;
        project.call(&["enqueue", &csv])?;
        let began_at = Instant::now();
        let arguments = ["send", "--drain", "--rate", "unlimited"];
        let mut worker = Process::start(project, "send", &arguments)?;
        let mut peak = 0;
        while worker.ended()?.is_none() {
            peak = worker.peak_memory_bytes().unwrap_or(0).max(peak);
            std::thread::sleep(Duration::from_millis(20));
        }
        worker.wait_for_success(Duration::ZERO)?;
        report.expect("without mail", server.ledger().left(), 0);
        if is_limited {
            check_seconds(&server.ledger(), began_at, report);
        }
        Ok(peak)
    })
}

fn check_seconds(ledger: &Ledger, began_at: Instant, report: &mut Report) {
    let last = ledger.last_accepted_at.unwrap_or(began_at);
    let until = last.checked_sub(END).unwrap_or(began_at);
    let settled = ledger.transactions.iter().map(|t| t.begun_at);
    let settled: Vec<Instant> = settled
        .filter(|at| *at > began_at + START && *at < until)
        .collect();
    let seconds = until.duration_since(began_at + START).as_secs();
    let mut counts = vec![0_u32; seconds as usize];
    for at in settled {
        let second = at.duration_since(began_at + START).as_secs() as usize;
        if let Some(count) = counts.get_mut(second) {
            *count += 1;
        }
    }
    let whole = f64::from(SITES * RATE);
    let least = f64::from(counts.iter().min().copied().unwrap_or(0)) / whole;
    let most = f64::from(counts.iter().max().copied().unwrap_or(0)) / whole;
    report.figure("whole seconds that were looked at", counts.len());
    report.at_least("least of the rate in a second", least, NOT_BELOW);
    report.figure("most of the rate in a second", format!("{most:.4}"));
    report.check(most <= NOT_ABOVE, "more was sent than the limits allow");
}

/// The others' mail beside a site with most of the list and 10/s, and alone.
fn large_site(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let alone = seconds_of_others(setting, false)?;
    let beside = seconds_of_others(setting, true)?;
    report.figure("40 % of the list alone", format!("{alone:.1?}"));
    report.figure("40 % beside a large slow site", format!("{beside:.1?}"));
    report.check(
        beside <= alone.mul_f64(1.25) + START,
        "the large site held up the others",
    );
    Ok(())
}

fn seconds_of_others(setting: &Setting, has_large: bool) -> anyhow::Result<Duration> {
    let population = u32::try_from(setting.count)?;
    let is_large = |number: u32| number % 100 < LARGE_SITE;
    let server = Server::accepting(1, population)?;
    let settings = format!(
        "[[relay]]\nurl = \"{}\"\n[site.\"site0.example\"]\nrate = \"10/s\"\n",
        server.url(0)
    );
    keeping(Project::new(setting, &settings)?, |project| {
        let numbers: Vec<u32> = (0..population)
            .filter(|number| has_large || !is_large(*number))
            .collect();
        let site = |number| match is_large(number) {
            true => 0,
            false => 1 + number % 7,
        };
        let csv = project.campaign_at_sites("large", &numbers, 600, &site)?;
        project.call(&["enqueue", &csv])?;
        let others = (0..population).filter(|number| !is_large(*number)).count() as u64;
        let began_at = Instant::now();
        let mut worker = Process::start(project, "send", &["send", "--rate", "unlimited"])?;
        while others_reached(&server.ledger(), &is_large) < others {
            wait_for_accepted(&server, 1)?;
            std::thread::sleep(Duration::from_millis(100));
            anyhow::ensure!(
                began_at.elapsed() < LONGEST * 5,
                "others wait for their mail"
            );
        }
        let took = began_at.elapsed();
        worker.signal(Signal::TERM)?;
        worker.wait(LONGEST)?;
        Ok(took)
    })
}

fn others_reached(ledger: &Ledger, is_large: &dyn Fn(u32) -> bool) -> u64 {
    let all = (0..).zip(&ledger.recipients);
    let reached = all.filter(|(number, seen)| !is_large(*number) && seen.accepted > 0);
    reached.count() as u64
}
