//! All three brokers are stopped: during `enqueue`, which gives up and goes on when it is run again; during `enqueue
//! --wait`, which waits; and while two workers send.

use super::{LONG_SESSION, Queue, drain, wait_for_all};
use crate::acceptance::Setting;
use crate::acceptance::account::{check_counts, check_everyone_reached};
use crate::acceptance::lines::{MAX_UNCOMMITTED, SHORT_RETRIES, keeping, wait_for_accepted};
use crate::acceptance::process::Process;
use crate::acceptance::project::Project;
use crate::acceptance::report::Report;
use crate::acceptance::server::Server;
use crate::kafka::{Cluster, Options};
use anyhow::bail;
use std::time::{Duration, Instant};

const WORKERS: usize = 2;
/// Of each campaign; enqueueing it takes some seconds.
const POPULATION: u32 = 100_000;
const REPLY_DELAY: Duration = Duration::from_millis(100);
const RESUMES_WITHIN: Duration = Duration::from_secs(60);
/// More than that of the outage on a processor is a busy loop.
const BUSY: f64 = 0.1;
const LONGEST: Duration = Duration::from_secs(900);

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let server = Server::accepting(WORKERS, 2 * POPULATION)?;
    server.slow(REPLY_DELAY);
    let cluster = Cluster::start(3, &Options::default());
    let queue = Queue::new(&cluster, LONG_SESSION);
    keeping(queue.project(setting, SHORT_RETRIES)?, |project| {
        let outage = Outage {
            project,
            cluster: &cluster,
            lasts: Duration::from_secs(setting.count),
        };
        let whole = outage.measure(setting)?;
        report.figure("one enqueue takes", format!("{whole:.1?}"));
        outage.enqueue_gives_up(whole, report)?;
        outage.enqueue_waits(whole, report)?;
        outage.workers_wait(&server, report)?;
        let most = WORKERS as u64 * MAX_UNCOMMITTED;
        check_everyone_reached(project, &server, most, report)?;
        for campaign in ["first", "second"] {
            let counts = [("delivered", POPULATION.into())];
            check_counts(project, campaign, &counts, report)?;
        }
        Ok(())
    })
}

struct Outage<'a> {
    project: &'a Project,
    cluster: &'a Cluster,
    lasts: Duration,
}

impl Outage<'_> {
    /// In a project of its own.
    fn measure(&self, setting: &Setting) -> anyhow::Result<Duration> {
        let queue = Queue::new(self.cluster, LONG_SESSION);
        let project = queue.project(setting, "")?;
        let csv = project.campaign("first", 0, POPULATION)?;
        let began_at = Instant::now();
        project.call(&["enqueue", &csv, "--batch-size", "5000"])?;
        Ok(began_at.elapsed())
    }

    fn stop(&self) {
        for node in 1..=self.cluster.nodes() {
            self.cluster.kill(node);
        }
    }

    /// Starts one and stops the cluster under it.
    fn enqueue(&self, csv: &str, more: &[&str], whole: Duration) -> anyhow::Result<Process> {
        let mut arguments = vec!["enqueue", csv, "--batch-size", "5000"];
        arguments.extend(more);
        let mut process = Process::start(self.project, "enqueue", &arguments)?;
        std::thread::sleep(whole / 2);
        self.stop();
        if process.ended()?.is_some() {
            bail!("it was over too soon: {}", process.last_words());
        }
        Ok(process)
    }

    fn enqueue_gives_up(&self, whole: Duration, report: &mut Report) -> anyhow::Result<()> {
        let csv = self.project.campaign("first", 0, POPULATION)?;
        let patience = (self.lasts / 2).min(Duration::from_secs(60));
        let given = format!("{}s", patience.as_secs());
        let began_at = Instant::now();
        let mut process = self.enqueue(&csv, &["--queue-timeout", &given], whole)?;
        let stopped_at = Instant::now();
        let status = process.wait(patience + Duration::from_secs(45))?;
        report.expect("enqueue exits", status.code().unwrap_or(-1), 75);
        let after = stopped_at.elapsed();
        report.figure("so long after the cluster stopped", format!("{after:.1?}"));
        report.figure("and says", process.last_words());
        let words = process.words();
        report.check(
            words.contains("batch"),
            "enqueue does not say which batch is safe",
        );
        std::thread::sleep(self.lasts.saturating_sub(stopped_at.elapsed()));
        self.cluster.start_all();
        report.figure("first outage", format!("{:.0?}", began_at.elapsed()));
        self.project
            .call(&["enqueue", &csv, "--batch-size", "5000"])?;
        let again = self.project.json(&["enqueue", &csv])?;
        report.check(
            again["already_enqueued"] == true,
            format_args!("run a third time it says: {again}"),
        );
        Ok(())
    }

    fn enqueue_waits(&self, whole: Duration, report: &mut Report) -> anyhow::Result<()> {
        let csv = self.project.campaign("second", POPULATION, POPULATION)?;
        let mut processes = [self.enqueue(&csv, &["--wait"], whole)?];
        self.last("enqueue --wait", &mut processes, report)?;
        self.cluster.start_all();
        processes[0].wait_for_success(LONGEST)
    }

    /// For the time of the outage, and how busy they were.
    fn last(
        &self,
        who: &str,
        processes: &mut [Process],
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let used = |processes: &[Process]| -> Duration {
            let used = processes.iter().filter_map(Process::processor_time);
            used.max().unwrap_or_default()
        };
        // What was under way when the cluster stopped is no waiting.
        std::thread::sleep(self.lasts / 10);
        let (before, began_at) = (used(processes), Instant::now());
        std::thread::sleep(self.lasts * 9 / 10);
        let busy = used(processes).saturating_sub(before).as_secs_f64();
        let share = busy / began_at.elapsed().as_secs_f64();
        report.figure(format!("{who}: processor used"), format!("{share:.3}"));
        report.check(share < BUSY, format_args!("{who} is in a busy loop"));
        for process in processes {
            if let Some(status) = process.ended()? {
                bail!("{who} ended with {status}: {}", process.last_words());
            }
            let words = process.words();
            let waiting = words.lines().rfind(|line| line.contains("waiting:"));
            report.figure(format!("{who} says"), waiting.unwrap_or("nothing"));
            report.check(
                waiting.is_some(),
                format_args!("{who} does not say what it waits for"),
            );
        }
        Ok(())
    }

    fn workers_wait(&self, server: &Server, report: &mut Report) -> anyhow::Result<()> {
        let mut workers = drain(self.project, server, WORKERS)?;
        wait_for_accepted(server, 2000)?;
        self.stop();
        let before = server.ledger().accepted;
        self.last("send", &mut workers, report)?;
        let meanwhile = server.ledger().accepted - before;
        // What was claimed may go; what was taken as the last broker fell is counted here too.
        let most = 2 * WORKERS as u64 * MAX_UNCOMMITTED;
        report.at_most("sent without a cluster", meanwhile, most);
        let taken = server.ledger().accepted;
        self.cluster.start_all();
        let back_at = Instant::now();
        wait_for_accepted(server, taken + 1)?;
        let resumed = back_at.elapsed();
        report.figure("sending resumed after", format!("{resumed:.1?}"));
        report.check(resumed < RESUMES_WITHIN, "sending resumed too late");
        server.slow(Duration::ZERO);
        wait_for_all(&mut workers, LONGEST)
    }
}
