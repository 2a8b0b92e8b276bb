//! The suppression topic as it is when enqueue begins. An address that is suppressed later is found by the worker.

use super::campaign_topic::read_records;
use super::error::EnqueueError;
use super::job::SuppressionCheck;
use super::queue_retry::QueueTimeout;
use super::repeat::retried;
use super::report::EnqueueProgress;
use crate::domain::address::Address;
use crate::domain::project_key::ProjectKey;
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::Queue;
use crate::suppression::{SuppressionKey, SuppressionSet};
use std::sync::Arc;

/// The reason that the chunk gives for a suppressed row. The suppression topic has the details.
const REASON: &str = "suppressed";

/// Reads the topic to its end. A record without a valid key is logged and ignored.
pub async fn suppression_check(
    queue: &dyn Queue,
    key: &ProjectKey,
    queue_timeout: QueueTimeout,
    observer: &mut dyn FnMut(EnqueueProgress<'_>),
) -> Result<Arc<SuppressionCheck>, EnqueueError> {
    let set = retried(queue_timeout, observer, async || read(queue).await).await?;
    let key = key.clone();
    Ok(Arc::new(move |address: &Address| {
        let is_suppressed =
            !set.is_empty() && set.contains(SuppressionKey::of(&key, address.as_str()));
        is_suppressed.then(|| REASON.to_string())
    }))
}

async fn read(queue: &dyn Queue) -> Result<SuppressionSet, EnqueueError> {
    let at = TopicPartition::new(Topic::Suppression, 0);
    let mut set = SuppressionSet::default();
    read_records(queue, at, 0, &mut |stored| {
        let record = stored.record;
        if let Err(error) = set.apply(record.key.as_deref(), record.payload.as_deref()) {
            tracing::warn!(offset = stored.offset, %error, "suppression record ignored");
        }
        Ok(())
    })
    .await?;
    Ok(set)
}
