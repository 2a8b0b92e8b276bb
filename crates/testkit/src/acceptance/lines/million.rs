//! All into the queue, all to the relay as fast as it goes; everyone who counts agrees.

use super::keeping;
use crate::acceptance::Setting;
use crate::acceptance::account::check_all_delivered;
use crate::acceptance::process::Process;
use crate::acceptance::project::Project;
use crate::acceptance::report::Report;
use crate::acceptance::server::Server;
use std::time::{Duration, Instant};

const LONGEST: Duration = Duration::from_secs(3600);

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let population = u32::try_from(setting.count)?;
    let server = Server::accepting(1, population)?;
    keeping(Project::new(setting, "")?, |project| {
        let csv = project.campaign("million", 0, population)?;
        let began_at = Instant::now();
        project.call(&["enqueue", &csv])?;
        report.figure("enqueue", speed(population, began_at.elapsed()));
        let began_at = Instant::now();
        let mut worker = Process::draining(project, "send", &server.url(0), &[])?;
        worker.wait_for_success(LONGEST)?;
        report.figure("send --drain", speed(population, began_at.elapsed()));
        let began_at = Instant::now();
        check_all_delivered(project, "million", &server, 0, report)?;
        let elapsed = began_at.elapsed();
        report.figure("events, status, verify twice", format!("{elapsed:.1?}"));
        Ok(())
    })
}

fn speed(messages: u32, elapsed: Duration) -> String {
    let a_second = f64::from(messages) / elapsed.as_secs_f64();
    format!("{elapsed:.1?}, {a_second:.0}/s")
}
