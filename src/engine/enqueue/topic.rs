//! The campaign topic as enqueue sees it: read to its end into a ledger, appended to, both patiently.

use super::error::EnqueueError;
use super::patience::{Patience, tell};
use super::report::EnqueueProgress;
use crate::domain::records::CampaignRecord;
use crate::domain::topic::{Topic, TopicPartition};
use crate::protocol::Ledger;
use crate::queue::{Queue, QueueError, Record};
use bytes::Bytes;

const AT: TopicPartition = TopicPartition::new(Topic::Campaign, 0);
const FETCH_BYTES: usize = 1 << 20;

/// The ledger, and the queue that it is read from.
pub struct CampaignTopic<'a> {
    queue: &'a dyn Queue,
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
        let end = self.queue.bounds(AT).await?.end;
        while self.ledger.position() < end {
            let from = self.ledger.position();
            let records = self.queue.fetch(AT, from, FETCH_BYTES).await?;
            if records.is_empty() {
                // What is left up to the end was compacted away.
                break;
            }
            for stored in records {
                let key = stored.record.key.as_deref().unwrap_or_default();
                let payload = stored.record.payload.as_deref();
                self.ledger.apply(stored.offset, key, payload)?;
            }
        }
        self.ledger.read_to(end);
        Ok(())
    }

    /// Appends until it is acknowledged. A record may land more than once; each kind is read so that it makes no
    /// difference.
    pub async fn append(
        &self,
        record: &CampaignRecord,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<(), EnqueueError> {
        let payload = serde_json::to_vec(record).map_err(|error| QueueError::BadRecord {
            at: AT,
            offset: self.ledger.position(),
            what: error.to_string(),
        })?;
        let record = Record {
            key: Some(record.key()),
            headers: Vec::new(),
            payload: Some(Bytes::from(payload)),
        };
        let mut attempts = self.patience.attempts();
        loop {
            match self.queue.append(AT, vec![record.clone()]).await {
                Ok(_) => return Ok(()),
                Err(error) => {
                    tell(&error, observer);
                    attempts.failed(error).await?;
                }
            }
        }
    }
}
