//! Where the owner of a partition starts on a queue that forgets commits: where its commit and checkpoint say, or from
//! nothing in a tier that was created while workers were running.

use crate::domain::records::Checkpoint;
use crate::domain::topic::{Topic, TopicPartition};
use crate::protocol::TextError;
use crate::protocol::checkpoint::{Position, Start, start, start_of_empty_log};
use crate::queue::{Bounds, Queue, QueueError};

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Text(#[from] TextError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

const UNUSED: Bounds = Bounds {
    low_watermark: 0,
    end: 0,
};

/// Kafka takes commits from members only while a group has any. A process that creates a tier then cannot commit its
/// start, so a tier that never held a record starts from nothing, whatever is missing.
pub async fn starting_point(
    queue: &dyn Queue,
    at: TopicPartition,
    committed: Option<Position>,
    checkpoint: Option<&Checkpoint>,
) -> Result<Start, StartError> {
    let found = start(committed, checkpoint)?;
    let is_doubtful = matches!(found, Start::Lost | Start::Restored(_));
    let is_tier = matches!(at.topic, Topic::Retry(_));
    match is_doubtful && is_tier && queue.bounds(at).await? == UNUSED {
        true => Ok(start_of_empty_log(checkpoint)?),
        false => Ok(found),
    }
}
