//! Records that wait to be appended: events, suppressions, moved messages, entries of the campaign topic.

use crate::domain::topic::TopicPartition;
use crate::engine::worker::settings::{Notice, Observer, WorkerError};
use crate::queue::{Queue, QueueError, Record};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// After an append that failed; then doubled, up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub struct Outbox {
    queue: Rc<dyn Queue>,
    observer: Rc<dyn Observer>,
    waiting: BTreeMap<TopicPartition, Vec<Record>>,
}

impl Outbox {
    pub fn new(queue: Rc<dyn Queue>, observer: Rc<dyn Observer>) -> Outbox {
        Outbox {
            queue,
            observer,
            waiting: BTreeMap::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub fn add(&mut self, to: TopicPartition, record: Record) {
        self.waiting.entry(to).or_default().push(record);
    }

    /// Appends everything that waits, with one append for each partition, and tries again until all is durable. It is
    /// harmless that records are repeated: events of one rank and outcome are one event, copies carry their move's
    /// number. Errors: an append that would fail again.
    ///
    /// When the future is dropped, what waited may be durable or not, as after a kill. Nothing that builds on it has
    /// been committed then.
    pub async fn flush(&mut self) -> Result<(), WorkerError> {
        let mut left: Vec<(TopicPartition, Vec<Record>)> =
            std::mem::take(&mut self.waiting).into_iter().collect();
        let mut pause = PAUSE;
        while !left.is_empty() {
            let appends = left
                .iter()
                .map(|(at, records)| self.queue.append(*at, records.clone()));
            let results = futures_util::future::join_all(appends).await;
            let mut again = Vec::new();
            for ((at, records), result) in left.into_iter().zip(results) {
                match result {
                    Ok(_) => {}
                    Err(error @ (QueueError::Unknown(_) | QueueError::Away { .. })) => {
                        self.observer
                            .notice(Notice::QueueTrouble(error.to_string()));
                        again.push((at, records));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            left = again;
            if !left.is_empty() {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        Ok(())
    }
}
