//! Three workers on one broker; one of them reaches it through a proxy that for three session timeouts passes nothing
//! on, while its relay answers as ever. Afterwards everything that was under way arrives.

use super::{Campaign, Queue, SHORT_SESSION, wait_for_all};
use crate::acceptance::Setting;
use crate::acceptance::account::{Told, check_all_delivered};
use crate::acceptance::lines::{MAX_UNCOMMITTED, wait_for_flow};
use crate::acceptance::process::Process;
use crate::acceptance::report::Report;
use crate::acceptance::server::{Ledger, Server};
use crate::kafka::proxy::Proxy;
use crate::kafka::{Cluster, Listener, Options};
use anyhow::bail;
use std::time::{Duration, Instant};

const WORKERS: usize = 3;
/// The worker behind the proxy has a gate of its own, like every other.
const CUT_OFF: usize = 0;
const LASTS: Duration = Duration::from_secs(18);
/// A claim is good for two thirds of the session; a transaction may have begun a moment before its MAIL FROM arrives.
const CLAIMS_LAST: Duration = Duration::from_millis(4_200);
const FINDS_WORK: Duration = Duration::from_secs(30);
const REPLY_DELAY: Duration = Duration::from_millis(200);
/// Three workers send at most 300 a second.
const RECIPIENTS_PER_CUT: u64 = 9000;
const DRAIN: Duration = Duration::from_secs(600);

/// One cut, from when until when.
struct Cut {
    from: Instant,
    until: Instant,
}

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let population = u32::try_from((setting.count + 1) * RECIPIENTS_PER_CUT)?;
    let proxy = Proxy::start();
    let options = Options {
        proxy: Some(proxy.port()),
        ..Options::default()
    };
    let cluster = Cluster::start(1, &options);
    proxy.lead_to(cluster.port(1, Listener::Proxied));
    let queue = Queue::new(&cluster, SHORT_SESSION);
    let campaign = Campaign {
        name: "cut",
        population,
        gates: WORKERS,
        reply_delay: REPLY_DELAY,
    };
    queue.with_campaign(setting, &campaign, |project, server| {
        let through = format!("kafka://127.0.0.1:{}", proxy.port());
        let k = MAX_UNCOMMITTED.to_string();
        let start = |gate: usize| {
            let mut more = vec!["--max-uncommitted", k.as_str()];
            if gate == CUT_OFF {
                more.extend(["--queue", &through]);
            }
            Process::draining(project, &format!("worker{gate}"), &server.url(gate), &more)
        };
        let mut workers = (0..WORKERS)
            .map(start)
            .collect::<anyhow::Result<Vec<_>>>()?;
        let cuts = cuts(setting, &proxy, server, &workers[CUT_OFF])?;
        report.figure("cut", format!("{} times for {LASTS:?}", setting.count));
        let left = server.ledger().left();
        report.figure("left after the last", left);
        server.slow(Duration::from_millis(5));
        wait_for_all(&mut workers, DRAIN)?;
        let most = setting.count * MAX_UNCOMMITTED;
        let told = check_all_delivered(project, "cut", server, most, report)?;
        check_begun(&server.ledger(), &cuts, report);
        check_late(&server.ledger(), &told, report);
        Ok(())
    })
}

fn cuts(
    setting: &Setting,
    proxy: &Proxy,
    server: &Server,
    worker: &Process,
) -> anyhow::Result<Vec<Cut>> {
    let mut random = setting.random();
    let mut cuts = Vec::new();
    for _ in 0..setting.count {
        if !wait_for_flow(server, CUT_OFF, FINDS_WORK) {
            let words = worker.last_words();
            bail!("no mail has flown for {FINDS_WORK:?}; the worker's log ends: {words}");
        }
        std::thread::sleep(Duration::from_micros(random.u64(..400_000)));
        let from = Instant::now();
        proxy.cut();
        std::thread::sleep(LASTS);
        let until = Instant::now();
        proxy.mend();
        cuts.push(Cut { from, until });
    }
    // The last one shows what it begins before the rest goes faster.
    wait_for_flow(server, CUT_OFF, FINDS_WORK);
    Ok(cuts)
}

fn check_begun(ledger: &Ledger, cuts: &[Cut], report: &mut Report) {
    let own = ledger.transactions.iter().filter(|t| t.gate == CUT_OFF);
    let begun: Vec<Instant> = own.map(|transaction| transaction.begun_at).collect();
    let within = |cut: &Cut, from: Duration| {
        let inside = begun
            .iter()
            .filter(|at| **at > cut.from + from && **at < cut.until);
        inside.count() as u64
    };
    let most = cuts.iter().map(|cut| within(cut, Duration::ZERO)).max();
    report.at_most(
        "most begun in one cut",
        most.unwrap_or_default(),
        MAX_UNCOMMITTED,
    );
    let late: u64 = cuts.iter().map(|cut| within(cut, CLAIMS_LAST)).sum();
    report.expect("begun while cut off, after the claims had ended", late, 0);
}

/// What the relay had taken from the worker that was cut off is told, though another has done it again.
fn check_late(ledger: &Ledger, told: &[Told], report: &mut Report) {
    let twice = ledger
        .recipients
        .iter()
        .zip(told)
        .filter(|(seen, _)| seen.accepted > 1);
    let silent = twice.filter(|(_, told)| u64::from(told.delivered) < 2);
    report.expect("second copies of which one was not told", silent.count(), 0);
}
