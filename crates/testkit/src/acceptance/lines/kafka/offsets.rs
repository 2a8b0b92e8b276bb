//! The group's offsets are deleted: after a clean stop of all workers the next ones go on where they were, after a kill
//! they refuse, and `mailq recover` says who may get a mail twice.

use super::{Campaign, Queue, SHORT_SESSION, drain, one, wait_for_all};
use crate::acceptance::Setting;
use crate::acceptance::account::check_all_delivered;
use crate::acceptance::lines::kill::CLEAN_STOP;
use crate::acceptance::lines::{MAX_UNCOMMITTED, wait_for_accepted};
use crate::acceptance::process::Process;
use crate::acceptance::project::{Project, tail};
use crate::acceptance::report::Report;
use crate::acceptance::server::{Ledger, Server};
use anyhow::bail;
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const WORKERS: usize = 2;
const REPLY_DELAY: Duration = Duration::from_millis(20);
const DRAIN: Duration = Duration::from_secs(300);

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let population = u32::try_from(setting.count)?;
    let queue = Queue::new(one(), SHORT_SESSION);
    let campaign = Campaign {
        name: "offsets",
        population,
        gates: WORKERS,
        reply_delay: REPLY_DELAY,
    };
    queue.with_campaign(setting, &campaign, |project, server| {
        let mut workers = start(project, server)?;
        wait_for_accepted(server, setting.count / 4)?;
        for worker in &mut workers {
            worker.signal(Signal::TERM)?;
        }
        wait_for_all(&mut workers, CLEAN_STOP)?;
        report.figure("taken before the clean stop", server.ledger().accepted);
        delete_offsets(&queue);
        let mut workers = start(project, server)?;
        wait_for_accepted(server, setting.count / 2)?;
        for worker in &mut workers {
            worker.kill()?;
        }
        // Until their session ends, the killed are members. What was with the relay is taken meanwhile.
        std::thread::sleep(SHORT_SESSION + Duration::from_secs(2));
        let taken = server.ledger().accepted;
        report.figure("taken before the kill", taken);
        let twice = server.ledger().duplicates();
        report.expect("duplicates by then", twice, 0);
        delete_offsets(&queue);
        check_refusal(project, server, taken, report)?;
        let named = recover(project, report)?;
        let began_at = Instant::now();
        wait_for_all(&mut drain(project, server, WORKERS)?, DRAIN)?;
        report.figure("the rest sent in", format!("{:.1?}", began_at.elapsed()));
        let most = WORKERS as u64 * MAX_UNCOMMITTED;
        check_all_delivered(project, "offsets", server, most, report)?;
        let unnamed = twice_reached(&server.ledger()).difference(&named).count();
        report.expect("duplicates that recover did not name", unnamed, 0);
        Ok(())
    })
}

fn start(project: &Project, server: &Server) -> anyhow::Result<Vec<Process>> {
    let worker = |gate: usize| {
        let url = server.url(gate);
        let arguments = ["send", "--rate", "unlimited", "--relay", &url];
        Process::start(project, &format!("worker{gate}"), &arguments)
    };
    (0..WORKERS).map(worker).collect()
}

fn delete_offsets(queue: &Queue<'_>) {
    let group = queue.group();
    queue
        .cluster
        .tool("groups", &["--delete", "--group", &group]);
}

/// A worker that does not know where it was must not begin.
fn check_refusal(
    project: &Project,
    server: &Server,
    taken: u64,
    report: &mut Report,
) -> anyhow::Result<()> {
    let url = server.url(0);
    let refused = project.output(&["send", "--drain", "--rate", "unlimited", "--relay", &url])?;
    let code = refused.status.code().unwrap_or(-1);
    report.expect("send without offsets exits", code, 2);
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    report.figure("and says", tail(&words));
    report.check(
        words.contains("mailq recover"),
        "the refusal does not name `mailq recover`",
    );
    let sent = server.ledger().accepted - taken;
    report.expect("sent by the one that refused", sent, 0);
    Ok(())
}

/// Returns who may get a mail twice, by the number in the address.
fn recover(project: &Project, report: &mut Report) -> anyhow::Result<BTreeSet<usize>> {
    let foretold = project.json(&["recover", "--dry-run"])?;
    let output = project.call(&["recover", "--json"])?;
    let recovered: Value = serde_json::from_slice(&output.stdout)?;
    report.check(
        foretold["may_get_twice"] == recovered["may_get_twice"],
        "`recover --dry-run` names others than `recover`",
    );
    let partitions = recovered["partitions"].as_array().map_or(0, Vec::len);
    report.figure("partitions recovered", partitions);
    report.check(partitions > 0, "recover found nothing to do");
    let mut named = BTreeSet::new();
    for doubt in recovered["may_get_twice"].as_array().into_iter().flatten() {
        let address = doubt["address"].as_str().unwrap_or_default();
        let number = address.strip_prefix('u').and_then(|a| a.split_once('@'));
        let Some(number) = number.and_then(|(number, _)| number.parse().ok()) else {
            bail!("recover names `{address}`, who was in no list");
        };
        named.insert(number);
    }
    report.figure("named by recover", named.len());
    report.figure("of whom at most were with a relay", &recovered["at_most"]);
    Ok(named)
}

fn twice_reached(ledger: &Ledger) -> BTreeSet<usize> {
    let all = ledger.recipients.iter().enumerate();
    let twice = all.filter(|(_, seen)| seen.accepted > 1);
    twice.map(|(number, _)| number).collect()
}
