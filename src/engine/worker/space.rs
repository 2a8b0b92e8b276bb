//! Space given back: what nobody needs any more is dropped, once a second and when the worker ends. That is what lies
//! below the committed offset or, where the queue may forget commits, below that of the last checkpoint, since `recover`
//! reads on from there.

use crate::domain::ids::Offset;
use crate::domain::topic::TopicPartition;
use crate::queue::Queue;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// After a failure.
const PAUSE: Duration = Duration::from_secs(30);
/// At the end nobody waits longer for it.
const LAST: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Space {
    below: BTreeMap<TopicPartition, Offset>,
    dropped: BTreeMap<TopicPartition, Offset>,
    /// One at a time, in the background.
    task: Option<JoinHandle<()>>,
}

impl Space {
    pub fn may_go(&mut self, at: TopicPartition, below: Offset) {
        self.below.insert(at, below);
    }

    pub fn give_back(&mut self, queue: &Rc<dyn Queue>) {
        if self.task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let wanted = self.wanted();
        if !wanted.is_empty() {
            let queue = queue.clone();
            self.task = Some(tokio::task::spawn_local(async move {
                if !drop_all(queue.as_ref(), wanted).await {
                    tokio::time::sleep(PAUSE).await;
                }
            }));
        }
    }

    pub async fn give_back_at_the_end(&mut self, queue: &Rc<dyn Queue>) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        let last = drop_all(queue.as_ref(), self.wanted());
        let _ = tokio::time::timeout(LAST, last).await;
    }

    fn wanted(&mut self) -> Vec<(TopicPartition, Offset)> {
        let below = std::mem::take(&mut self.below).into_iter();
        let wanted: Vec<_> = below
            .filter(|(at, offset)| self.dropped.get(at).copied().unwrap_or(0) < *offset)
            .collect();
        self.dropped.extend(wanted.iter().copied());
        wanted
    }
}

/// `false`: not everything was.
async fn drop_all(queue: &dyn Queue, wanted: Vec<(TopicPartition, Offset)>) -> bool {
    for (at, offset) in wanted {
        if let Err(error) = queue.drop_below(at, offset).await {
            tracing::warn!(%at, offset, %error, "space could not be given back");
            return false;
        }
    }
    true
}
