//! Three brokers, three copies, two of them in sync: one broker at a time is killed and started again, each third time
//! the one that answers for the group, and the next one only when all copies are in sync.

use super::{Campaign, LONG_SESSION, Queue, drain, wait_for_all};
use crate::acceptance::Setting;
use crate::acceptance::account::check_all_delivered;
use crate::acceptance::lines::wait_for_accepted;
use crate::acceptance::report::Report;
use crate::acceptance::server::Server;
use crate::kafka::{Cluster, Options};
use std::time::{Duration, Instant};

const WORKERS: usize = 2;
const REPLY_DELAY: Duration = Duration::from_millis(200);
/// Two workers send at most 200 a second; a broker is back and in sync after 20 to 40 s.
const RECIPIENTS_PER_KILL: u64 = 5000;
/// A broker is left dead for so long, so that sending must resume without it.
const DEAD: Duration = Duration::from_secs(15);
const RESUMES_WITHIN: Duration = Duration::from_secs(15);
const DRAIN: Duration = Duration::from_secs(900);

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let population = u32::try_from((setting.count + 1) * RECIPIENTS_PER_KILL)?;
    let cluster = Cluster::start(3, &Options::default());
    let queue = Queue::new(&cluster, LONG_SESSION);
    let campaign = Campaign {
        name: "brokers",
        population,
        gates: WORKERS,
        reply_delay: REPLY_DELAY,
    };
    queue.with_campaign(setting, &campaign, |project, server| {
        let mut workers = drain(project, server, WORKERS)?;
        wait_for_accepted(server, 1000)?;
        kills(setting, &queue, server, report)?;
        server.slow(Duration::ZERO);
        wait_for_all(&mut workers, DRAIN)?;
        check_all_delivered(project, "brokers", server, 0, report)?;
        Ok(())
    })
}

fn kills(
    setting: &Setting,
    queue: &Queue<'_>,
    server: &Server,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut killed_at = Vec::new();
    let mut coordinators = 0;
    for round in 0..setting.count {
        queue.cluster.wait_in_sync();
        let coordinator = queue.cluster.coordinator_of(&queue.group());
        let node = match round % 3 {
            0 => coordinator,
            other => (coordinator + u32::try_from(other)? - 1) % 3 + 1,
        };
        coordinators += u64::from(node == coordinator);
        killed_at.push(Instant::now());
        queue.cluster.kill(node);
        std::thread::sleep(DEAD);
        queue.cluster.start_again(node);
    }
    queue.cluster.wait_in_sync();
    report.figure("brokers killed", setting.count);
    report.figure("coordinators among them", coordinators);
    let left = server.ledger().left();
    report.figure("left after the last", left);
    report.check(left > 0, "all was sent before the last kill");
    check_gaps(server, &killed_at, report);
    Ok(())
}

/// The longest time without a mail after each kill.
fn check_gaps(server: &Server, killed_at: &[Instant], report: &mut Report) {
    let mut taken: Vec<Instant> = {
        let ledger = server.ledger();
        let taken = ledger.transactions.iter().filter_map(|t| t.accepted_at);
        taken.collect()
    };
    taken.sort();
    let mut gaps = Vec::new();
    for (round, from) in killed_at.iter().enumerate() {
        let until = killed_at.get(round + 1).copied();
        let until = until.unwrap_or_else(Instant::now);
        let mut last = *from;
        let mut longest = Duration::ZERO;
        for at in taken.iter().filter(|at| **at > *from && **at < until) {
            longest = longest.max(*at - last);
            last = *at;
        }
        gaps.push(longest.max(until - last));
    }
    gaps.sort();
    let seconds: Vec<String> = gaps
        .iter()
        .map(|gap| format!("{:.1}", gap.as_secs_f64()))
        .collect();
    report.figure("longest gaps in s", seconds.join(" "));
    let longest = gaps.last().copied().unwrap_or_default();
    report.check(
        longest <= RESUMES_WITHIN,
        format_args!("nothing was sent for {longest:.1?} after a kill"),
    );
}
