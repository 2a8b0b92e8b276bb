//! Writes a run batch by batch: the chunks, then the batch's state, and with `--stream` its seal. Checks after each
//! batch that the run is still valid.

use super::campaign_topic::CampaignTopic;
use super::chunk_appender::ChunkAppender;
use super::chunk_parts::ChunkParts;
use super::chunk_rows::BatchLayout;
use super::error::EnqueueError;
use super::queue_retry::is_transient;
use super::renderer::{ChunkPart, ChunkPartError};
use super::report::EnqueueProgress;
use crate::clock::Clock;
use crate::domain::ids::Partition;
use crate::domain::records::{BatchState, CampaignRecord, Dropped, Manifest, Seal, Tally};
use crate::engine::timestamp::timestamp;
use crate::queue::QueueError;
use crate::recipients::RecipientsError;
use std::path::Path;

/// A run being written.
pub struct BatchWriter<'a, 'q> {
    pub topic: &'a mut CampaignTopic<'q>,
    pub appender: ChunkAppender<'q>,
    pub manifest: &'a Manifest,
    pub layout: BatchLayout,
    pub clock: &'a dyn Clock,
    /// Name of the recipients file, for errors.
    pub recipients: String,
    /// The next batch to write. All before it are durable and counted in `tally`.
    next: u64,
    tally: Tally,
    /// Rows that the first pass left out, for the seals.
    left_out: Tally,
    rows_started: u64,
    /// Partition of chunk 0.
    first_partition: u64,
    /// Random numbers of the seals that this process appended.
    own_seals: Vec<u64>,
}

/// Who sealed the run.
pub enum Sealed {
    ByUs(Tally),
    /// Another process, before us.
    ByAnother(Tally),
}

impl<'a, 'q> BatchWriter<'a, 'q> {
    pub fn new(
        topic: &'a mut CampaignTopic<'q>,
        appender: ChunkAppender<'q>,
        manifest: &'a Manifest,
        clock: &'a dyn Clock,
        recipients: String,
        left_out: Tally,
    ) -> BatchWriter<'a, 'q> {
        BatchWriter {
            topic,
            appender,
            manifest,
            layout: BatchLayout::new(manifest.rows, manifest.chunk_rows, manifest.batch_rows),
            clock,
            recipients,
            next: 0,
            tally: Tally::default(),
            left_out,
            rows_started: 0,
            first_partition: manifest.first_partition(),
            own_seals: Vec::new(),
        }
    }

    /// Takes over the batches that are durable already. Returns their number.
    pub fn take_over(&mut self) -> u64 {
        while let Some(state) = self.durable(self.next) {
            let (last, tally) = (state.last.clone(), state.tally);
            self.appender.raise(&last);
            self.tally = tally;
            self.next += 1;
        }
        self.rows_started = self.tally.enqueued + self.tally.suppressed;
        self.next
    }

    /// The state of a batch, if its counts match its rows. Otherwise the batch is written again.
    fn durable(&self, batch: u64) -> Option<&BatchState> {
        let facts = self.topic.ledger.run(self.manifest.key)?;
        let rows = self.layout.rows_through(batch);
        facts.batches.get(&batch).filter(|state| {
            batch < self.layout.batches()
                && state.last.len() == self.manifest.first.len()
                && state.tally.enqueued.checked_add(state.tally.suppressed) == Some(rows)
        })
    }

    /// Writes the missing batches, then the seal. If the recipients file has changed, the run is dropped: its chunks
    /// may belong neither to the old file nor to the new one.
    pub async fn write(
        &mut self,
        parts: ChunkParts<'_>,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<Sealed, EnqueueError> {
        let written = self.write_all(parts, observer).await;
        if let Err(EnqueueError::Recipients(RecipientsError::Changed { .. })) = &written {
            let mut make = |append| {
                CampaignRecord::Dropped(Dropped {
                    key: self.manifest.key,
                    draw: self.manifest.draw,
                    append,
                    why: "the recipients changed while they were read".to_string(),
                })
            };
            self.append(&mut make, observer).await?;
        }
        written
    }

    async fn write_all(
        &mut self,
        mut parts: ChunkParts<'_>,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<Sealed, EnqueueError> {
        let mut batch_tally = Tally::default();
        while let Some(part) = self.next_part(&mut parts).await? {
            let part = part.map_err(|error| self.part_error(error))?;
            if self.layout.batch_of_chunk(part.chunk) > self.next {
                self.end_batch(&mut batch_tally, observer).await?;
                if let Some(sealed) = self.check_run(observer).await? {
                    return Ok(sealed);
                }
            }
            batch_tally += part.tally;
            self.append_part(part, observer).await?;
        }
        if batch_tally.recipients > 0 {
            self.end_batch(&mut batch_tally, observer).await?;
        }
        self.seal(None, observer).await?;
        match self.check_run(observer).await? {
            Some(sealed) => Ok(sealed),
            // The seal was acknowledged. If it is not in the ledger, the run was dropped and started again before it.
            None => Err(self.dropped("it was started again")),
        }
    }

    /// Waits for the next part. Appends proceed in the meantime.
    async fn next_part(
        &mut self,
        parts: &mut ChunkParts<'_>,
    ) -> Result<Option<Result<ChunkPart, ChunkPartError>>, EnqueueError> {
        loop {
            // Both futures are cancel safe.
            let finished = tokio::select! {
                biased;
                finished = self.appender.finish_one(), if !self.appender.is_idle() => finished,
                part = parts.next() => return Ok(part),
            };
            self.checked(finished)?;
        }
    }

    async fn append_part(
        &mut self,
        part: ChunkPart,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<(), EnqueueError> {
        let partition = self.partition(part.chunk)?;
        for record in part.records {
            let appended = self.appender.append(partition, record).await;
            self.checked(appended)?;
        }
        self.rows_started += part.tally.recipients;
        observer(EnqueueProgress::Rows {
            done: self.rows_started,
            of: self.manifest.rows,
        });
        Ok(())
    }

    /// The partition of a chunk. It depends on the chunk's number alone, so every process chooses the same.
    fn partition(&self, chunk: u64) -> Result<Partition, EnqueueError> {
        let partitions = self.appender.partitions();
        let (count, first) = (u64::from(partitions.get()), self.first_partition);
        let index = (chunk % count + first % count) % count;
        Partition::try_from(index).map_err(|_| EnqueueError::Partitions {
            run: self.manifest.id.run.clone(),
            begun: self.manifest.first.len(),
            found: partitions.get(),
        })
    }

    async fn end_batch(
        &mut self,
        batch_tally: &mut Tally,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<(), EnqueueError> {
        let flushed = self.appender.flush().await;
        self.checked(flushed)?;
        let mut tally = self.tally;
        tally += std::mem::take(batch_tally);
        tally.batches = self.next + 1;
        let rows = self.layout.rows_through(self.next);
        if tally.recipients != rows {
            // The second pass read other rows than the first.
            let path = self.recipients.clone();
            return Err(RecipientsError::Changed { path }.into());
        }
        let state = BatchState {
            key: self.manifest.key,
            manifest: self.manifest.draw,
            batch: self.next,
            last: self.appender.last(),
            tally,
        };
        self.append(&mut |_| CampaignRecord::Batch(state.clone()), observer)
            .await?;
        let batch = self.next;
        self.tally = tally;
        self.next += 1;
        let of = self.layout.batches();
        observer(EnqueueProgress::Batch { batch, of });
        if self.manifest.stream && self.next < of {
            self.seal(Some(rows), observer).await?;
        }
        Ok(())
    }

    async fn seal(
        &mut self,
        rows_below: Option<u64>,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<(), EnqueueError> {
        let seal = Seal {
            key: self.manifest.key,
            manifest: self.manifest.draw,
            draw: 0,
            last: self.appender.last(),
            tally: self.whole_tally(),
            sealed_at: timestamp(self.clock.now()),
            rows_below,
        };
        let mut draws = Vec::new();
        let mut make = |draw| {
            draws.push(draw);
            CampaignRecord::Seal(Seal {
                draw,
                ..seal.clone()
            })
        };
        self.append(&mut make, observer).await?;
        self.own_seals.append(&mut draws);
        Ok(())
    }

    /// With the rows that the first pass left out, so that the sum of the counts is right.
    fn whole_tally(&self) -> Tally {
        let mut whole = self.left_out;
        whole += Tally {
            recipients: self.tally.enqueued + self.tally.suppressed,
            ..self.tally
        };
        whole
    }

    /// Reads the topic to its end. Returns the seal, if there is one. Errors: the run was dropped or cancelled.
    async fn check_run(
        &mut self,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<Option<Sealed>, EnqueueError> {
        let read = self.topic.read_to_end(observer).await;
        read.map_err(|error| self.with_progress(error))?;
        let id = &self.manifest.id;
        let Some(facts) = self.topic.ledger.run(self.manifest.key) else {
            return Err(self.dropped("it is unknown to the queue"));
        };
        if facts.manifest.draw != self.manifest.draw {
            return Err(self.dropped("it was started again"));
        }
        if let Some(dropped) = &facts.dropped {
            return Err(self.dropped(&dropped.why));
        }
        if facts.cancel.is_some() && !facts.is_complete() {
            return Err(EnqueueError::CancelledMeanwhile {
                campaign: id.campaign.clone(),
                run: id.run.clone(),
            });
        }
        let seal = facts.seal.as_ref().filter(|_| facts.is_complete());
        Ok(seal.map(|seal| match self.own_seals.contains(&seal.draw) {
            true => Sealed::ByUs(seal.tally),
            false => Sealed::ByAnother(seal.tally),
        }))
    }

    async fn append(
        &self,
        make: &mut dyn FnMut(u64) -> CampaignRecord,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<(), EnqueueError> {
        let appended = self.topic.append(make, observer).await;
        appended.map_err(|error| self.with_progress(error))
    }

    fn checked(&self, result: Result<(), QueueError>) -> Result<(), EnqueueError> {
        result.map_err(|error| self.with_progress(EnqueueError::Queue(error)))
    }

    /// Adds to a transient error how many batches are durable.
    fn with_progress(&self, error: EnqueueError) -> EnqueueError {
        match error {
            EnqueueError::Queue(cause) if is_transient(&cause) => EnqueueError::QueueAway {
                batch: self.next,
                safe_batches: self.next,
                cause,
            },
            error => error,
        }
    }

    fn part_error(&self, error: ChunkPartError) -> EnqueueError {
        let facts = self.topic.ledger.run(self.manifest.key);
        let is_partly_sealed = self.manifest.stream
            && (self.next > 0 || facts.is_some_and(|facts| facts.seal.is_some()));
        error.into_error(Path::new(&self.recipients), is_partly_sealed)
    }

    fn dropped(&self, why: &str) -> EnqueueError {
        EnqueueError::DroppedMeanwhile {
            campaign: self.manifest.id.campaign.clone(),
            run: self.manifest.id.run.clone(),
            why: why.to_string(),
        }
    }
}
