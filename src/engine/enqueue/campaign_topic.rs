//! The campaign topic for enqueue: reads it to its end into a ledger, and appends to it. Both retry.

use super::error::EnqueueError;
use super::queue_retry::{QueueTimeout, report_waiting};
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

/// The ledger of a queue's campaign topic.
pub struct CampaignTopic<'a> {
    pub queue: &'a dyn Queue,
    queue_timeout: QueueTimeout,
    pub ledger: Ledger,
}

impl<'a> CampaignTopic<'a> {
    /// The ledger is empty until [`CampaignTopic::read_to_end`].
    pub fn new(queue: &'a dyn Queue, queue_timeout: QueueTimeout) -> CampaignTopic<'a> {
        CampaignTopic {
            queue,
            queue_timeout,
            ledger: Ledger::default(),
        }
    }

    /// Reads all records that were in the log when this was called.
    pub async fn read_to_end(
        &mut self,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<(), EnqueueError> {
        let mut retry = self.queue_timeout.retry();
        loop {
            match self.read().await {
                Err(EnqueueError::Queue(error)) => {
                    report_waiting(&error, observer);
                    retry.after(error).await?;
                }
                done => return done,
            }
        }
    }

    async fn read(&mut self) -> Result<(), EnqueueError> {
        let ledger = &mut self.ledger;
        let from = ledger.position();
        let end = read_records(self.queue, AT, from, &mut |stored| {
            let key = stored.record.key.as_deref().unwrap_or_default();
            let payload = stored.record.payload.as_deref();
            ledger.apply(stored.offset, key, payload)?;
            Ok(())
        })
        .await?;
        self.ledger.read_to(end);
        Ok(())
    }

    /// Appends a record and retries until it is acknowledged. `make` gets a random number for the record's key, a new
    /// one for each attempt: an attempt without a result may be in the log, and it is the first record that counts.
    /// With the same key compaction would remove it.
    pub async fn append(
        &self,
        make: &mut dyn FnMut(u64) -> CampaignRecord,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<(), EnqueueError> {
        let mut retry = self.queue_timeout.retry();
        loop {
            let record = encode(&make(random_number()?))?;
            match self.queue.append(AT, vec![record]).await {
                Ok(_) => return Ok(()),
                Err(error) => {
                    report_waiting(&error, observer);
                    retry.after(error).await?;
                }
            }
        }
    }
}

/// Passes the records of a compacted partition to `take`, from an offset to the end that the log has now. Returns the
/// end.
pub async fn read_records(
    queue: &dyn Queue,
    at: TopicPartition,
    mut from: Offset,
    take: &mut dyn FnMut(Stored) -> Result<(), EnqueueError>,
) -> Result<Offset, EnqueueError> {
    let end = queue.bounds(at).await?.end;
    while from < end {
        let records = queue.fetch(at, from, FETCH_BYTES).await?;
        if records.is_empty() {
            // Compaction removed the records up to the end.
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

/// For the key of one append.
fn random_number() -> Result<u64, EnqueueError> {
    let mut bytes = [0; 8];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| EnqueueError::Random)?;
    Ok(u64::from_le_bytes(bytes))
}
