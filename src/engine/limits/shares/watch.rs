//! Looks at all workers' progress every few seconds, where limits are shared out, and keeps what it makes of it.

use super::{Census, LOOK_EVERY, Term, Texts, VIEW_LASTS};
use crate::clock::Clock;
use crate::domain::topic::{Topic, TopicPartition};
use crate::protocol::Ledger;
use crate::queue::{Queue, QueueError};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;

/// After a look that failed the next comes this soon.
const AGAIN: Duration = Duration::from_secs(1);
/// One that is asked for early comes after this.
const EARLY: Duration = Duration::from_millis(100);

/// Every partition's commit string, and when it was asked for.
struct Look {
    read_at: Duration,
    texts: Texts,
}

/// What the looking task and the journal have in common.
#[derive(Default)]
struct Desk {
    look: RefCell<Option<Look>>,
    early: Notify,
}

/// This worker's part of what is shared, as far as it has looked.
pub struct Shares {
    name: String,
    clock: Rc<dyn Clock>,
    desk: Rc<Desk>,
    term: Term,
    /// Of the last seconds, and when each was judged.
    looks: VecDeque<(Duration, Texts)>,
    /// When what is in force changes without another look.
    changes_at: Option<Duration>,
    /// The last look named no partition of this worker's.
    is_unknown: bool,
}

impl Shares {
    /// `None` where all processes have one bucket. Second: the task that looks, to be run beside the worker; it notifies
    /// `wake` after each look.
    pub fn open(
        name: &str,
        queue: Rc<dyn Queue>,
        clock: Rc<dyn Clock>,
        wake: Rc<Notify>,
    ) -> Option<(Shares, impl Future<Output = ()> + use<>)> {
        if queue.buckets().is_some() {
            return None;
        }
        let desk = Rc::new(Desk::default());
        let shares = Shares {
            name: name.to_string(),
            clock: clock.clone(),
            desk: desk.clone(),
            term: Term::new(name),
            looks: VecDeque::new(),
            changes_at: None,
            is_unknown: false,
        };
        Some((shares, watch(queue, clock, desk, wake)))
    }

    /// Judges a new look. What is in force now, where that may have changed. `owns`: a commit says that some partition
    /// is this worker's. While none does, others may go by that, and this worker knows nothing.
    pub fn follow(&mut self, ledger: &Ledger, owns: bool) -> Option<&Term> {
        let now = self.clock.since_boot();
        let look = self.desk.look.take();
        // New here: the sooner a view has this worker, the sooner it has a share.
        if owns && std::mem::take(&mut self.is_unknown) {
            self.desk.early.notify_one();
        }
        let is_over = self.changes_at.is_some_and(|at| at <= now);
        if look.is_none() && owns && !is_over {
            return None;
        }
        if let Some(look) = look {
            self.looks.retain(|(at, _)| look.read_at < *at + VIEW_LASTS);
            let before = self.looks.iter().map(|(_, texts)| texts);
            let census = Census::take(&look.texts, before, ledger, self.clock.now());
            self.is_unknown = !census.owners.contains(&self.name);
            // The ledger is that of now.
            self.term.see(look.read_at, now, census);
            self.looks.push_back((now, look.texts));
        }
        if !owns {
            self.term.forget();
        }
        self.changes_at = self.term.changes_at(now);
        Some(&self.term)
    }

    /// When what is in force may change without another look.
    pub fn changes_at(&self) -> Option<Duration> {
        self.changes_at
    }
}

async fn watch(queue: Rc<dyn Queue>, clock: Rc<dyn Clock>, desk: Rc<Desk>, wake: Rc<Notify>) {
    loop {
        let read_at = clock.since_boot();
        let texts = read(queue.as_ref()).await;
        let pause = match texts {
            Ok(texts) => {
                desk.look.replace(Some(Look { read_at, texts }));
                wake.notify_one();
                (read_at + LOOK_EVERY).saturating_sub(clock.since_boot())
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read the other workers' shares of the rate; trying again");
                AGAIN
            }
        };
        tokio::select! {
            biased;
            () = tokio::time::sleep(pause) => {}
            () = desk.early.notified() => tokio::time::sleep(EARLY).await,
        }
    }
}

/// Commit strings of send and of every tier, those included that the configuration no longer names.
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
