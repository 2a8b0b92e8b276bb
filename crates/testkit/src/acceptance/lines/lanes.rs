//! A site or relay that is limited, slow or narrow holds up nobody else: each case beside the same mail without it.

use super::keeping;
use crate::acceptance::Setting;
use crate::acceptance::process::Process;
use crate::acceptance::project::{Project, site_of};
use crate::acceptance::report::Report;
use crate::acceptance::server::{Answer, Server};
use anyhow::bail;
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// Others may take so many times as long as without the limit, and this much longer.
const FACTOR: f64 = 1.25;
const START: Duration = Duration::from_secs(5);
/// A limited site or relay takes one message in each.
const INTERVAL: Duration = Duration::from_secs(1);
const SLOW_REPLY: Duration = Duration::from_secs(20);
const ROUND_TRIP: Duration = Duration::from_millis(10);
const GIVE_UP: Duration = Duration::from_secs(300);

/// One kind of trouble.
struct Case {
    name: &'static str,
    settings: fn(&Server) -> String,
    /// Recipients ordered by site, not mixed.
    by_site: bool,
    reply_delay: Duration,
    /// Site 0 answers after this.
    slow_site: Option<Duration>,
    /// Relays with a gate of their own.
    gates: usize,
    /// Whose messages may take long.
    held: Held,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Nobody,
    Site,
    /// Whatever the limited relay has not taken goes to the other.
    Relay,
}

const PLAIN: Case = Case {
    name: "",
    settings: |server| relay(server, 0, ""),
    by_site: false,
    reply_delay: Duration::ZERO,
    slow_site: None,
    gates: 1,
    held: Held::Nobody,
};

fn cases() -> Vec<(Case, Case)> {
    let limited = |server: &Server| {
        let site = "[site.\"site0.example\"]\nrate = \"1/s\"\n";
        relay(server, 0, "") + site
    };
    let narrow = |server: &Server| {
        let site = "[site.\"site0.example\"]\nconnections = 1\n";
        relay(server, 0, "") + site
    };
    vec![
        (
            PLAIN,
            Case {
                name: "rate",
                settings: limited,
                held: Held::Site,
                ..PLAIN
            },
        ),
        (
            Case {
                by_site: true,
                ..PLAIN
            },
            Case {
                name: "rate, by site",
                settings: limited,
                by_site: true,
                held: Held::Site,
                ..PLAIN
            },
        ),
        (
            PLAIN,
            Case {
                name: "slow site",
                slow_site: Some(SLOW_REPLY),
                held: Held::Site,
                ..PLAIN
            },
        ),
        (
            Case {
                reply_delay: ROUND_TRIP,
                ..PLAIN
            },
            Case {
                name: "connections",
                settings: narrow,
                reply_delay: ROUND_TRIP,
                held: Held::Site,
                ..PLAIN
            },
        ),
        (
            PLAIN,
            Case {
                name: "two relays",
                settings: |server| relay(server, 0, "") + &relay(server, 1, "rate = \"1/s\"\n"),
                gates: 2,
                held: Held::Relay,
                ..PLAIN
            },
        ),
    ]
}

fn relay(server: &Server, gate: usize, more: &str) -> String {
    format!("[[relay]]\nurl = \"{}\"\n{more}", server.url(gate))
}

/// Makes a project with a queue of its own; the text is more sections for `mailq.toml`.
type NewProject<'a> = &'a dyn Fn(&Setting, &str) -> anyhow::Result<Project>;

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    run_with(setting, report, &|setting, settings| {
        Project::new(setting, settings)
    })
}

/// The same on any queue.
pub fn run_with(
    setting: &Setting,
    report: &mut Report,
    new_project: NewProject,
) -> anyhow::Result<()> {
    for (plain, limited) in cases() {
        let usual = measure(setting, &plain, report, new_project)?;
        let name = limited.name;
        let took = measure(setting, &limited, report, new_project)?;
        report.figure(format!("{name}: seconds without"), seconds(usual));
        report.figure(format!("{name}: seconds of the others"), seconds(took));
        report.check(
            took <= usual.mul_f64(FACTOR) + START,
            format_args!("{name}: the others took {took:?}, without it {usual:?}"),
        );
    }
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64())
}

/// Sends until everybody has mail but those who are held, and returns how long that took.
fn measure(
    setting: &Setting,
    case: &Case,
    report: &mut Report,
    new_project: NewProject,
) -> anyhow::Result<Duration> {
    let count = u32::try_from(setting.count)?;
    let slow = case.slow_site;
    let script = move |recipient: u32, _| match slow {
        Some(delay) if site_of(recipient) == 0 => Answer::AcceptAfter(delay),
        _ => Answer::Accept,
    };
    let server = Server::start(case.gates, count, Box::new(script))?;
    server.slow(case.reply_delay);
    let settings = format!("[send]\nconnections = 50\n{}", (case.settings)(&server));
    keeping(new_project(setting, &settings)?, |project| {
        let mut numbers: Vec<u32> = (0..count).collect();
        if case.by_site {
            numbers.sort_by_key(|number| site_of(*number));
        }
        let csv = project.campaign_of("lanes", &numbers, 600)?;
        project.call(&["enqueue", &csv])?;
        let began = Instant::now();
        let mut worker = Process::start(project, "send", &["send", "--rate", "unlimited"])?;
        let others = numbers.iter();
        let others: Vec<u32> = others
            .filter(|number| case.held != Held::Site || site_of(**number) != 0)
            .copied()
            .collect();
        wait(&server, &others)?;
        let took = began.elapsed();
        worker.signal(Signal::TERM)?;
        worker.wait(Duration::from_secs(60))?;
        check_limit(&server, case, took, report);
        let ledger = server.ledger();
        report.check(ledger.duplicates() == 0, "somebody has two mails");
        let tried = ledger.recipients.iter().filter(|r| r.attempts > 1).count();
        report.check(
            tried == 0,
            format_args!("{}: {tried} tried twice", case.name),
        );
        Ok(took)
    })
}

fn wait(server: &Server, others: &[u32]) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut left = others.to_vec();
    while !left.is_empty() {
        if began.elapsed() > GIVE_UP {
            bail!("{} of {} have no mail", left.len(), others.len());
        }
        std::thread::sleep(Duration::from_millis(20));
        let ledger = server.ledger();
        // From the end, because they go about in order.
        while let Some(number) = left.last()
            && ledger.recipients[*number as usize].accepted > 0
        {
            left.pop();
        }
    }
    Ok(())
}

/// What is limited is used, and not more than its limit allows.
fn check_limit(server: &Server, case: &Case, took: Duration, report: &mut Report) {
    let ledger = server.ledger();
    let of_the_held = ledger.transactions.iter().filter(|transaction| {
        let is_site = transaction.recipient.is_some_and(|r| site_of(r) == 0);
        match case.held {
            Held::Nobody => false,
            Held::Site => is_site,
            Held::Relay => transaction.gate == 1,
        }
    });
    let held = of_the_held.count() as u64;
    let is_rated = case.name.starts_with("rate") || case.held == Held::Relay;
    if case.held == Held::Nobody {
        return;
    }
    report.figure(format!("{}: of the held meanwhile", case.name), held);
    if is_rated {
        let most = took.as_secs_f64() / INTERVAL.as_secs_f64() + 2.0;
        report.at_most(case.name, held, most as u64);
    }
    report.check(
        held > 0,
        format_args!("{}: nothing of it was sent", case.name),
    );
}
