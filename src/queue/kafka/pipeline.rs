//! When records of one partition may be sent one batch behind the other, and up to which offset they are known to stand.
//!
//! A broker that knows no sequence number of a producer in a partition accepts any first one. So a broker that has just
//! become the leader may refuse a new producer's first batch, because it has not opened the log yet, and accept the
//! second. librdkafka takes the second acknowledgement for both (`rd_kafka_dr_implicit_ack`) and reports records as
//! delivered that no broker has. Until one record of this producer is acknowledged, a partition therefore gets a single
//! record at a time. Afterwards the broker refuses a gap in the sequence, and librdkafka sends the batches again in
//! order.

use crate::domain::ids::Offset;
use crate::domain::topic::TopicPartition;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::OwnedMutexGuard;

/// Brokers forget a producer's sequence a day after its last record (`producer.id.expiration.ms`).
const REMEMBERED: Duration = Duration::from_secs(3_600);

/// The pipelines of the partitions that this producer has appended to.
#[derive(Default)]
pub(super) struct Pipelines(Mutex<BTreeMap<TopicPartition, Arc<Pipeline>>>);

impl Pipelines {
    pub fn of(&self, at: TopicPartition) -> Arc<Pipeline> {
        let mut pipelines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(pipelines.entry(at).or_default())
    }
}

#[derive(Default)]
pub(super) struct Pipeline {
    /// Held while one record is in flight alone.
    alone: Arc<tokio::sync::Mutex<()>>,
    last: Mutex<Option<(Offset, Instant)>>,
}

impl Pipeline {
    fn last(&self) -> MutexGuard<'_, Option<(Offset, Instant)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last acknowledged offset; `None` where batches may not follow each other yet.
    pub fn open_above(&self) -> Option<Offset> {
        let last = *self.last();
        let (offset, at) = last?;
        (at.elapsed() < REMEMBERED).then_some(offset)
    }

    /// Waits for the turn to send a record alone. Safe to drop: the next one in line gets the turn.
    pub async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.alone).lock_owned().await
    }

    pub fn acknowledged(&self, offset: Offset) {
        *self.last() = Some((offset, Instant::now()));
    }

    /// What was acknowledged last says nothing about the log any more.
    pub fn close(&self) {
        *self.last() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::topic::Topic;

    const AT: TopicPartition = TopicPartition::new(Topic::Send, 0);

    #[test]
    fn a_pipeline_opens_with_the_first_acknowledgement_and_closes_when_brokers_may_forget() {
        let pipelines = Pipelines::default();
        assert_eq!(pipelines.of(AT).open_above(), None);
        pipelines.of(AT).acknowledged(7);
        assert_eq!(pipelines.of(AT).open_above(), Some(7));
        let other = TopicPartition::new(Topic::Send, 1);
        assert_eq!(pipelines.of(other).open_above(), None);
        *pipelines.of(AT).last() = Instant::now().checked_sub(REMEMBERED).map(|at| (7, at));
        assert_eq!(pipelines.of(AT).open_above(), None);
    }
}
