//! Deletes records that nobody needs any more, once a second and when the worker ends: those below the committed offset
//! or, where the queue may forget commits, below the last checkpoint's, because `recover` reads on from there.

use crate::domain::ids::Offset;
use crate::domain::topic::TopicPartition;
use crate::queue::Queue;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// After a failure.
const PAUSE: Duration = Duration::from_secs(30);
/// A worker that ends waits no longer than this for it.
const AT_THE_END: Duration = Duration::from_secs(2);
/// The offset is raised, and what lies below it deleted, this often.
const EVERY: Duration = Duration::from_secs(1);

type Offsets = BTreeMap<TopicPartition, Offset>;

#[derive(Default)]
pub struct Truncation {
    /// What lies below these may be deleted.
    wanted: Offsets,
    done: Rc<RefCell<Offsets>>,
    /// One at a time, in the background.
    task: Option<JoinHandle<()>>,
    last_at: Duration,
}

impl Truncation {
    pub fn allow(&mut self, at: TopicPartition, below: Offset) {
        self.wanted.insert(at, below);
    }

    /// Whether it is time again; a worker that stops does not wait for it.
    pub fn is_due(&mut self, now: Duration, is_stopping: bool) -> bool {
        let is_due = is_stopping || now.saturating_sub(self.last_at) >= EVERY;
        if is_due {
            self.last_at = now;
        }
        is_due
    }

    /// Deletes in the background, unless it still does.
    pub fn start(&mut self, queue: &Rc<dyn Queue>) {
        if self.task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let left = self.left();
        if !left.is_empty() {
            let (queue, done) = (queue.clone(), self.done.clone());
            self.task = Some(tokio::task::spawn_local(async move {
                if !truncate(queue.as_ref(), left, &done).await {
                    tokio::time::sleep(PAUSE).await;
                }
            }));
        }
    }

    pub async fn finish(&mut self, queue: &Rc<dyn Queue>) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        let last = truncate(queue.as_ref(), self.left(), &self.done);
        let _ = tokio::time::timeout(AT_THE_END, last).await;
    }

    fn left(&self) -> Offsets {
        let done = self.done.borrow();
        let below = |at| done.get(at).copied().unwrap_or(0);
        let wanted = self.wanted.iter();
        let left = wanted.filter(|(at, offset)| below(at) < **offset);
        left.map(|(at, offset)| (*at, *offset)).collect()
    }
}

/// `false`: the queue refused, and the rest was not tried.
async fn truncate(queue: &dyn Queue, left: Offsets, done: &RefCell<Offsets>) -> bool {
    for (at, offset) in left {
        if let Err(error) = queue.drop_below(at, offset).await {
            tracing::warn!(%at, offset, %error, "records could not be deleted");
            return false;
        }
        done.borrow_mut().insert(at, offset);
    }
    true
}
