//! One run of the simulation: processes, faults, and the end at which everything is counted.

use super::campaign::{self, Plan};
use super::check;
use super::clients::{self, Job, Suppressed};
use super::outage;
use super::process::Process;
use super::profile::Profile;
use super::relay::{FaultyRelay, Mailbox};
use super::totals::Totals;
use mailq::clock::Clock;
use mailq::domain::rate::Rate;
use mailq::domain::records::RateInForce;
use mailq::domain::topic::Topic;
use mailq::engine::control::Wish;
use mailq::engine::limits::quota::Quota;
use mailq::engine::policy::{RetrySchedule, Schedule};
use mailq::engine::recover::Recovered;
use mailq::engine::worker::{
    self, Goal, Notice, Observer, RelayLane, Setup, SiteLimit, Stop, Summary, WorkerError,
};
use mailq::queue::{MAX_COMMIT_TEXT, Queue};
use mailq_testkit::memory::{Faults, MemoryLog, MemoryQueue, ProcessId, VirtualClock};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

pub const K: usize = 3;
pub const LEASE: Duration = Duration::from_secs(3);

pub struct World {
    pub profile: Profile,
    pub rate: Rate,
    /// Limits of sites.
    pub sites: BTreeMap<String, SiteLimit>,
    pub quota: Option<Quota>,
    pub log: MemoryLog,
    pub mailbox: Rc<Mailbox>,
    pub plans: Vec<Plan>,
    pub suppressed: Suppressed,
    pub kills: u32,
    /// The queue forgets commits, and has done so once.
    pub is_forgetful: bool,
    /// Recipients who may get a duplicate, by `recover`.
    pub recovered: Option<Recovered>,
    /// Clean stops and starts of workers, and revoked partitions.
    pub rebalances: u32,
    pub changes: Changes,
    pub random: fastrand::Rng,
    pub workers: Vec<Worker>,
    clients: Vec<(ProcessId, Process, Job)>,
    /// Processes that another part of the test starts and kills.
    pub guests: Vec<Process>,
    started: u32,
}

pub struct Worker {
    pub id: ProcessId,
    pub process: Process,
    pub stop: Rc<Stop>,
}

pub struct Watcher {
    pub is_traced: bool,
    pub id: ProcessId,
    pub clock: VirtualClock,
    pub changes: Changes,
}

/// When each worker started, stopped, or changed its share of the rate.
pub type Changes = Rc<RefCell<Vec<(Duration, ProcessId)>>>;

impl Observer for Watcher {
    fn notice(&self, notice: Notice) {
        if self.is_traced {
            println!("{:?} {} {notice:?}", self.clock.since_boot(), self.id);
        }
        if let Notice::Share { .. } = notice {
            let now = self.clock.since_boot();
            self.changes.borrow_mut().push((now, self.id));
        }
        if let Notice::PartitionStopped { partition, why } = notice {
            panic!("partition {partition} is stopped: {why}");
        }
    }
    fn progress(&self, _: &Summary) {}
}

pub fn run(seed: u64, profile: Profile) -> Result<Totals, String> {
    // The product draws its random numbers from this thread's generator.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runtime.block_on(async { World::start(seed, profile).await.go().await })
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
    pub async fn start(seed: u64, profile: Profile) -> World {
        let mut random = fastrand::Rng::with_seed(seed);
        let log = MemoryLog::new(seed, profile.partitions(), LEASE, Faults::none());
        if profile.is_shared() {
            log.remove_buckets();
        }
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
        log.set_faults(profile.faults());
        let is_forgetful = !profile.is_paced() && (seed / 10).is_multiple_of(4);
        if is_forgetful {
            log.let_commits_expire();
        }
        let campaigns = if profile.is_paced() {
            1
        } else {
            random.u32(1..=2)
        };
        let now = log.clock().now();
        let plans = (0..campaigns)
            .map(|n| Plan::new(&mut random, profile, n, now))
            .collect();
        let mailbox = Mailbox {
            transactions: RefCell::default(),
            is_kind: Cell::new(profile.is_paced()),
            profile,
            clock: log.clock(),
        };
        World {
            profile,
            rate: profile.rate(&mut random),
            sites: profile.sites(&mut random),
            quota: profile.quota(seed),
            log,
            mailbox: Rc::new(mailbox),
            plans,
            suppressed: Suppressed::default(),
            kills: 0,
            is_forgetful,
            recovered: None,
            rebalances: 0,
            changes: Changes::default(),
            random,
            workers: Vec::new(),
            clients: Vec::new(),
            guests: Vec::new(),
            started: 0,
        }
    }

    async fn go(mut self) -> Result<Totals, String> {
        for plan in self.plans.clone() {
            self.start_jobs(plan);
        }
        if self.profile.is_paced() {
            self.drive(Duration::from_secs(1), false).await;
        }
        let (workers, span) = match self.profile {
            Profile::Shared | Profile::Alone => (2..=5, 60..200),
            _ => (2..=3, 10..60),
        };
        for _ in 0..self.random.u32(workers) {
            self.start_worker();
            if self.profile == Profile::Shared {
                // Started at different times, so that they observe each other at different times.
                let apart = Duration::from_millis(self.random.u64(..5_000));
                self.drive(apart, false).await;
            }
        }
        let faults_for = Duration::from_secs(self.random.u64(span));
        self.drive(faults_for, true).await;
        if self.is_forgetful {
            outage::run(&mut self).await?;
        }
        self.settle().await;
        for round in 0..4_000 {
            self.drive(Duration::from_millis(500), false).await;
            if round % 100 == 99 {
                // A pause of a client that was killed may land after the last resume.
                self.resume_all().await;
            }
            if self.is_quiet() {
                // Time for the last commits and appends.
                self.drive(Duration::from_secs(3), false).await;
                return check::check(&self).await;
            }
        }
        Err(format!(
            "stuck: {}; {:?}",
            check::remaining_work(&self),
            self.log.commits()
        ))
    }

    fn start_jobs(&mut self, plan: Plan) {
        let campaign = plan.id.campaign.clone();
        self.start_client(Job::Enqueue(plan.clone()));
        if self.profile.is_paced() {
            return;
        }
        if self.random.bool() {
            let mut other = plan.clone();
            other.suppressed = self.profile.suppressed(&mut self.random, plan.rows);
            let is_same_version = self.random.bool();
            self.start_client(if is_same_version {
                Job::Enqueue(other)
            } else {
                Job::EnqueueOtherwise(other)
            });
        }
        match self.random.u32(..10) {
            0..4 => self.start_client(Job::PauseAndResume(campaign)),
            4..6 => self.start_client(Job::Cancel(campaign)),
            _ => {}
        }
        for _ in 0..self.random.u32(..3) {
            self.start_client(Job::Replay);
        }
        for _ in 0..self.random.u32(..3) {
            let row = self.random.u64(..plan.rows);
            self.start_client(Job::Suppress(campaign::address(row)));
        }
    }

    pub fn start_worker(&mut self) {
        self.started += 1;
        let queue = Rc::new(self.log.start_process());
        let (id, stop) = (queue.process_id(), Rc::new(Stop::default()));
        let setup = self.setup(queue);
        let observer = Rc::new(Watcher {
            is_traced: std::env::var_os("MAILQ_TRACE").is_some(),
            id,
            clock: self.log.clock(),
            changes: self.changes.clone(),
        });
        self.note_change(id);
        let (asked, is_forgetful) = (stop.clone(), self.is_forgetful);
        let process = Process::start(async move {
            match worker::run(setup, asked, observer).await {
                // The queue was unavailable during the whole stop, so for the others it is as after a kill.
                Ok(_) | Err(WorkerError::CutOff) => {}
                // An operator is to run `recover`.
                Err(WorkerError::CommitsLost(_)) if is_forgetful => {}
                Err(error) => panic!("a worker ends without error: {error}"),
            }
        });
        self.workers.push(Worker { id, process, stop });
    }

    pub fn setup(&mut self, queue: Rc<MemoryQueue>) -> Setup {
        let random = RefCell::new(fastrand::Rng::with_seed(self.random.u64(..)));
        let relay = FaultyRelay {
            mailbox: self.mailbox.clone(),
            process: queue.process_id(),
            random,
        };
        let clock: Rc<dyn Clock> = Rc::new(self.log.clock());
        Setup {
            queue,
            clock,
            relays: vec![RelayLane {
                relay: Rc::new(relay),
                connections: 3,
                most_connections: 3,
                weight: 1,
                rate: Rate::Unlimited,
                quota: self.quota.clone(),
            }],
            groups: Rc::default(),
            windows: self.profile.windows(),
            sites: self.sites.clone(),
            retry: schedule(),
            max_uncommitted: K,
            name: format!("w{}", self.started),
            trace_id: "simulation".into(),
            key: campaign::project_key(),
            rate: RateInForce {
                rate: self.rate,
                burst: 1,
                host: "simulation".into(),
                source: "default".into(),
                at: String::new(),
            },
            publish_rate: false,
            env: "test".into(),
            decode_on_threads: false,
            // Some workers have hardly more room than the text without open chunks needs: of four runs with counters of two
            // digits, a move, a base and one claim.
            max_text: [280, MAX_COMMIT_TEXT][self.started as usize % 2],
            // A base with almost every change, with some, or with none.
            base_after: [0, 60, usize::MAX][self.started as usize % 3],
            goal: Goal::Serve,
        }
    }

    fn start_client(&mut self, job: Job) {
        let queue = self.log.start_process();
        let id = queue.process_id();
        let random = fastrand::Rng::with_seed(self.random.u64(..));
        let work = clients::run(
            job.clone(),
            queue,
            self.log.clock(),
            random,
            self.suppressed.clone(),
        );
        self.clients.push((id, Process::start(work), job));
    }

    /// Lets virtual time pass, with faults or without.
    pub async fn drive(&mut self, span: Duration, faults: bool) {
        let clock = self.log.clock();
        let until = clock.since_boot() + span;
        while clock.since_boot() < until {
            self.log.tick();
            // Processes wake by their own timers; ticks only let other things happen.
            let longest = if self.profile.is_shared() { 100 } else { 20 };
            let step = Duration::from_millis(self.random.u64(1..longest));
            self.poll_for(step).await;
            self.workers.retain(|worker| !worker.process.is_finished());
            if faults && self.random.u32(..60) == 0 {
                match self.profile {
                    Profile::Faults | Profile::Hold => self.fault(),
                    Profile::Clean | Profile::Windows => self.clean_change(),
                    Profile::Paced => self.start_and_stop(),
                    Profile::Shared => self.change_shares(),
                    Profile::Alone => {}
                }
            }
        }
    }

    async fn poll_for(&mut self, step: Duration) {
        let mut pause = Box::pin(tokio::time::sleep(step));
        poll_fn(|context| {
            for worker in &mut self.workers {
                worker.process.poll(context);
            }
            let clients = self.clients.iter_mut().map(|(_, process, _)| process);
            for process in clients.chain(&mut self.guests) {
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
            25..42 => self.freeze_worker(),
            42..63 => self.wake_all(),
            63..66 => self.freeze_client(),
            66..76 => self.log.rebalance_randomly(),
            76..86 => self.kill_client(),
            86..93 => self.stop_worker(),
            _ => self.log.compact_randomly(),
        }
    }

    /// An event that loses nothing.
    fn clean_change(&mut self) {
        match self.random.u32(..100) {
            0..10 => self.stop_worker(),
            10..50 => {
                self.rebalances += 1;
                self.log.rebalance_randomly();
            }
            50..70 => self.kill_client(),
            _ => self.log.compact_randomly(),
        }
    }

    /// Rarely, so that there is time to judge the rate in between.
    fn start_and_stop(&mut self) {
        match self.random.u32(..100) {
            0..5 => self.stop_worker(),
            5..8 if self.rate_has_kills() => self.kill_worker(),
            8..10 if self.workers.len() < 4 => {
                self.rebalances += 1;
                self.start_worker();
            }
            _ => {}
        }
    }

    /// Sometimes so rarely that shares settle in between, sometimes not.
    fn change_shares(&mut self) {
        match self.random.u32(..100) {
            0..3 => self.stop_worker(),
            3..6 => self.kill_worker(),
            6..10 if self.workers.len() < 6 => {
                self.rebalances += 1;
                self.start_worker();
            }
            10..12 if self.workers.len() > 1 => self.end_worker(),
            12..16 => {
                self.rebalances += 1;
                self.log.rebalance_randomly();
            }
            _ => {}
        }
    }

    /// SIGTERM, without a replacement.
    fn end_worker(&mut self) {
        if let Some(index) = self.any_worker() {
            self.rebalances += 1;
            self.note_change(self.workers[index].id);
            self.workers[index].stop.ask();
        }
    }

    /// A worker started, stopped, or has another share.
    fn note_change(&self, id: ProcessId) {
        let now = self.log.clock().since_boot();
        self.changes.borrow_mut().push((now, id));
        if std::env::var_os("MAILQ_TRACE").is_some() {
            let workers = self.workers.iter();
            let workers = workers.map(|worker| (worker.id, worker.stop.is_asked()));
            println!(
                "{now:?} {id} comes or goes: {:?}",
                workers.collect::<Vec<_>>()
            );
        }
    }

    /// Half of the paced runs have no kills: there the rate must be used.
    fn rate_has_kills(&self) -> bool {
        self.plans[0].rows.is_multiple_of(2)
    }

    fn kill_worker(&mut self) {
        if let Some(index) = self.any_worker() {
            self.kills += 1;
            let worker = self.workers.swap_remove(index);
            self.note_change(worker.id);
            drop(worker.process);
            self.log.kill(worker.id);
            self.start_worker();
        }
    }

    /// SIGTERM; another worker replaces it at once.
    fn stop_worker(&mut self) {
        if let Some(index) = self.any_worker() {
            self.rebalances += 1;
            self.note_change(self.workers[index].id);
            self.workers[index].stop.ask();
            if self.workers.len() < 6 {
                self.start_worker();
            }
        }
    }

    fn freeze_worker(&mut self) {
        if let Some(index) = self.any_worker() {
            let worker = &self.workers[index];
            worker.process.frozen.set(true);
            self.log.set_running(worker.id, false);
        }
    }

    /// SIGSTOP; its leases and messages in flight continue without it.
    fn freeze_client(&mut self) {
        let running = self
            .clients
            .iter()
            .filter(|(_, process, _)| !process.is_finished());
        let running: Vec<_> = running.collect();
        if let Some((id, process, _)) = self.random.choice(running) {
            process.frozen.set(true);
            self.log.set_running(*id, false);
        }
    }

    pub fn wake_all(&mut self) {
        let workers = self
            .workers
            .iter()
            .map(|worker| (worker.id, &worker.process));
        let clients = self.clients.iter().map(|(id, process, _)| (*id, process));
        for (id, process) in workers.chain(clients) {
            process.frozen.set(false);
            self.log.set_running(id, true);
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

    /// Ends all faults: every process runs, every paused campaign is resumed.
    pub async fn settle(&mut self) {
        self.wake_all();
        self.log.set_faults(Faults::none());
        if self.workers.is_empty() {
            self.start_worker();
        }
        self.mailbox
            .is_kind
            .set(self.profile.is_paced() || self.random.bool());
        while self
            .clients
            .iter()
            .any(|(_, process, _)| !process.is_finished())
        {
            self.drive(Duration::from_millis(500), false).await;
        }
        if self.workers.iter().all(|worker| worker.stop.is_asked()) {
            self.start_worker();
        }
        if std::env::var_os("MAILQ_TRACE").is_some() {
            for (_, stored) in self.log.all_appended(Topic::Campaign) {
                let text = stored.record.payload.unwrap_or_default();
                println!("{} {}", stored.offset, String::from_utf8_lossy(&text));
            }
        }
        self.resume_all().await;
    }

    async fn resume_all(&self) {
        let queue = self.log.start_process();
        for plan in &self.plans {
            clients::until_done(&queue, self.log.clock(), &plan.id.campaign, Wish::Resume).await;
        }
    }

    fn is_quiet(&self) -> bool {
        check::remaining_work(self).is_empty() && !self.log.is_anything_in_flight()
    }
}
