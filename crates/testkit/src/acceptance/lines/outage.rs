//! The relay goes away in the middle of a run and comes back: nobody dies of it, nobody's tries are used.

use super::{MAX_UNCOMMITTED, SHORT_RETRIES, keeping, wait_for_accepted};
use crate::acceptance::Setting;
use crate::acceptance::account::{Told, check_all_delivered};
use crate::acceptance::process::Process;
use crate::acceptance::project::Project;
use crate::acceptance::report::Report;
use crate::acceptance::server::{Recipient, Server};
use std::time::{Duration, Instant};

const POPULATION: u32 = 20_000;
const REPLY_DELAY: Duration = Duration::from_millis(10);
const RESUMES_WITHIN: Duration = Duration::from_secs(10);
const DRAIN: Duration = Duration::from_secs(300);

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let mut server = Server::accepting(1, POPULATION)?;
    server.slow(REPLY_DELAY);
    keeping(Project::new(setting, SHORT_RETRIES)?, |project| {
        let csv = project.campaign("outage", 0, POPULATION)?;
        project.call(&["enqueue", &csv])?;
        let mut worker = Process::draining(project, "send", &server.url(0), &[])?;
        wait_for_accepted(&server, u64::from(POPULATION) / 3)?;
        server.close();
        std::thread::sleep(Duration::from_secs(setting.count));
        report.check(worker.ended()?.is_none(), "the worker gave up");
        let before = server.ledger().accepted;
        report.figure("taken before the outage", before);
        server.open()?;
        let back_at = Instant::now();
        wait_for_accepted(&server, before + 1)?;
        let resumed = back_at.elapsed();
        report.figure("resumed after", format!("{resumed:.1?}"));
        report.check(
            resumed <= RESUMES_WITHIN,
            "sending resumed later than promised",
        );
        worker.wait_for_success(DRAIN)?;
        report.figure("all sent after", format!("{:.1?}", back_at.elapsed()));
        // What was under way when the relay went may be sent twice.
        let told = check_all_delivered(project, "outage", &server, MAX_UNCOMMITTED, report)?;
        check_tries(&server.ledger().recipients, &told, report);
        Ok(())
    })
}

fn check_tries(seen: &[Recipient], told: &[Told], report: &mut Report) {
    let dead = told.iter().filter(|told| told.dead > 0).count();
    report.expect("dead letters", dead, 0);
    let used = told.iter().filter(|t| t.tries_used > 0 && t.in_doubt == 0);
    report.expect("recipients whose tries were used", used.count(), 0);
    let most = seen.iter().map(|seen| seen.attempts).max().unwrap_or(0);
    report.figure("most attempts at one recipient", most);
}
