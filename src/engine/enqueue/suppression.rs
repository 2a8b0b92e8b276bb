//! The suppression topic as it is when enqueue begins. Whoever is suppressed later is found when the mail is due.

use super::error::EnqueueError;
use super::job::Suppressed;
use super::patience::{Patience, tell};
use super::report::EnqueueProgress;
use super::topic::follow;
use crate::domain::address::Address;
use crate::domain::project_key::ProjectKey;
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::Queue;
use crate::suppression::{SuppressionKey, SuppressionSet};
use std::sync::Arc;

/// What a chunk's line says of a suppressed row; the topic's record says more.
const REASON: &str = "suppressed";

/// Reads the topic to its end. A record that is none of ours is named in the log and changes nothing.
pub async fn suppressed(
    queue: &dyn Queue,
    key: &ProjectKey,
    patience: Patience,
    observer: &mut dyn FnMut(EnqueueProgress<'_>),
) -> Result<Arc<Suppressed>, EnqueueError> {
    let mut attempts = patience.attempts();
    let set = loop {
        match read(queue).await {
            Ok(set) => break set,
            Err(EnqueueError::Queue(error)) => {
                tell(&error, observer);
                attempts.failed(error).await?;
            }
            Err(error) => return Err(error),
        }
    };
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
    follow(queue, at, 0, &mut |stored| {
        let record = stored.record;
        if let Err(error) = set.apply(record.key.as_deref(), record.payload.as_deref()) {
            tracing::warn!(offset = stored.offset, %error, "suppression record ignored");
        }
        Ok(())
    })
    .await?;
    Ok(set)
}
