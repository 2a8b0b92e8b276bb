//! The only broker stands still (SIGSTOP) for longer than its session with the controller, as on a suspended machine,
//! and wakes: for a moment it then answers that there are no brokers. Two workers go on.

use super::{Campaign, LONG_SESSION, Queue, drain, wait_for_all};
use crate::acceptance::Setting;
use crate::acceptance::account::check_all_delivered;
use crate::acceptance::lines::{MAX_UNCOMMITTED, wait_for_accepted};
use crate::acceptance::process::Process;
use crate::acceptance::report::Report;
use crate::acceptance::server::Server;
use crate::kafka::{Cluster, Options};
use std::time::{Duration, Instant};

const WORKERS: usize = 2;
const REPLY_DELAY: Duration = Duration::from_millis(200);
/// More than the broker's session of 6 s.
const LASTS: Duration = Duration::from_secs(13);
/// Clients come back one after the other, those that have forgotten the broker last.
const RESUMES_WITHIN: Duration = Duration::from_secs(30);
/// Two workers send at most 200 a second.
const RECIPIENTS_PER_SLEEP: u64 = 6000;
const DRAIN: Duration = Duration::from_secs(600);

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let population = u32::try_from((setting.count + 1) * RECIPIENTS_PER_SLEEP)?;
    let cluster = Cluster::start(1, &Options::default());
    let queue = Queue::new(&cluster, LONG_SESSION);
    let campaign = Campaign {
        name: "asleep",
        population,
        gates: WORKERS,
        reply_delay: REPLY_DELAY,
    };
    queue.with_campaign(setting, &campaign, |project, server| {
        let mut workers = drain(project, server, WORKERS)?;
        wait_for_accepted(server, 1000)?;
        let mut longest = Duration::ZERO;
        for _ in 0..setting.count {
            cluster.pause(1);
            std::thread::sleep(LASTS);
            cluster.cont(1);
            let woken_at = Instant::now();
            // Both workers, and more than what was claimed before.
            for gate in 0..WORKERS {
                let begun = |server: &Server| {
                    let ledger = server.ledger();
                    let own = ledger.transactions.iter().filter(|t| t.gate == gate);
                    own.filter(|t| t.begun_at > woken_at).count() as u64
                };
                while begun(server) <= MAX_UNCOMMITTED && woken_at.elapsed() < RESUMES_WITHIN * 2 {
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
            longest = longest.max(woken_at.elapsed());
        }
        report.figure("slept", format!("{} times for {LASTS:?}", setting.count));
        report.figure(
            "until both were at work again, at most",
            format!("{longest:.1?}"),
        );
        report.check(
            longest <= RESUMES_WITHIN,
            "a worker did not come back in time",
        );
        let left = server.ledger().left();
        report.figure("left after the last", left);
        server.slow(Duration::ZERO);
        wait_for_all(&mut workers, DRAIN)?;
        let words: String = workers.iter().map(Process::words).collect();
        let forgotten = words.matches("the client knows no broker any more").count();
        report.figure("clients that had forgotten the broker", forgotten);
        let most = setting.count * WORKERS as u64 * MAX_UNCOMMITTED;
        check_all_delivered(project, "asleep", server, most, report)?;
        Ok(())
    })
}
