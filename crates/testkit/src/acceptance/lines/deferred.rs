//! A relay that says 451 to everything for minutes, with a long queue behind it: nothing is written again and again,
//! nobody dies, and all is sent afterwards.

use super::{keeping, wait_for_accepted};
use crate::acceptance::Setting;
use crate::acceptance::account::check_all_delivered;
use crate::acceptance::process::Process;
use crate::acceptance::project::Project;
use crate::acceptance::report::Report;
use crate::acceptance::server::{Server, Trouble};
use anyhow::Context;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Ten minutes for the whole count of a million.
const MILLION_DEFERS: Duration = Duration::from_secs(600);
const DRAIN: Duration = Duration::from_secs(1800);
/// Of the queue's size, in bytes that are written while the relay defers.
const MOST_WRITTEN: f64 = 0.01;

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let population = u32::try_from(setting.count)?;
    let span = MILLION_DEFERS.mul_f64(f64::from(population) / 1e6);
    let mut server = Server::accepting(1, population)?;
    server.set_trouble(0, Trouble::Deferring)?;
    keeping(Project::new(setting, "")?, |project| {
        let csv = project.campaign_of_size("deferred", 0, population, 5700)?;
        project.call(&["enqueue", &csv])?;
        let backlog = folder_bytes(&project.path().join(".mailq"))?;
        let mut worker = Process::draining(project, "send", &server.url(0), &[])?;
        std::thread::sleep(span);
        report.check(worker.ended()?.is_none(), "the worker gave up");
        let written = worker.bytes_written().context("the worker has ended")?;
        report.check(
            written > 0,
            "the file system of the queue counts no writes: set TMPDIR to a folder on a disk",
        );
        report.figure("seconds of 451", span.as_secs());
        report.figure("MAIL FROM meanwhile", server.ledger().transactions.len());
        report.figure("bytes of the backlog", backlog);
        report.at_most(
            "bytes written meanwhile",
            written,
            (backlog as f64 * MOST_WRITTEN) as u64,
        );
        server.set_trouble(0, Trouble::None)?;
        let well_at = Instant::now();
        wait_for_accepted(&server, 1)?;
        report.figure("resumed after", format!("{:.1?}", well_at.elapsed()));
        worker.wait_for_success(DRAIN)?;
        report.figure("all sent after", format!("{:.1?}", well_at.elapsed()));
        let told = check_all_delivered(project, "deferred", &server, 0, report)?;
        let used = told.iter().filter(|told| told.tries_used > 0);
        report.expect("recipients whose tries were used", used.count(), 0);
        Ok(())
    })
}

fn folder_bytes(folder: &Path) -> anyhow::Result<u64> {
    let sizes = fs::read_dir(folder)?.map(|entry| Ok(entry?.metadata()?.len()));
    sizes.sum()
}
