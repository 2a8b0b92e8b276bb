//! The lines over Kafka: real brokers, which a line stops and kills as it does workers.

pub mod asleep;
pub mod brokers;
pub mod changed;
pub mod cut;
pub mod enqueue_kill;
pub mod kill;
pub mod lanes;
pub mod offsets;
pub mod outage;
pub mod pause;
pub mod rate;
pub mod rolling;
pub mod secure;
pub mod slow_stop;
pub mod throughput;
pub mod tools;

use super::{SHORT_RETRIES, keeping};
use crate::acceptance::process::Process;
use crate::acceptance::project::Project;
use crate::acceptance::server::Server;
use crate::acceptance::{Known, Setting};
use crate::kafka::{Cluster, NEWEST, shared};
use std::time::Duration;

pub const LINES: &[Known] = &[
    ("kafka-kill", 50, kill::run),
    ("kafka-kill-one", 50, kill::run_one),
    ("kafka-pause", 20, pause::run),
    ("kafka-pause-all", 3, pause::run_all),
    ("kafka-cut", 10, cut::run),
    ("kafka-asleep", 10, asleep::run),
    ("kafka-rolling", 100, rolling::run),
    ("kafka-brokers", 30, brokers::run),
    ("kafka-offsets", 20_000, offsets::run),
    ("kafka-enqueue-kill", 30, enqueue_kill::run),
    ("kafka-changed", 200, changed::run),
    ("kafka-outage", 180, outage::run),
    ("kafka-tools", 3000, tools::run),
    ("kafka-secure", 1000, secure::run),
    ("kafka-throughput", 100_000, throughput::run),
    ("kafka-rate", 600, rate::run),
    ("kafka-lanes", 200_000, lanes::run),
    ("kafka-slow-stop", 50, slow_stop::run),
];

/// After so long without a word a worker is dead to the brokers. The default is 30 s.
pub const SHORT_SESSION: Duration = Duration::from_secs(6);
pub const LONG_SESSION: Duration = Duration::from_secs(30);

/// A single broker, of lines that do nothing to it.
pub fn one() -> &'static Cluster {
    shared(NEWEST)
}

/// What a line sends, and the relay that takes it.
pub struct Campaign {
    pub name: &'static str,
    pub population: u32,
    /// Of the relay: one for each worker that a line tells from the others.
    pub gates: usize,
    pub reply_delay: Duration,
}

/// Starts so many workers, each with a gate of its own, which end when all is sent.
pub fn drain(project: &Project, server: &Server, workers: usize) -> anyhow::Result<Vec<Process>> {
    let worker =
        |gate: usize| Process::draining(project, &format!("worker{gate}"), &server.url(gate), &[]);
    (0..workers).map(worker).collect()
}

/// Waits until all of them have ended well.
pub fn wait_for_all(workers: &mut [Process], at_most: Duration) -> anyhow::Result<()> {
    workers
        .iter_mut()
        .try_for_each(|worker| worker.wait_for_success(at_most))
}

/// An environment of its own on these brokers.
pub struct Queue<'a> {
    pub cluster: &'a Cluster,
    pub env: String,
    pub session: Duration,
}

impl<'a> Queue<'a> {
    pub fn new(cluster: &'a Cluster, session: Duration) -> Queue<'a> {
        Queue {
            cluster,
            env: format!("a{:012x}", fastrand::u64(..1 << 48)),
            session,
        }
    }

    /// The consumer group of its workers.
    pub fn group(&self) -> String {
        format!("{}.mail", self.env)
    }

    /// With its topics made. `settings`: sections for `mailq.toml`.
    pub fn project(&self, setting: &Setting, settings: &str) -> anyhow::Result<Project> {
        let project = Project::new(setting, &self.settings(settings))?;
        let made = project.call(&["topics", "init"]).map(|_| ());
        made.map(|()| project)
    }

    /// Enqueues a campaign in a project of its own and runs a line's body with it and its relay.
    pub fn with_campaign<T>(
        &self,
        setting: &Setting,
        campaign: &Campaign,
        body: impl FnOnce(&Project, &Server) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let server = Server::accepting(campaign.gates, campaign.population)?;
        server.slow(campaign.reply_delay);
        keeping(self.project(setting, SHORT_RETRIES)?, |project| {
            let csv = project.campaign(campaign.name, 0, campaign.population)?;
            project.call(&["enqueue", &csv])?;
            body(project, &server)
        })
    }

    fn settings(&self, more: &str) -> String {
        format!(
            "queue = \"{}\"\nenv = \"{}\"\n{more}[kafka.properties]\n\"session.timeout.ms\" = \"{}\"\n",
            self.cluster.url(),
            self.env,
            self.session.as_millis()
        )
    }
}
