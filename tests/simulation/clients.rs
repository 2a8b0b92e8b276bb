//! Commands of people and cron while workers run. A client that is killed is started again.

use super::campaign::{self, Plan, project_key};
use mailq::clock::Clock;
use mailq::domain::outcome::Reason;
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::engine::account::AccountError;
use mailq::engine::control::{Wish, control};
use mailq::engine::letters::{LetterFilter, Replayer};
use mailq::queue::{Queue, Record};
use mailq::suppression::Entry;
use mailq_testkit::memory::{MemoryQueue, VirtualClock};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

#[derive(Debug, Clone)]
pub enum Job {
    Enqueue(Plan),
    EnqueueOtherwise(Plan),
    PauseAndResume(String),
    Cancel(String),
    Replay,
    Suppress(String),
}

/// Addresses on the suppression list and since when, by the log's clock.
pub type Suppressed = Rc<RefCell<Vec<(String, Duration)>>>;

pub async fn run(
    job: Job,
    queue: MemoryQueue,
    clock: VirtualClock,
    mut random: fastrand::Rng,
    list: Suppressed,
) {
    let mut pause = move || tokio::time::sleep(Duration::from_millis(random.u64(..20_000)));
    match job {
        Job::Enqueue(plan) => {
            tokio::time::sleep(plan.begins_after).await;
            campaign::enqueue(&queue, clock, &plan).await;
        }
        Job::EnqueueOtherwise(plan) => {
            let mut draws = fastrand::Rng::with_seed(fastrand::u64(..));
            campaign::enqueue_otherwise(&queue, &plan, &mut draws).await;
        }
        Job::PauseAndResume(campaign) => {
            for wish in [Wish::Pause, Wish::Resume] {
                pause().await;
                until_done(&queue, clock, &campaign, wish).await;
            }
        }
        Job::Cancel(campaign) => {
            pause().await;
            until_done(&queue, clock, &campaign, Wish::Cancel).await;
        }
        Job::Replay => {
            pause().await;
            replay(&queue, clock).await;
        }
        Job::Suppress(address) => {
            pause().await;
            suppress(&queue, &address).await;
            list.borrow_mut().push((address, clock.since_boot()));
        }
    }
}

/// Repeats a command until it succeeds, as a person would. Waits for a campaign that does not exist yet.
pub async fn until_done(queue: &dyn Queue, clock: VirtualClock, campaign: &str, wish: Wish) {
    for _ in 0..2_000 {
        match control(queue, campaign, wish, "simulation", clock.now()).await {
            Ok(_) => return,
            Err(AccountError::NoCampaign(_) | AccountError::Queue(_)) => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => panic!("control: {error}"),
        }
    }
    panic!("no campaign `{campaign}`, still");
}

/// Replays dead and in-doubt messages, and repeats that until it succeeds.
pub async fn replay(queue: &dyn Queue, clock: VirtualClock) {
    let replayer = Replayer {
        queue,
        clock: &clock,
        source: "simulation/replay",
        trace_id: "simulation",
    };
    for in_doubt in [false, true] {
        let filter = LetterFilter {
            in_doubt,
            ..LetterFilter::default()
        };
        loop {
            match replayer.replay(&filter, false).await {
                Ok(_) => break,
                Err(AccountError::Queue(_) | AccountError::NoLetter(_)) => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(error) => panic!("replay: {error}"),
            }
        }
    }
}

async fn suppress(queue: &dyn Queue, address: &str) {
    let entry = Entry::hard_bounce(
        address,
        Reason::Manual,
        "asked",
        "none",
        "2026-01-01T00:00:00Z",
    );
    let record = Record {
        key: Some(entry.key(&project_key()).to_string()),
        headers: Vec::new(),
        payload: Some(entry.to_bytes().unwrap().into()),
    };
    campaign::append(queue, TopicPartition::new(Topic::Suppression, 0), record).await;
}
