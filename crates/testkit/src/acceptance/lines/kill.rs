//! Workers are ended one at a time while mail flows, by SIGKILL or by SIGTERM, and started again. One recipient in ten is
//! deferred once.

use super::{
    MAX_UNCOMMITTED, SHORT_RETRIES, keeping, mail_flows, wait_for_accepted, wait_for_flow,
};
use crate::acceptance::Setting;
use crate::acceptance::account::{check_all_delivered, events};
use crate::acceptance::process::Process;
use crate::acceptance::project::Project;
use crate::acceptance::report::Report;
use crate::acceptance::server::{Answer, Ledger, Server};
use anyhow::bail;
use rustix::process::Signal;
use std::ops::Range;
use std::time::{Duration, Instant};

const WORKERS: usize = 2;
const RECIPIENTS_PER_END: u64 = 1000;
/// 20 connections of each worker then take at most 800 messages a second: a restart is short beside it.
const REPLY_DELAY: Duration = Duration::from_millis(50);
const DRAIN: Duration = Duration::from_secs(900);
/// What `mailq send` promises for a clean stop, and a little for the machine.
pub const CLEAN_STOP: Duration = Duration::from_secs(27);

/// Who is ended, how and when.
pub struct Ends {
    pub signal: Signal,
    /// Each sends to a gate of its own.
    pub workers: usize,
    pub max_uncommitted: u64,
    pub pace: Pace,
    /// So long after it was started, a worker has got its part of the queue.
    pub finds_work: Duration,
    /// The others stand still for so long at the most, where the machine has nothing else to do.
    pub others_pause: Option<Duration>,
}

pub enum Pace {
    /// One end for every so many recipients.
    Recipients(u64),
    /// So many seconds after the last end.
    Seconds(Range<f64>),
}

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    over_sqlite(setting, Signal::KILL, report)
}

pub fn run_term(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    over_sqlite(setting, Signal::TERM, report)
}

fn over_sqlite(setting: &Setting, signal: Signal, report: &mut Report) -> anyhow::Result<()> {
    let ends = Ends {
        signal,
        workers: WORKERS,
        max_uncommitted: MAX_UNCOMMITTED,
        pace: Pace::Recipients(RECIPIENTS_PER_END),
        finds_work: Duration::from_secs(5),
        others_pause: None,
    };
    let population = u32::try_from(setting.count * RECIPIENTS_PER_END)?;
    let server = relay(&ends, population)?;
    server.slow(REPLY_DELAY);
    keeping(Project::new(setting, SHORT_RETRIES)?, |project| {
        end_workers(setting, project, &server, &ends, report)
    })
}

/// For the population that it is to have.
pub fn relay(ends: &Ends, population: u32) -> std::io::Result<Server> {
    Server::start(ends.workers, population, Box::new(deferring_once))
}

/// Enqueues a list of the relay's population, ends workers, lets the rest be sent, and holds what came out against the
/// promise.
pub fn end_workers(
    setting: &Setting,
    project: &Project,
    server: &Server,
    ends: &Ends,
    report: &mut Report,
) -> anyhow::Result<()> {
    let population = u32::try_from(server.ledger().recipients.len())?;
    let csv = project.campaign("kill", 0, population)?;
    project.call(&["enqueue", &csv])?;
    let began_at = Instant::now();
    let ended = rounds(setting, ends, project, server, report)?;
    report.figure("sent in", format!("{:.1?}", began_at.elapsed()));
    report.figure("ends", setting.count);
    let flowing = ended.iter().filter(|end| end.while_flowing).count();
    let share = flowing as f64 / setting.count.max(1) as f64;
    // A few ends beside a whole test run say little of when they fall.
    let least = if setting.count >= 50 { 0.9 } else { 0.5 };
    report.at_least("share of ends while mail flowed", share, least);
    check_others(&server.ledger(), &ended, ends, report);
    let most = match ends.signal {
        Signal::KILL => setting.count * ends.max_uncommitted,
        _ => 0,
    };
    let told = check_all_delivered(project, "kill", server, most, report)?;
    let named: u32 = told.iter().map(|told| told.in_doubt).sum();
    let listed = events(project, population, &["--type", "in_doubt"])?;
    let listed: u32 = listed.iter().map(|told| told.in_doubt).sum();
    report.expect("listed by `events --type in_doubt`", listed, named);
    let deferred = told.iter().filter(|told| told.deferred > 0).count();
    report.figure("recipients told as deferred", deferred);
    // A killed worker takes the knowledge of some deferrals with it. A stopped one drops sessions whose messages have no
    // final dot yet, and with them replies that it has not read.
    let lost = (setting.count * ends.max_uncommitted).min(u64::from(population) / 50);
    let least = u64::from(population) / 10 - lost;
    report.check(deferred as u64 >= least, "too few were deferred");
    Ok(())
}

fn deferring_once(recipient: u32, attempt: u32) -> Answer {
    match (recipient % 10, attempt) {
        (3, 0) => Answer::AtRecipient("451 4.2.0 mailbox busy"),
        _ => Answer::Accept,
    }
}

/// A worker was ended, and started again at once.
struct End {
    gate: usize,
    at: Instant,
    /// Mail flowed there at that moment.
    while_flowing: bool,
}

/// While a worker is away and comes back, mail goes on at the other gates. After the next end it is another's turn.
fn check_others(ledger: &Ledger, ended: &[End], ends: &Ends, report: &mut Report) {
    let mut longest = Duration::ZERO;
    for (end, next) in ended.iter().zip(ended.iter().skip(1)) {
        let until = next.at.min(end.at + ends.finds_work);
        let others = ledger.transactions.iter().filter(|t| t.gate != end.gate);
        let mut begun: Vec<Instant> = others.map(|transaction| transaction.begun_at).collect();
        begun.retain(|at| end.at < *at && *at < until);
        begun.extend([end.at, until]);
        begun.sort_unstable();
        let gaps = begun.windows(2).map(|pair| pair[1] - pair[0]);
        longest = longest.max(gaps.max().unwrap_or_default());
    }
    report.figure("longest pause of the others", format!("{longest:.1?}"));
    report.check(
        ends.others_pause.is_none_or(|most| longest <= most),
        format_args!("the others stood still for {longest:.1?}"),
    );
}

fn rounds(
    setting: &Setting,
    ends: &Ends,
    project: &Project,
    server: &Server,
    report: &mut Report,
) -> anyhow::Result<Vec<End>> {
    let mut random = setting.random();
    let k = ends.max_uncommitted.to_string();
    let more = ["--max-uncommitted", k.as_str()];
    let start = |gate: usize| {
        Process::draining(project, &format!("worker{gate}"), &server.url(gate), &more)
    };
    let mut workers = (0..ends.workers)
        .map(start)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut ended = Vec::new();
    let mut longest_stop = Duration::ZERO;
    for round in 0..setting.count {
        wait_for_turn(&ends.pace, round, server, &mut random)?;
        let gate = random.usize(..ends.workers);
        let while_flowing = moment_of_flow(server, gate, ends.finds_work, &mut random);
        let stopped_at = Instant::now();
        ended.push(End {
            gate,
            at: stopped_at,
            while_flowing,
        });
        workers[gate].signal(ends.signal)?;
        let status = workers[gate].wait(CLEAN_STOP)?;
        longest_stop = longest_stop.max(stopped_at.elapsed());
        if ends.signal != Signal::KILL && !matches!(status.code(), Some(0 | 75)) {
            let words = workers[gate].last_words();
            bail!("SIGTERM: worker {gate} ended with {status}: {words}");
        }
        workers[gate] = start(gate)?;
    }
    if let Pace::Seconds(_) = ends.pace {
        let left = server.ledger().left();
        report.figure("left after the last end", left);
        server.slow(Duration::ZERO);
    }
    for worker in &mut workers {
        worker.wait_for_success(DRAIN)?;
    }
    report.figure("longest stop", format!("{longest_stop:.1?}"));
    Ok(ended)
}

fn wait_for_turn(
    pace: &Pace,
    round: u64,
    server: &Server,
    random: &mut fastrand::Rng,
) -> anyhow::Result<()> {
    match pace {
        Pace::Recipients(each) => {
            let until = (round as f64 + random.f64()) * 0.95 * *each as f64;
            wait_for_accepted(server, until as u64 + 1)
        }
        Pace::Seconds(between) => {
            let seconds = between.start + (between.end - between.start) * random.f64();
            std::thread::sleep(Duration::from_secs_f64(seconds));
            wait_for_accepted(server, 1)
        }
    }
}

/// Waits for a random moment at which mail flows there; `false` when there is none within that time.
fn moment_of_flow(
    server: &Server,
    gate: usize,
    at_most: Duration,
    random: &mut fastrand::Rng,
) -> bool {
    let began_at = Instant::now();
    while wait_for_flow(server, gate, at_most) {
        // One that has nothing to do with what the relay has just done.
        std::thread::sleep(Duration::from_micros(random.u64(..60_000)));
        if mail_flows(server, gate) {
            return true;
        }
        if began_at.elapsed() > at_most {
            break;
        }
    }
    false
}
