//! Writes a run batch by batch: chunks, then the batch's state, with `--stream` its seal; and looks after each batch
//! whether the run still stands.

use super::error::EnqueueError;
use super::open::rfc3339;
use super::patience::may_pass;
use super::pieces::Pieces;
use super::renderer::{Piece, PieceError};
use super::report::EnqueueProgress;
use super::source::Shape;
use super::topic::CampaignTopic;
use super::writer::Writer;
use crate::clock::Clock;
use crate::domain::ids::Partition;
use crate::domain::records::{BatchState, CampaignRecord, Dropped, Manifest, Seal, Tally};
use crate::queue::{QueueError, Record};
use crate::recipients::RecipientsError;
use ring::digest;
use std::path::Path;

/// A run being written.
pub struct Batches<'a, 'q> {
    pub topic: &'a mut CampaignTopic<'q>,
    pub writer: Writer<'q>,
    pub manifest: &'a Manifest,
    pub shape: Shape,
    pub clock: &'a dyn Clock,
    /// For errors: the name of the recipients file.
    pub recipients: String,
    /// Batches below this are durable; their rows are in `tally`.
    next: u64,
    tally: Tally,
    /// What the first pass left out, for the seals.
    duplicates: u64,
    invalid: u64,
    rows_begun: u64,
    turn: u64,
    /// Of the seals that this process has appended.
    draws: Vec<u64>,
}

/// How a run ended for this process.
pub enum Sealed {
    Mine(Tally),
    /// Another process sealed it first.
    ByAnother(Tally),
}

impl<'a, 'q> Batches<'a, 'q> {
    pub fn new(
        topic: &'a mut CampaignTopic<'q>,
        writer: Writer<'q>,
        manifest: &'a Manifest,
        clock: &'a dyn Clock,
        recipients: String,
        (duplicates, invalid): (u64, u64),
    ) -> Batches<'a, 'q> {
        Batches {
            topic,
            writer,
            manifest,
            shape: Shape::new(manifest.rows, manifest.chunk_rows, manifest.batch_rows),
            clock,
            recipients,
            next: 0,
            tally: Tally::default(),
            duplicates,
            invalid,
            rows_begun: 0,
            turn: turn(manifest),
            draws: Vec::new(),
        }
    }

    /// Batches that the topic says are durable, from the first on; takes their offsets and counts over.
    pub fn take_over(&mut self) -> u64 {
        while let Some(state) = self.durable(self.next) {
            let (last, tally) = (state.last.clone(), state.tally);
            self.writer.raise(&last);
            self.tally = tally;
            self.next += 1;
        }
        self.rows_begun = self.tally.enqueued + self.tally.suppressed;
        self.next
    }

    /// A state whose counts are not those of its rows is not believed: the batch is written again.
    fn durable(&self, batch: u64) -> Option<&BatchState> {
        let facts = self.topic.ledger.run(self.manifest.key)?;
        let rows = self.shape.rows_through(batch);
        facts.batches.get(&batch).filter(|state| {
            batch < self.shape.batches()
                && state.last.len() == self.manifest.first.len()
                && state.tally.enqueued.checked_add(state.tally.suppressed) == Some(rows)
        })
    }

    /// Writes everything that is missing, then the seal. Where the file turns out to have changed, the run is dropped:
    /// what was written of it may be neither the old file's nor the new one's.
    pub async fn write(
        &mut self,
        pieces: Pieces<'_>,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<Sealed, EnqueueError> {
        let written = self.write_all(pieces, observer).await;
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
        mut pieces: Pieces<'_>,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<Sealed, EnqueueError> {
        let mut batch_tally = Tally::default();
        while let Some(made) = self.next_piece(&mut pieces).await? {
            let piece = made.map_err(|error| self.stopped(error))?;
            if self.shape.batch_of_chunk(piece.chunk) > self.next {
                self.end_batch(&mut batch_tally, observer).await?;
                if let Some(sealed) = self.look(observer).await? {
                    return Ok(sealed);
                }
            }
            batch_tally = sum(batch_tally, piece.tally);
            self.put(piece, observer).await?;
        }
        if batch_tally.recipients > 0 {
            self.end_batch(&mut batch_tally, observer).await?;
        }
        self.seal(None, observer).await?;
        match self.look(observer).await? {
            Some(sealed) => Ok(sealed),
            // A seal that is not there after it was acknowledged: its run was dropped and begun again.
            None => Err(self.dropped("it was started again")),
        }
    }

    /// Appends go on while the next piece is waited for.
    async fn next_piece(
        &mut self,
        pieces: &mut Pieces<'_>,
    ) -> Result<Option<Result<Piece, PieceError>>, EnqueueError> {
        loop {
            let landed = tokio::select! {
                biased;
                landed = self.writer.landed(), if !self.writer.is_idle() => landed,
                piece = pieces.next() => return Ok(piece),
            };
            self.checked(landed)?;
        }
    }

    async fn put(
        &mut self,
        piece: Piece,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<(), EnqueueError> {
        let partition = self.partition(piece.chunk);
        for record in piece.records {
            self.put_record(partition, record).await?;
        }
        self.rows_begun += piece.tally.recipients;
        observer(EnqueueProgress::Rows {
            done: self.rows_begun,
            of: self.manifest.rows,
        });
        Ok(())
    }

    async fn put_record(&mut self, at: Partition, record: Record) -> Result<(), EnqueueError> {
        while !self.writer.has_room(at, &record) {
            let landed = self.writer.landed().await;
            self.checked(landed)?;
        }
        self.writer.begin(at, record);
        Ok(())
    }

    /// The chunk's partition: rows decide it, neither fill levels nor the process.
    fn partition(&self, chunk: u64) -> Partition {
        let partitions = (self.manifest.first.len() as u64).max(1);
        let index = (chunk % partitions + self.turn % partitions) % partitions;
        Partition::try_from(index).unwrap_or(0)
    }

    async fn end_batch(
        &mut self,
        batch_tally: &mut Tally,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<(), EnqueueError> {
        let flushed = self.writer.flush().await;
        self.checked(flushed)?;
        let mut tally = sum(self.tally, std::mem::take(batch_tally));
        tally.batches = self.next + 1;
        let rows = self.shape.rows_through(self.next);
        if tally.recipients != rows {
            // The reader gave fewer or more rows than the first pass counted.
            let path = self.recipients.clone();
            return Err(RecipientsError::Changed { path }.into());
        }
        let state = BatchState {
            key: self.manifest.key,
            manifest: self.manifest.draw,
            batch: self.next,
            last: self.writer.last().to_vec(),
            tally,
        };
        self.append(&mut |_| CampaignRecord::Batch(state.clone()), observer)
            .await?;
        let batch = self.next;
        self.tally = tally;
        self.next += 1;
        let of = self.shape.batches();
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
            last: self.writer.last().to_vec(),
            tally: self.whole_tally(),
            sealed_at: rfc3339(self.clock.now()),
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
        self.draws.append(&mut draws);
        Ok(())
    }

    /// With what the first pass left out, so that the law holds.
    fn whole_tally(&self) -> Tally {
        let Tally {
            enqueued,
            suppressed,
            ..
        } = self.tally;
        Tally {
            recipients: enqueued + suppressed + self.duplicates + self.invalid,
            duplicates: self.duplicates,
            invalid: self.invalid,
            ..self.tally
        }
    }

    /// Reads the topic to its end: whether the run is sealed, by whom, and whether it still stands.
    async fn look(
        &mut self,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<Option<Sealed>, EnqueueError> {
        let read = self.topic.read_to_end(observer).await;
        read.map_err(|error| self.away(error))?;
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
        Ok(seal.map(|seal| match self.draws.contains(&seal.draw) {
            true => Sealed::Mine(seal.tally),
            false => Sealed::ByAnother(seal.tally),
        }))
    }

    async fn append(
        &self,
        make: &mut dyn FnMut(u64) -> CampaignRecord,
        observer: &mut dyn FnMut(EnqueueProgress<'_>),
    ) -> Result<(), EnqueueError> {
        let appended = self.topic.append(make, observer).await;
        appended.map_err(|error| self.away(error))
    }

    fn checked(&self, result: Result<(), QueueError>) -> Result<(), EnqueueError> {
        result.map_err(|error| self.away(EnqueueError::Queue(error)))
    }

    fn away(&self, error: EnqueueError) -> EnqueueError {
        match error {
            EnqueueError::Queue(cause) if may_pass(&cause) => EnqueueError::QueueAway {
                batch: self.next,
                safe_batches: self.next,
                cause,
            },
            error => error,
        }
    }

    fn stopped(&self, error: PieceError) -> EnqueueError {
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

/// Where chunk 0 goes, so that small runs do not all begin in partition 0.
fn turn(manifest: &Manifest) -> u64 {
    let mut hash = digest::Context::new(&digest::SHA256);
    let id = &manifest.id;
    for part in [&id.campaign, &id.run, &manifest.fingerprint] {
        hash.update(part.as_bytes());
        hash.update(&[0]);
    }
    let digest = hash.finish();
    let first = digest.as_ref().iter().take(8);
    first.fold(0, |number, byte| number << 8 | u64::from(*byte))
}

pub fn sum(one: Tally, other: Tally) -> Tally {
    Tally {
        recipients: one.recipients + other.recipients,
        enqueued: one.enqueued + other.enqueued,
        duplicates: one.duplicates + other.duplicates,
        invalid: one.invalid + other.invalid,
        suppressed: one.suppressed + other.suppressed,
        batches: one.batches + other.batches,
        chunks: one.chunks + other.chunks,
        bytes_rendered: one.bytes_rendered + other.bytes_rendered,
        bytes_queued: one.bytes_queued + other.bytes_queued,
    }
}
