//! A run paused at one half does not hold back the campaign that comes after it; then it is resumed and finished.

use super::{keeping, wait_for_accepted};
use crate::acceptance::Setting;
use crate::acceptance::account::{check_counts, total};
use crate::acceptance::process::Process;
use crate::acceptance::project::Project;
use crate::acceptance::report::Report;
use crate::acceptance::server::Server;
use std::time::Duration;

const REPLY_DELAY: Duration = Duration::from_millis(5);
/// Workers act on a pause within 2 s.
const PAUSES_WITHIN: Duration = Duration::from_secs(2);
const DRAIN: Duration = Duration::from_secs(600);

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let first = u32::try_from(setting.count)?;
    let second = (first / 200).max(1);
    let server = Server::accepting(1, first + second)?;
    server.slow(REPLY_DELAY);
    keeping(Project::new(setting, "")?, |project| {
        let csv = project.campaign("first", 0, first)?;
        project.call(&["enqueue", &csv])?;
        let halted = send_half(project, &server, first, report)?;
        let csv = project.campaign("second", first, second)?;
        project.call(&["enqueue", &csv])?;
        drain(project, &server)?;
        let delivered = server.ledger().accepted - halted;
        report.expect("delivered of the second", delivered, second.into());
        let status = project.json(&["status"])?;
        let still = total(&status, "first", "delivered");
        report.expect("delivered of the first meanwhile", still, halted);
        let rows = status["campaigns"].as_array().into_iter().flatten();
        let paused = rows.filter(|row| row["campaign"] == "first" && row["state"] == "paused");
        report.expect("runs shown as paused", paused.count(), 1);
        project.call(&["resume", "first"])?;
        drain(project, &server)?;
        let ledger = server.ledger();
        let lost = u64::from(first + second) - ledger.reached();
        report.expect("lost", lost, 0);
        report.expect("duplicates", ledger.duplicates(), 0);
        drop(ledger);
        check_counts(project, "first", &[("delivered", first.into())], report)?;
        check_counts(project, "second", &[("delivered", second.into())], report)
    })
}

/// Pauses the first campaign at one half and waits for the worker's end. Returns what the relay has taken by then.
fn send_half(
    project: &Project,
    server: &Server,
    first: u32,
    report: &mut Report,
) -> anyhow::Result<u64> {
    let mut worker = Process::draining(project, "send", &server.url(0), &[])?;
    wait_for_accepted(server, u64::from(first) / 2)?;
    project.call(&["pause", "first"])?;
    let asked = server.ledger().accepted;
    std::thread::sleep(PAUSES_WITHIN);
    let in_force = server.ledger().accepted;
    worker.wait_for_success(DRAIN)?;
    let halted = server.ledger().accepted;
    report.figure("taken when the pause was asked for", asked);
    report.figure("taken 2 s later", in_force);
    report.expect("taken after that", halted - in_force, 0);
    report.check(halted < u64::from(first), "all was sent before the pause");
    Ok(halted)
}

fn drain(project: &Project, server: &Server) -> anyhow::Result<()> {
    let mut worker = Process::draining(project, "send", &server.url(0), &[])?;
    worker.wait_for_success(DRAIN)
}
