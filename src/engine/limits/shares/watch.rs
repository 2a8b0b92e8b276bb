//! Observes all workers' commits twice a second, where limits are shared out, and keeps this worker's schedule.

use super::{Activity, EFFECTIVE_AFTER, OBSERVE_EVERY, ShareSchedule, Texts};
use crate::clock::Clock;
use crate::domain::topic::{Topic, TopicPartition};
use crate::protocol::Ledger;
use crate::queue::{Queue, QueueError};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;

/// The pause after a read that failed.
const AGAIN: Duration = Duration::from_secs(1);
/// The pause before a read that was asked for early.
const EARLY: Duration = Duration::from_millis(100);

/// Every partition's commit string, and when it was asked for.
struct Observation {
    read_at: Duration,
    texts: Texts,
}

/// Passes observations from the task that reads to the journal.
#[derive(Default)]
struct Latest {
    observation: RefCell<Option<Observation>>,
    /// Asks for the next one early.
    early: Notify,
}

/// This worker's share of every limit, from what it has observed.
pub struct Shares {
    name: String,
    clock: Rc<dyn Clock>,
    latest: Rc<Latest>,
    schedule: ShareSchedule,
    /// Those of the last seconds, and when each was evaluated.
    observations: VecDeque<(Duration, Texts)>,
    /// When the share changes without another observation.
    changes_at: Option<Duration>,
    /// The last observation had no partition of this worker's.
    is_unknown: bool,
}

impl Shares {
    /// `None` where all processes have one bucket. Second: the task that reads, to be run beside the worker; it
    /// notifies `wake` after each observation.
    pub fn open(
        name: &str,
        queue: Rc<dyn Queue>,
        clock: Rc<dyn Clock>,
        wake: Rc<Notify>,
    ) -> Option<(Shares, impl Future<Output = ()> + use<>)> {
        if queue.buckets().is_some() {
            return None;
        }
        let latest = Rc::new(Latest::default());
        let shares = Shares {
            name: name.to_string(),
            clock: clock.clone(),
            latest: latest.clone(),
            schedule: ShareSchedule::new(name),
            observations: VecDeque::new(),
            changes_at: None,
            is_unknown: false,
        };
        Some((shares, watch(queue, clock, latest, wake)))
    }

    /// Evaluates a new observation. Returns the schedule where this worker's share may have changed. The ledger must
    /// have been read to its end. `owns`: a commit says that some partition is this worker's; while none does, the
    /// others may have taken its share, so it has none.
    pub fn follow(&mut self, ledger: &Ledger, owns: bool) -> Option<&ShareSchedule> {
        let now = self.clock.since_boot();
        let observation = self.latest.observation.take();
        // A new worker has a share only when it has been observed for a while, so the next read comes early.
        if owns && std::mem::take(&mut self.is_unknown) {
            self.latest.early.notify_one();
        }
        let is_over = self.changes_at.is_some_and(|at| at <= now);
        if observation.is_none() && owns && !is_over {
            return None;
        }
        if let Some(observation) = observation {
            self.observations
                .retain(|(at, _)| observation.read_at < *at + EFFECTIVE_AFTER);
            let before = self.observations.iter().map(|(_, texts)| texts);
            let activity = Activity::take(&observation.texts, before, ledger, self.clock.now());
            self.is_unknown = !activity.owners.contains(&self.name);
            // Known from now on, not from when it was read: the ledger that it was evaluated with is that of now.
            self.schedule.observe(observation.read_at, now, activity);
            self.observations.push_back((now, observation.texts));
        }
        if !owns {
            self.schedule.forget();
        }
        self.changes_at = self.schedule.changes_at(now);
        Some(&self.schedule)
    }

    /// When what is in force may change without another look.
    pub fn changes_at(&self) -> Option<Duration> {
        self.changes_at
    }
}

async fn watch(queue: Rc<dyn Queue>, clock: Rc<dyn Clock>, latest: Rc<Latest>, wake: Rc<Notify>) {
    loop {
        let read_at = clock.since_boot();
        let texts = read(queue.as_ref()).await;
        let pause = match texts {
            Ok(texts) => {
                latest
                    .observation
                    .replace(Some(Observation { read_at, texts }));
                wake.notify_one();
                (read_at + OBSERVE_EVERY).saturating_sub(clock.since_boot())
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read the other workers' shares of the rate; trying again");
                AGAIN
            }
        };
        tokio::select! {
            biased;
            () = tokio::time::sleep(pause) => {}
            () = latest.early.notified() => tokio::time::sleep(EARLY).await,
        }
    }
}

/// Commit texts of send and of every tier, including tiers that the configuration no longer names.
async fn read(queue: &dyn Queue) -> Result<Texts, QueueError> {
    let topics = queue.topics().await?.into_iter().filter(Topic::is_owned);
    let partitions = queue.partitions();
    let at: Vec<TopicPartition> = topics
        .flat_map(|topic| (0..partitions).map(move |p| TopicPartition::new(topic, p)))
        .collect();
    let committed = queue.committed(&at).await?;
    let known = at.into_iter().zip(committed);
    Ok(known
        .filter_map(|(at, committed)| Some((at, committed?.text)))
        .collect())
}
