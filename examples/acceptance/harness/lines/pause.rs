//! Two workers; one at a time is stopped (SIGSTOP) for three lease times and woken. What it had claimed is the other's
//! by then: it must begin none of it, and what it hears late becomes an event.

use super::super::Setting;
use super::super::account::{Told, check_all_delivered};
use super::super::process::Process;
use super::super::project::Project;
use super::super::report::Report;
use super::super::server::{Ledger, Server, Transaction};
use super::{SHORT_RETRIES, keeping, wait_for_flow};
use anyhow::bail;
use jiff::Timestamp;
use rustix::process::Signal;
use std::ops::Range;
use std::time::{Duration, Instant};

const WORKERS: usize = 2;
const LEASE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_secs(6);
const MAX_UNCOMMITTED: u64 = 64;
/// 20 connections then take at most 100 messages a second.
const REPLY_DELAY: Duration = Duration::from_millis(200);
/// Enough for two workers at that speed through the pause and the time to find work again.
const RECIPIENTS_PER_PAUSE: u64 = 1800;
/// A worker that was woken gets its part of the queue back.
const FINDS_WORK: Duration = Duration::from_secs(20);
const DRAIN: Duration = Duration::from_secs(600);

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
    /// Old claims of the sleeper that the next owner named.
    old_claims: usize,
    /// Begun after waking although it was an old claim, or another worker had done it.
    stolen: usize,
    in_flight: usize,
    late_replies: usize,
    soonest: Option<Duration>,
}

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let population = u32::try_from((setting.count + 1) * RECIPIENTS_PER_PAUSE)?;
    let server = Server::accepting(WORKERS, population)?;
    server.slow(REPLY_DELAY);
    let settings = format!("lease = \"{}s\"\n{SHORT_RETRIES}", LEASE.as_secs());
    keeping(Project::new(setting, &settings)?, |project| {
        let csv = project.campaign("pause", 0, population)?;
        project.call(&["enqueue", &csv])?;
        let pauses = pauses(setting, project, &server)?;
        report.figure("stopped", format!("{} times for {PAUSE:?}", pauses.len()));
        let most = setting.count * MAX_UNCOMMITTED;
        let told = check_all_delivered(project, "pause", &server, most, report)?;
        check_woken(&server.ledger(), &pauses, &told, report);
        Ok(())
    })
}

fn pauses(setting: &Setting, project: &Project, server: &Server) -> anyhow::Result<Vec<Pause>> {
    let mut random = setting.random();
    let k = MAX_UNCOMMITTED.to_string();
    let more = ["--max-uncommitted", k.as_str()];
    let start = |gate: usize| {
        Process::draining(project, &format!("worker{gate}"), &server.url(gate), &more)
    };
    let mut workers = (0..WORKERS)
        .map(start)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut pauses = Vec::new();
    for _ in 0..setting.count {
        let gate = random.usize(..WORKERS);
        if !wait_for_flow(server, gate, FINDS_WORK) {
            bail!("no mail has flown at worker {gate} for {FINDS_WORK:?}");
        }
        std::thread::sleep(Duration::from_micros(random.u64(..400_000)));
        workers[gate].signal(Signal::STOP)?;
        let (stopped_at, asleep_from) = (Instant::now(), Timestamp::now());
        std::thread::sleep(PAUSE);
        let (woken_at, asleep_until) = (Instant::now(), Timestamp::now());
        workers[gate].signal(Signal::CONT)?;
        pauses.push(Pause {
            gate,
            process: workers[gate].id(),
            stopped_at,
            woken_at,
            slept: asleep_from..asleep_until,
        });
    }
    // The one that woke last shows what it begins before the rest goes faster.
    wait_for_flow(
        server,
        pauses.last().map_or(0, |pause| pause.gate),
        FINDS_WORK,
    );
    server.slow(Duration::from_millis(5));
    for worker in &mut workers {
        worker.wait_for_success(DRAIN)?;
    }
    Ok(pauses)
}

fn check_woken(ledger: &Ledger, pauses: &[Pause], told: &[Told], report: &mut Report) {
    let mut all = Woken::default();
    for pause in pauses {
        look_at(pause, ledger, told, &mut all);
    }
    report.figure("claims named in doubt meanwhile", all.old_claims);
    report.check(
        all.old_claims > 0,
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
    woken.old_claims += claims.iter().flatten().count();
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

/// Whoever the next owner named in doubt while this one slept was its claim: that owner's number.
fn old_claims(pause: &Pause, told: &[Told]) -> Vec<Option<u64>> {
    let named = |told: &Told| {
        let mut doubts = told.doubts.iter();
        let doubt = doubts.find(|doubt| pause.slept.contains(&doubt.at))?;
        Some(doubt.owner)
    };
    told.iter().map(named).collect()
}
