//! Space given back: what nobody needs any more is dropped, once a second and when the worker ends. That is what lies
//! below the committed offset or, where the queue may forget commits, below that of the last checkpoint, since `recover`
//! reads on from there.

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
/// At the end nobody waits longer for it.
const LAST: Duration = Duration::from_secs(2);

type Offsets = BTreeMap<TopicPartition, Offset>;

#[derive(Default)]
pub(super) struct Space {
    /// What lies below these may go.
    wanted: Offsets,
    dropped: Rc<RefCell<Offsets>>,
    /// One at a time, in the background.
    task: Option<JoinHandle<()>>,
}

impl Space {
    pub fn may_go(&mut self, at: TopicPartition, below: Offset) {
        self.wanted.insert(at, below);
    }

    pub fn give_back(&mut self, queue: &Rc<dyn Queue>) {
        if self.task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let left = self.left();
        if !left.is_empty() {
            let (queue, dropped) = (queue.clone(), self.dropped.clone());
            self.task = Some(tokio::task::spawn_local(async move {
                if !drop_all(queue.as_ref(), left, &dropped).await {
                    tokio::time::sleep(PAUSE).await;
                }
            }));
        }
    }

    pub async fn give_back_at_the_end(&mut self, queue: &Rc<dyn Queue>) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        let last = drop_all(queue.as_ref(), self.left(), &self.dropped);
        let _ = tokio::time::timeout(LAST, last).await;
    }

    fn left(&self) -> Offsets {
        let dropped = self.dropped.borrow();
        let below = |at| dropped.get(at).copied().unwrap_or(0);
        let wanted = self.wanted.iter();
        let left = wanted.filter(|(at, offset)| below(at) < **offset);
        left.map(|(at, offset)| (*at, *offset)).collect()
    }
}

/// `false`: not everything was.
async fn drop_all(queue: &dyn Queue, left: Offsets, dropped: &RefCell<Offsets>) -> bool {
    for (at, offset) in left {
        if let Err(error) = queue.drop_below(at, offset).await {
            tracing::warn!(%at, offset, %error, "records could not be deleted");
            return false;
        }
        dropped.borrow_mut().insert(at, offset);
    }
    true
}
