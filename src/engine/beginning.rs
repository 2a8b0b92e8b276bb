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

const UNUSED: Bounds = Bounds { low: 0, end: 0 };

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Record;
    use crate::queue::memory::{MemoryLog, Unkind};
    use std::time::Duration;

    const TIER: TopicPartition = TopicPartition::new(Topic::Retry(Duration::from_secs(60)), 0);
    const SEND: TopicPartition = TopicPartition::new(Topic::Send, 0);

    fn checkpoint(at: TopicPartition, clean: bool) -> Checkpoint {
        Checkpoint {
            at: at.to_string(),
            owner: 4,
            clean,
            offset: 57,
            text: "mq1;o4,w;n57;l8".to_string(),
            claims: 64,
            by: "w".to_string(),
            written_at: String::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_tier_is_begun_anew_only_where_nothing_ever_was() {
        let log = MemoryLog::new(1, 2, Duration::from_secs(15), Unkind::none());
        let queue = log.start_process();
        queue
            .create_topics(&[TIER.topic, SEND.topic])
            .await
            .unwrap();
        let anew = Start::Restored((0, "mq1;o4,w;n0;l8".to_string()));
        for clean in [false, true] {
            let last = checkpoint(TIER, clean);
            let found = beginning(&queue, TIER, None, Some(&last)).await.unwrap();
            assert_eq!(found, anew);
        }
        let found = beginning(&queue, TIER, None, None).await.unwrap();
        assert_eq!(found, Start::Fresh);
        let lost = checkpoint(SEND, false);
        let found = beginning(&queue, SEND, None, Some(&lost)).await.unwrap();
        assert_eq!(found, Start::Lost);

        let record = Record {
            key: None,
            headers: Vec::new(),
            payload: None,
        };
        queue.append(TIER, vec![record]).await.unwrap();
        queue.drop_below(TIER, 1).await.unwrap();
        let lost = checkpoint(TIER, false);
        let found = beginning(&queue, TIER, None, Some(&lost)).await.unwrap();
        assert_eq!(found, Start::Lost);
    }
}
