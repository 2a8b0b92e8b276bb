//! Where a partition of a queue that forgets commits is begun: what its commit and checkpoint say, unless it is a tier
//! that was made while workers were at work, of which there is nothing to know.

use crate::domain::records::Checkpoint;
use crate::domain::topic::{Topic, TopicPartition};
use crate::protocol::checkpoint::{Position, Start, anew, start};
use crate::protocol::progress::TextError;
use crate::queue::{Bounds, Queue, QueueError};

#[derive(Debug, thiserror::Error)]
pub enum BeginningError {
    #[error(transparent)]
    Text(#[from] TextError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

const UNUSED: Bounds = Bounds {
    low_watermark: 0,
    end: 0,
};

/// Kafka takes commits from nobody but members while there are any, so who creates a tier then cannot commit its
/// beginning, and its owner does.
pub async fn beginning(
    queue: &dyn Queue,
    at: TopicPartition,
    committed: Option<Position>,
    checkpoint: Option<&Checkpoint>,
) -> Result<Start, BeginningError> {
    let found = start(committed, checkpoint)?;
    let is_doubtful = matches!(found, Start::Lost | Start::Restored(_));
    let is_tier = matches!(at.topic, Topic::Retry(_));
    match is_doubtful && is_tier && queue.bounds(at).await? == UNUSED {
        true => Ok(anew(checkpoint)?),
        false => Ok(found),
    }
}
