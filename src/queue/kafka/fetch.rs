//! Fetches records of a partition, and tells the end of a log from a cluster that is away.

use super::context::Context;
use super::failure::Explainer;
use super::query::QueryClient;
use super::reader::{FetchRequest, Reader};
use super::settings::KafkaSettings;
use crate::domain::ids::Offset;
use crate::domain::topic::TopicPartition;
use crate::queue::{QueueError, Record, Stored};
use std::cell::OnceCell;
use std::time::Duration;

/// A record below the end of the log arrives within this, or the cluster is away.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of the log is read at a time to find records that were acknowledged without an offset.
const FIND_BYTES: usize = 1 << 20;
/// A record that was just acknowledged is among this many last records.
const RECENT: Offset = 1_000;

pub(super) struct Fetcher {
    settings: KafkaSettings,
    context: Context,
    explainer: Explainer,
    queries: QueryClient,
    /// Connects with the first fetch.
    reader: OnceCell<Reader>,
}

impl Fetcher {
    pub fn new(
        settings: &KafkaSettings,
        context: Context,
        explainer: Explainer,
        queries: QueryClient,
    ) -> Fetcher {
        Fetcher {
            settings: settings.clone(),
            context,
            explainer,
            queries,
            reader: OnceCell::new(),
        }
    }

    fn reader(&self) -> Result<&Reader, QueueError> {
        if let Some(reader) = self.reader.get() {
            return Ok(reader);
        }
        let (context, explainer) = (self.context.clone(), self.explainer.clone());
        let reader = Reader::start(&self.settings, context, explainer)?;
        Ok(self.reader.get_or_init(|| reader))
    }

    /// As [`crate::queue::Queue::fetch`], without waiting for a cluster that is away.
    pub async fn fetch(
        &self,
        at: TopicPartition,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, QueueError> {
        let reader = self.reader()?;
        let mut request = FetchRequest {
            at,
            place: self.queries.locate(at).await?,
            from,
            max_bytes,
        };
        loop {
            if let Some(records) = reader.take(request.clone()).await? {
                return Ok(records);
            }
            // Read again each time, so that a fetch sees what was appended before it.
            let bounds = self.queries.bounds(at).await?;
            if from < bounds.low_watermark && !at.topic.is_compacted() {
                return Err(QueueError::BelowLowWatermark {
                    at,
                    offset: from,
                    low_watermark: bounds.low_watermark,
                });
            }
            request.from = from.max(bounds.low_watermark);
            if request.from >= bounds.end {
                reader.unassign(at);
                return Ok(Vec::new());
            }
            if let Some(records) = reader.read(request.clone(), READ_TIMEOUT).await? {
                return Ok(records);
            }
        }
    }

    /// Looks in the log for records that were acknowledged without an offset. `None`: not all of them are there.
    pub async fn find(
        &self,
        at: TopicPartition,
        from: Option<Offset>,
        records: &[Record],
    ) -> Result<Option<Vec<Offset>>, QueueError> {
        let mut next = match from {
            Some(from) => from,
            None => {
                let bounds = self.queries.bounds(at).await?;
                bounds.end.saturating_sub(RECENT).max(bounds.low_watermark)
            }
        };
        let mut found = Vec::with_capacity(records.len());
        while found.len() < records.len() {
            let stored = match self.fetch(at, next, FIND_BYTES).await {
                // Others have appended meanwhile, and all of it below this offset is done and dropped.
                Err(QueueError::BelowLowWatermark { low_watermark, .. }) => {
                    next = low_watermark;
                    continue;
                }
                stored => stored?,
            };
            let Some(last) = stored.last() else {
                return Ok(None);
            };
            next = last.offset + 1;
            for stored in stored {
                if records.get(found.len()) == Some(&stored.record) {
                    found.push(stored.offset);
                }
            }
        }
        Ok(Some(found))
    }
}
