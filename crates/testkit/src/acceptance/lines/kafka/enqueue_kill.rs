//! enqueue killed at random moments over three brokers, a third as many of which are killed in between, while the
//! suppression list changes and a second process runs beside it.

use super::{LONG_SESSION, Queue};
use crate::acceptance::Setting;
use crate::acceptance::lines::enqueue_kill::{Moment, check, drain, kill_enqueue, measure};
use crate::acceptance::lines::keeping;
use crate::acceptance::project::Project;
use crate::acceptance::report::Report;
use crate::acceptance::server::Server;
use crate::kafka::{Cluster, Options};

/// 30 kills make 510,000.
const RECIPIENTS_PER_KILL: u64 = 17_000;
/// So many addresses join the suppression list at a time, and half of them leave it later.
const SUPPRESSED: u32 = 10;

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    let population = u32::try_from(setting.count * RECIPIENTS_PER_KILL)?;
    let server = Server::accepting(1, population)?;
    let cluster = Cluster::start(3, &Options::default());
    let queue = Queue::new(&cluster, LONG_SESSION);
    let lives = {
        let queue = Queue::new(&cluster, LONG_SESSION);
        measure(setting, &queue.project(setting, "")?, population)?
    };
    keeping(queue.project(setting, "")?, |project| {
        let csv = project.campaign("list", 0, population)?;
        let mut trouble = Trouble {
            project,
            cluster: &cluster,
            random: setting.random(),
            population,
            rounds: 0,
            dead: None,
            broken: 0,
            suppressed: Vec::new(),
        };
        let mut meanwhile = |moment| trouble.make(moment);
        let runs = kill_enqueue(setting, project, &csv, &lives, &mut meanwhile, report)?;
        trouble.heal();
        report.figure("brokers killed", trouble.broken);
        report.figure("at times suppressed", trouble.suppressed.len());
        drain(project, &server)?;
        check(project, &server, runs, &trouble.suppressed, report)
    })
}

/// What else happens.
struct Trouble<'a> {
    project: &'a Project,
    cluster: &'a Cluster,
    random: fastrand::Rng,
    population: u32,
    rounds: u64,
    dead: Option<u32>,
    broken: u64,
    suppressed: Vec<u32>,
}

impl Trouble<'_> {
    /// In each three rounds: a broker is killed under a process, the next one finds it dead, the one after finds it
    /// back; and the suppression list changes twice.
    fn make(&mut self, moment: Moment) -> anyhow::Result<()> {
        match (moment, self.rounds % 3) {
            (Moment::Within, 0) => self.kill_broker(),
            (Moment::Between, 1) => self.suppress()?,
            (Moment::Between, 2) => {
                self.heal();
                self.release()?;
            }
            _ => {}
        }
        self.rounds += u64::from(moment == Moment::Within);
        Ok(())
    }

    fn kill_broker(&mut self) {
        let node = self.random.u32(1..=self.cluster.nodes());
        self.cluster.kill(node);
        self.dead = Some(node);
        self.broken += 1;
    }

    fn heal(&mut self) {
        if let Some(node) = self.dead.take() {
            self.cluster.start_again(node);
            self.cluster.wait_in_sync();
        }
    }

    fn suppress(&mut self) -> anyhow::Result<()> {
        let new: Vec<u32> = (0..SUPPRESSED)
            .map(|_| self.random.u32(..self.population))
            .collect();
        self.suppressed.extend(&new);
        self.list("add", &new)
    }

    fn release(&mut self) -> anyhow::Result<()> {
        let from = self
            .suppressed
            .len()
            .saturating_sub(SUPPRESSED as usize / 2);
        let half = self.suppressed[from..].to_vec();
        self.list("remove", &half)
    }

    fn list(&self, verb: &str, numbers: &[u32]) -> anyhow::Result<()> {
        let addresses: Vec<String> = numbers.iter().map(|n| Project::address(*n)).collect();
        let mut arguments = vec!["suppress", verb];
        arguments.extend(addresses.iter().map(String::as_str));
        self.project.call(&arguments).map(|_| ())
    }
}
