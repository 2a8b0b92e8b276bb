//! A rate given by flag ends with its worker: by that worker, by another one, or by the next one.

use mailq::clock::Clock;
use mailq::domain::rate::Rate;
use mailq::domain::records::{CampaignRecord, RateInForce};
use mailq::domain::topic::Topic;
use mailq::engine::account::read_ledger;
use mailq::engine::given_rate::GivenRate;
use mailq::engine::read_model::campaign_topic::announce;
use mailq::queue::{Membership, Queue};
use mailq_testkit::memory::{Faults, MemoryLog, VirtualClock};
use std::rc::Rc;
use std::time::Duration;

/// Looks that are more than enough to find a worker gone.
const LOOKS: usize = 10;

struct Workers {
    queue: Rc<dyn Queue>,
    clock: Rc<dyn Clock>,
}

struct Worker {
    rate: GivenRate,
    member: Option<Rc<dyn Membership>>,
}

fn of_settings() -> RateInForce {
    RateInForce {
        rate: Rate::per_minute(30),
        burst: 1,
        host: "h".into(),
        source: "default".into(),
        at: String::new(),
    }
}

impl Workers {
    fn run(test: impl AsyncFnOnce(&Workers)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let clock = VirtualClock::start();
            let log = MemoryLog::new(1, 2, Duration::from_secs(3600), Faults::none());
            let queue = log.start_process();
            queue.create_topics(&[Topic::Campaign]).await.unwrap();
            let workers = Workers {
                queue: Rc::new(queue),
                clock: Rc::new(clock),
            };
            test(&workers).await;
        });
    }

    /// Starts a worker as `send` does. `per_minute`: what it is given by flag.
    async fn start(&self, name: &str, per_minute: Option<u64>) -> Worker {
        let given = per_minute.map(|count| RateInForce {
            rate: Rate::per_minute(count),
            host: name.into(),
            source: "--rate".into(),
            ..of_settings()
        });
        let (queue, clock) = (self.queue.clone(), self.clock.clone());
        let rates = (of_settings(), given.clone());
        let mut rate = GivenRate::new(queue, clock, name.into(), rates);
        rate.begin().await.unwrap();
        let member = self.queue.join(name).await.unwrap();
        let in_force = self.in_force().await.map(|(rate, _)| rate);
        if let Some(given) = given.filter(|given| in_force != Some(given.rate)) {
            let record = CampaignRecord::Rate(given);
            announce(self.queue.as_ref(), &[record]).await.unwrap();
        }
        Worker {
            rate,
            member: Some(member),
        }
    }

    async fn in_force(&self) -> Option<(Rate, String)> {
        let ledger = read_ledger(self.queue.as_ref(), false).await.unwrap();
        let rate = ledger.rate()?;
        Some((rate.rate, rate.host.clone()))
    }

    async fn assert(&self, per_minute: u64, host: &str) {
        let wanted = (Rate::per_minute(per_minute), host.to_string());
        assert_eq!(self.in_force().await, Some(wanted));
    }
}

impl Worker {
    async fn killed(&mut self) {
        self.member.take().unwrap().leave().await;
    }

    async fn ended(&mut self) {
        self.killed().await;
        self.rate.end().await.unwrap();
    }

    async fn looks(&mut self, times: usize) {
        for _ in 0..times {
            self.rate.look().await.unwrap();
        }
    }
}

#[test]
fn a_worker_ends_its_own_rate() {
    Workers::run(async |workers| {
        let mut given = workers.start("h/1", Some(600)).await;
        given.looks(LOOKS).await;
        workers.assert(600, "h/1").await;
        given.ended().await;
        workers.assert(30, "h").await;
    });
}

#[test]
fn the_next_worker_ends_the_rate_of_a_killed_one() {
    Workers::run(async |workers| {
        workers.start("h/1", Some(600)).await.killed().await;
        workers.assert(600, "h/1").await;
        let mut plain = workers.start("h/2", None).await;
        workers.assert(30, "h").await;
        plain.killed().await;
        workers.start("h/3", Some(600)).await.killed().await;
        workers.start("h/4", Some(600)).await;
        workers.assert(600, "h/4").await;
    });
}

#[test]
fn the_same_instance_without_the_flag_ends_its_rate() {
    Workers::run(async |workers| {
        let _other = workers.start("h/other", None).await;
        workers.start("h/a", Some(600)).await.killed().await;
        let mut again = workers.start("h/a", None).await;
        again.looks(LOOKS).await;
        workers.assert(30, "h").await;
    });
}

#[test]
fn a_worker_that_was_given_the_same_rate_takes_it_over() {
    Workers::run(async |workers| {
        let mut first = workers.start("h/1", Some(600)).await;
        let mut second = workers.start("h/2", Some(600)).await;
        let mut plain = workers.start("h/3", None).await;
        workers.assert(600, "h/1").await;
        first.ended().await;
        plain.looks(1).await;
        workers.assert(600, "h/1").await;
        second.looks(1).await;
        workers.assert(600, "h/2").await;
        plain.looks(LOOKS).await;
        workers.assert(600, "h/2").await;
        second.ended().await;
        workers.assert(600, "h/2").await;
        plain.looks(LOOKS).await;
        workers.assert(30, "h").await;
    });
}

#[test]
fn an_older_rate_is_in_force_again_when_a_newer_one_ends() {
    Workers::run(async |workers| {
        let mut first = workers.start("h/1", Some(600)).await;
        let mut second = workers.start("h/2", Some(60)).await;
        second.ended().await;
        first.looks(LOOKS).await;
        workers.assert(600, "h/1").await;
        first.ended().await;
        workers.assert(30, "h").await;
    });
}

#[test]
fn a_newer_rate_is_not_ended_by_the_worker_of_an_older_one() {
    Workers::run(async |workers| {
        let mut first = workers.start("h/1", Some(600)).await;
        let mut second = workers.start("h/2", Some(60)).await;
        first.ended().await;
        second.looks(LOOKS).await;
        workers.assert(60, "h/2").await;
        second.ended().await;
        workers.assert(30, "h").await;
    });
}
