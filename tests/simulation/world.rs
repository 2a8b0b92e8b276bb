//! One run of the simulation: processes, faults, and the end at which everything is counted.

use super::campaign::{self, Plan};
use super::check::{self, Totals};
use super::process::Process;
use super::relay::{FaultyRelay, Mailbox};
use mailq::clock::Clock;
use mailq::domain::ids::RunId;
use mailq::domain::project_key::ProjectKey;
use mailq::domain::rate::Rate;
use mailq::domain::records::{InDoubtPolicy, RateInForce};
use mailq::domain::topic::Topic;
use mailq::engine::policy::{RetrySchedule, Schedule};
use mailq::engine::worker::{self, Goal, Notice, Observer, RelayLane, Setup, Stop, Summary};
use mailq::queue::Queue;
use mailq::queue::memory::{MemoryLog, MemoryQueue, ProcessId, Unkind};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

pub const K: usize = 3;
const PARTITIONS: u32 = 2;
const LEASE: Duration = Duration::from_secs(3);

pub struct World {
    pub log: MemoryLog,
    pub mailbox: Rc<Mailbox>,
    pub plans: Vec<Plan>,
    pub cancelled: Rc<RefCell<BTreeSet<RunId>>>,
    /// Times at which a worker that may have had claims was killed or stopped for long, or lost partitions.
    pub losses: Rc<Cell<u32>>,
    random: fastrand::Rng,
    workers: Vec<(ProcessId, Process)>,
    clients: Vec<(ProcessId, Process, Job)>,
    started: u32,
}

/// What a client process does; killed, it is begun again.
#[derive(Debug, Clone)]
enum Job {
    Enqueue(Plan),
    PauseAndResume(RunId),
    Cancel(RunId),
}

struct Quiet {
    losses: Rc<Cell<u32>>,
}

impl Observer for Quiet {
    fn notice(&self, notice: Notice) {
        if std::env::var_os("MAILQ_TRACE").is_some() {
            println!("{notice:?}");
        }
        if let Notice::PartitionStopped { partition, why } = notice {
            panic!("partition {partition} stands still: {why}");
        }
        let _ = &self.losses;
    }
    fn progress(&self, _: &Summary) {}
}

pub fn run(seed: u64) -> Result<Totals, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runtime.block_on(async { World::start(seed).await.go().await })
    }));
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text
            .or(panic.downcast_ref::<&str>().map(|t| t.to_string()))
            .unwrap_or("panic".into()))
    })
}

pub fn schedule() -> RetrySchedule {
    RetrySchedule {
        initial: Duration::from_secs(1),
        factor: 2.0,
        max: Duration::from_secs(4),
        jitter: 0.1,
        tries: 2,
        soft_interval: Duration::from_secs(2),
    }
}

impl World {
    async fn start(seed: u64) -> World {
        let mut random = fastrand::Rng::with_seed(seed);
        let log = MemoryLog::new(seed, PARTITIONS, LEASE, Unkind::none());
        let queue = log.start_process();
        let tiers = Schedule::from(&schedule()).tiers();
        let mut topics = vec![
            Topic::Send,
            Topic::Dlq,
            Topic::Event,
            Topic::Campaign,
            Topic::Suppression,
        ];
        topics.extend(tiers.into_iter().map(Topic::Retry));
        queue.create_topics(&topics).await.unwrap();
        log.set_unkind(Unkind::kafka());
        let plans = (0..random.u32(1..=2))
            .map(|n| plan(&mut random, n))
            .collect();
        World {
            log,
            mailbox: Rc::default(),
            plans,
            cancelled: Rc::default(),
            losses: Rc::default(),
            random,
            workers: Vec::new(),
            clients: Vec::new(),
            started: 0,
        }
    }

    async fn go(mut self) -> Result<Totals, String> {
        for _ in 0..self.random.u32(2..=3) {
            self.start_worker();
        }
        for plan in self.plans.clone() {
            self.start_jobs(plan);
        }
        let faults_for = Duration::from_secs(self.random.u64(10..60));
        self.drive(faults_for, true).await;
        self.settle().await;
        for _ in 0..4_000 {
            self.drive(Duration::from_millis(500), false).await;
            if self.is_quiet() {
                // Whatever was still to be committed or appended has its time.
                self.drive(Duration::from_secs(3), false).await;
                return check::check(&self).await;
            }
        }
        Err(format!(
            "stuck: {}; {:?}",
            check::what_is_left(&self),
            self.log.commits()
        ))
    }

    fn start_jobs(&mut self, plan: Plan) {
        self.start_client(Job::Enqueue(plan.clone()));
        if self.random.bool() {
            let mut other = plan.clone();
            other.draws = RefCell::new(self.random.fork());
            other.split = self.random.bool();
            other.suppressed = (0..2).map(|_| self.random.u64(..campaign::ROWS)).collect();
            self.start_client(Job::Enqueue(other));
        }
        match self.random.u32(..10) {
            0..4 => self.start_client(Job::PauseAndResume(plan.id)),
            4..6 => self.start_client(Job::Cancel(plan.id)),
            _ => {}
        }
    }

    fn start_worker(&mut self) {
        self.started += 1;
        let queue = Rc::new(self.log.start_process());
        let id = queue.process_id();
        let setup = self.setup(queue);
        let observer = Rc::new(Quiet {
            losses: self.losses.clone(),
        });
        let process = Process::start(async move {
            let stop = Rc::new(Stop::default());
            worker::run(setup, stop, observer)
                .await
                .expect("a worker ends without error");
        });
        self.workers.push((id, process));
    }

    fn setup(&mut self, queue: Rc<MemoryQueue>) -> Setup {
        let random = RefCell::new(fastrand::Rng::with_seed(self.random.u64(..)));
        let relay = FaultyRelay {
            mailbox: self.mailbox.clone(),
            random,
        };
        let clock: Rc<dyn Clock> = Rc::new(self.log.clock());
        Setup {
            queue,
            clock,
            relays: vec![RelayLane {
                relay: Rc::new(relay),
                connections: 3,
                weight: 1,
                rate: Rate::Unlimited,
            }],
            sites: BTreeMap::new(),
            retry: schedule(),
            max_uncommitted: K,
            name: format!("w{}", self.started),
            trace_id: "simulation".into(),
            key: ProjectKey::new(&[1; 32]),
            rate: RateInForce {
                rate: Rate::Unlimited,
                burst: 1,
                host: "simulation".into(),
                source: "default".into(),
                at: String::new(),
            },
            publish_rate: false,
            env: "test".into(),
            decode_on_threads: false,
            goal: Goal::Serve,
        }
    }

    fn start_client(&mut self, job: Job) {
        let queue = self.log.start_process();
        let id = queue.process_id();
        let (task, cancelled) = (job.clone(), self.cancelled.clone());
        let mut random = fastrand::Rng::with_seed(self.random.u64(..));
        let process = Process::start(async move {
            match task {
                Job::Enqueue(plan) => campaign::enqueue(&queue, &plan).await,
                Job::PauseAndResume(id) => {
                    for paused in [true, false] {
                        tokio::time::sleep(Duration::from_millis(random.u64(..20_000))).await;
                        campaign::control(&queue, &id, paused).await;
                    }
                }
                Job::Cancel(id) => {
                    tokio::time::sleep(Duration::from_millis(random.u64(..20_000))).await;
                    cancelled.borrow_mut().insert(id.clone());
                    campaign::cancel(&queue, &id).await;
                }
            }
        });
        self.clients.push((id, process, job));
    }

    /// Lets virtual time pass, with faults or without.
    async fn drive(&mut self, span: Duration, faults: bool) {
        let clock = self.log.clock();
        let until = clock.since_boot() + span;
        while clock.since_boot() < until {
            self.log.tick();
            let step = Duration::from_millis(self.random.u64(1..20));
            self.poll_for(step).await;
            if faults && self.random.u32(..60) == 0 {
                self.fault();
            }
        }
    }

    async fn poll_for(&mut self, step: Duration) {
        let mut pause = Box::pin(tokio::time::sleep(step));
        poll_fn(|context| {
            for (_, process) in &mut self.workers {
                process.poll(context);
            }
            for (_, process, _) in &mut self.clients {
                process.poll(context);
            }
            match pause.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
    }

    fn fault(&mut self) {
        match self.random.u32(..100) {
            0..25 => self.kill_worker(),
            25..45 => self.freeze_worker(),
            45..70 => self.wake_all(),
            70..80 => {
                self.lose();
                self.log.rebalance_randomly();
            }
            80..90 => self.kill_client(),
            _ => self.log.compact_randomly(),
        }
    }

    fn lose(&self) {
        self.losses.set(self.losses.get() + 1);
    }

    fn kill_worker(&mut self) {
        if self.workers.is_empty() {
            return;
        }
        self.lose();
        let (id, process) = self
            .workers
            .swap_remove(self.random.usize(..self.workers.len()));
        drop(process);
        self.log.kill(id);
        self.start_worker();
    }

    fn freeze_worker(&mut self) {
        if let Some(index) = self.any_worker() {
            self.lose();
            let (id, process) = &self.workers[index];
            process.frozen.set(true);
            self.log.set_running(*id, false);
        }
    }

    fn wake_all(&mut self) {
        for (id, process) in &self.workers {
            process.frozen.set(false);
            self.log.set_running(*id, true);
        }
    }

    fn kill_client(&mut self) {
        if self.clients.is_empty() {
            return;
        }
        let index = self.random.usize(..self.clients.len());
        if self.clients[index].1.is_finished() {
            return;
        }
        let (id, process, job) = self.clients.swap_remove(index);
        drop(process);
        self.log.kill(id);
        self.start_client(job);
    }

    fn any_worker(&mut self) -> Option<usize> {
        (!self.workers.is_empty()).then(|| self.random.usize(..self.workers.len()))
    }

    /// The end of all faults: everyone runs, everything paused is resumed.
    async fn settle(&mut self) {
        self.wake_all();
        self.log.set_unkind(Unkind::none());
        self.mailbox.is_kind.set(self.random.bool());
        while self
            .clients
            .iter()
            .any(|(_, process, _)| !process.is_finished())
        {
            self.drive(Duration::from_millis(500), false).await;
        }
        let queue = self.log.start_process();
        for plan in &self.plans {
            campaign::control(&queue, &plan.id, false).await;
        }
    }

    fn is_quiet(&self) -> bool {
        check::what_is_left(self).is_empty() && !self.log.is_anything_under_way()
    }
}

fn plan(random: &mut fastrand::Rng, number: u32) -> Plan {
    let in_doubt = if random.u32(..5) == 0 {
        InDoubtPolicy::Hold
    } else {
        InDoubtPolicy::Resend
    };
    Plan {
        id: RunId::new(format!("c{number}"), "r1"),
        in_doubt,
        suppressed: (0..2).map(|_| random.u64(..campaign::ROWS)).collect(),
        draws: RefCell::new(random.fork()),
        split: false,
    }
}
