//! The campaign topic as enqueue sees it: read to its end into a ledger, appended to, both patiently.

use super::error::EnqueueError;
use super::patience::{Patience, tell};
use super::report::EnqueueProgress;
use crate::domain::ids::Offset;
use crate::domain::records::CampaignRecord;
use crate::domain::topic::{Topic, TopicPartition};
use crate::protocol::Ledger;
use crate::queue::{Queue, QueueError, Record, Stored};
use bytes::Bytes;
use ring::rand::{SecureRandom, SystemRandom};

const AT: TopicPartition = TopicPartition::new(Topic::Campaign, 0);
const FETCH_BYTES: usize = 1 << 20;

/// The ledger, and the queue that it is read from.
pub struct CampaignTopic<'a> {
    pub queue: &'a dyn Queue,
    patience: Patience,
    pub ledger: Ledger,
}

impl<'a> CampaignTopic<'a> {
    /// Nothing is read yet.
    pub fn new(queue: &'a dyn Queue, patience: Patience) -> CampaignTopic<'a> {
        CampaignTopic {
            queue,
            patience,
            ledger: Ledger::default(),
        }
    }

    /// Reads everything that had landed when this was called.
    pub async fn read_to_end(
        &mut self,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<(), EnqueueError> {
        let mut attempts = self.patience.attempts();
        loop {
            match self.read().await {
                Err(EnqueueError::Queue(error)) => {
                    tell(&error, observer);
                    attempts.failed(error).await?;
                }
                done => return done,
            }
        }
    }

    async fn read(&mut self) -> Result<(), EnqueueError> {
        let ledger = &mut self.ledger;
        let from = ledger.position();
        let end = follow(self.queue, AT, from, &mut |stored| {
            let key = stored.record.key.as_deref().unwrap_or_default();
            let payload = stored.record.payload.as_deref();
            ledger.apply(stored.offset, key, payload)?;
            Ok(())
        })
        .await?;
        self.ledger.read_to(end);
        Ok(())
    }

    /// Appends until it is acknowledged. A record of unknown result may have landed, so each attempt is given a new
    /// number: one number in two places would let compaction take the first, which counts, away.
    pub async fn append(
        &self,
        make: &mut dyn FnMut(u64) -> CampaignRecord,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<(), EnqueueError> {
        let mut attempts = self.patience.attempts();
        loop {
            let record = encode(&make(draw()?))?;
            match self.queue.append(AT, vec![record]).await {
                Ok(_) => return Ok(()),
                Err(error) => {
                    tell(&error, observer);
                    attempts.failed(error).await?;
                }
            }
        }
    }
}

/// Gives the records of a compacted partition from an offset to its end as it is now, which is the answer.
pub async fn follow(
    queue: &dyn Queue,
    at: TopicPartition,
    mut from: Offset,
    take: &mut dyn FnMut(Stored) -> Result<(), EnqueueError>,
) -> Result<Offset, EnqueueError> {
    let end = queue.bounds(at).await?.end;
    while from < end {
        let records = queue.fetch(at, from, FETCH_BYTES).await?;
        if records.is_empty() {
            // What is left up to the end was compacted away.
            break;
        }
        for stored in records {
            from = stored.offset + 1;
            take(stored)?;
        }
    }
    Ok(end)
}

fn encode(record: &CampaignRecord) -> Result<Record, QueueError> {
    let payload = serde_json::to_vec(record).map_err(|error| QueueError::BadRecord {
        at: AT,
        offset: 0,
        what: error.to_string(),
    })?;
    Ok(Record {
        key: Some(record.key()),
        headers: Vec::new(),
        payload: Some(Bytes::from(payload)),
    })
}

/// A number that no other append has.
fn draw() -> Result<u64, EnqueueError> {
    let mut bytes = [0; 8];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| EnqueueError::Random)?;
    Ok(u64::from_le_bytes(bytes))
}
