//! A worker is stopped (SIGSTOP) for three lease times and woken. What it had claimed is the other's
//! by then: it must begin none of it, and what it hears late becomes an event.

use super::{MAX_UNCOMMITTED, SHORT_RETRIES, keeping, wait_for_flow};
use crate::acceptance::Setting;
use crate::acceptance::account::{Told, check_all_delivered};
use crate::acceptance::process::Process;
use crate::acceptance::project::Project;
use crate::acceptance::report::Report;
use crate::acceptance::server::{Ledger, Server, Transaction};
use anyhow::bail;
use jiff::Timestamp;
use rustix::process::Signal;
use std::ops::Range;
use std::time::{Duration, Instant};

const LEASE: Duration = Duration::from_secs(2);
/// 20 connections then take at most 100 messages a second.
pub const REPLY_DELAY: Duration = Duration::from_millis(200);
/// Enough for two workers at that speed through the pause and the time to find work again.
const RECIPIENTS_PER_PAUSE: u64 = 1800;
const DRAIN: Duration = Duration::from_secs(600);

/// Who is stopped and for how long.
pub struct Sleep {
    /// Each sends to a gate of its own.
    pub workers: usize,
    /// All at once, not one.
    pub all: bool,
    pub lasts: Duration,
    /// A worker that was woken gets its part of the queue back.
    pub finds_work: Duration,
}

/// One worker's sleep.
struct Pause {
    gate: usize,
    process: u32,
    stopped_at: Instant,
    woken_at: Instant,
    /// The same times on the clock of events.
    slept: Range<Timestamp>,
}

#[derive(Default)]
struct Woken {
    /// Begun after waking although it was an old claim, or another worker had done it.
    stolen: usize,
    in_flight: usize,
    late_replies: usize,
    soonest: Option<Duration>,
}

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let sleep = Sleep {
        workers: 2,
        all: false,
        lasts: LEASE * 3,
        finds_work: Duration::from_secs(20),
    };
    let population = u32::try_from((setting.count + 1) * RECIPIENTS_PER_PAUSE)?;
    let server = Server::accepting(sleep.workers, population)?;
    server.slow(REPLY_DELAY);
    let settings = format!("lease = \"{}s\"\n{SHORT_RETRIES}", LEASE.as_secs());
    keeping(Project::new(setting, &settings)?, |project| {
        stop_workers(setting, project, &server, &sleep, report)
    })
}

/// Enqueues a list of the relay's population, stops and wakes workers, lets the rest be sent, and holds what came out
/// against the promise.
pub fn stop_workers(
    setting: &Setting,
    project: &Project,
    server: &Server,
    sleep: &Sleep,
    report: &mut Report,
) -> anyhow::Result<()> {
    let population = u32::try_from(server.ledger().recipients.len())?;
    let csv = project.campaign("pause", 0, population)?;
    project.call(&["enqueue", &csv])?;
    let pauses = pauses(setting, sleep, project, server, report)?;
    let lasted = sleep.lasts;
    report.figure("stopped", format!("{} times for {lasted:?}", setting.count));
    let most = pauses.len() as u64 * MAX_UNCOMMITTED;
    let told = check_all_delivered(project, "pause", server, most, report)?;
    check_woken(&server.ledger(), &pauses, &told, report);
    Ok(())
}

fn pauses(
    setting: &Setting,
    sleep: &Sleep,
    project: &Project,
    server: &Server,
    report: &mut Report,
) -> anyhow::Result<Vec<Pause>> {
    let mut random = setting.random();
    let k = MAX_UNCOMMITTED.to_string();
    let more = ["--max-uncommitted", k.as_str()];
    let start = |gate: usize| {
        Process::draining(project, &format!("worker{gate}"), &server.url(gate), &more)
    };
    let mut workers = (0..sleep.workers)
        .map(start)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut pauses = Vec::new();
    for _ in 0..setting.count {
        let gate = random.usize(..sleep.workers);
        if !wait_for_flow(server, gate, sleep.finds_work) {
            let (patience, words) = (sleep.finds_work, workers[gate].last_words());
            bail!("no mail has flown at worker {gate} for {patience:?}; its log ends: {words}");
        }
        std::thread::sleep(Duration::from_micros(random.u64(..400_000)));
        let gates = match sleep.all {
            true => 0..sleep.workers,
            false => gate..gate + 1,
        };
        stop_and_wake(&mut workers, gates, sleep, &mut pauses)?;
    }
    // The one that woke last shows what it begins before the rest goes faster.
    let last = pauses.last().map_or(0, |pause| pause.gate);
    wait_for_flow(server, last, sleep.finds_work);
    let left = server.ledger().left();
    report.figure("left after the last", left);
    server.slow(Duration::from_millis(5));
    for worker in &mut workers {
        worker.wait_for_success(DRAIN)?;
    }
    Ok(pauses)
}

fn stop_and_wake(
    workers: &mut [Process],
    gates: Range<usize>,
    sleep: &Sleep,
    pauses: &mut Vec<Pause>,
) -> anyhow::Result<()> {
    let stopped_at = Instant::now();
    let asleep_from = Timestamp::now();
    for gate in gates.clone() {
        workers[gate].signal(Signal::STOP)?;
    }
    std::thread::sleep(sleep.lasts);
    let woken_at = Instant::now();
    // Where nobody is awake, the next owners name the claims afterwards.
    let grace = if sleep.all {
        sleep.finds_work
    } else {
        Duration::ZERO
    };
    let asleep_until = Timestamp::now() + grace;
    for gate in gates {
        workers[gate].signal(Signal::CONT)?;
        pauses.push(Pause {
            gate,
            process: workers[gate].id(),
            stopped_at,
            woken_at,
            slept: asleep_from..asleep_until,
        });
    }
    Ok(())
}

fn check_woken(ledger: &Ledger, pauses: &[Pause], told: &[Told], report: &mut Report) {
    let mut all = Woken::default();
    for pause in pauses {
        look_at(pause, ledger, told, &mut all);
    }
    let doubts = told.iter().flat_map(|told| &told.doubts);
    let old_claims = doubts
        .filter(|doubt| pauses.iter().any(|pause| pause.slept.contains(&doubt.at)))
        .count();
    report.figure("claims named in doubt meanwhile", old_claims);
    report.check(
        old_claims > 0,
        "nothing was claimed when a worker was stopped",
    );
    report.expect("begun after waking, within old claims", all.stolen, 0);
    report.figure("in flight when stopped", all.in_flight);
    report.figure("late replies told", all.late_replies);
    report.check(
        all.late_replies > 0 || all.in_flight == 0,
        "no late reply became an event",
    );
    let soonest = all.soonest.unwrap_or_default();
    report.figure("soonest MAIL FROM after waking", format!("{soonest:.1?}"));
}

fn look_at(pause: &Pause, ledger: &Ledger, told: &[Told], woken: &mut Woken) {
    let claims = old_claims(pause, told);
    // By recipient: the sleeper had begun it before; the other began it meanwhile, and it was taken.
    let mut before = vec![false; told.len()];
    let mut of_other = vec![false; told.len()];
    let taken_by = |transaction: &Transaction, at: Instant| {
        transaction
            .accepted_at
            .is_some_and(|taken_at| taken_at < at)
    };
    for transaction in &ledger.transactions {
        let Some(recipient) = transaction.recipient.map(|number| number as usize) else {
            continue;
        };
        let own = transaction.gate == pause.gate;
        let begun_at = transaction.begun_at;
        if own && begun_at > pause.woken_at {
            // Under a number of its own it may claim anew what nobody has sent yet.
            let by_old_claim = claims[recipient].is_some_and(|next_owner| {
                let mut deliveries = told[recipient].deliveries.iter();
                let late =
                    deliveries.any(|told| told.process == pause.process && told.owner < next_owner);
                late && !before[recipient]
            });
            woken.stolen += usize::from(of_other[recipient] || by_old_claim);
            let after = begun_at - pause.woken_at;
            woken.soonest = Some(woken.soonest.map_or(after, |soonest| soonest.min(after)));
        } else if own && begun_at < pause.stopped_at {
            before[recipient] = true;
            if !taken_by(transaction, pause.stopped_at) {
                woken.in_flight += 1;
                let told = &told[recipient];
                woken.late_replies += usize::from(told.in_doubt > 0 && told.delivered > 1);
            }
        } else if begun_at > pause.stopped_at && taken_by(transaction, pause.woken_at) {
            of_other[recipient] |= !own;
        }
    }
}

/// Whoever the next owner named in doubt while this one slept was its claim: that owner's epoch.
fn old_claims(pause: &Pause, told: &[Told]) -> Vec<Option<u64>> {
    let named = |told: &Told| {
        let mut doubts = told.doubts.iter();
        let doubt = doubts.find(|doubt| pause.slept.contains(&doubt.at))?;
        Some(doubt.owner)
    };
    told.iter().map(named).collect()
}
