//! Reads what a machine wants, in a task of its own, and decodes it off the journal's thread.

use crate::domain::chunk::Chunk;
use crate::domain::ids::{Offset, RunKey};
use crate::domain::topic::TopicPartition;
use crate::protocol::Progress;
use crate::protocol::machine::{Found, Want};
use crate::queue::{Queue, QueueError, Stored, chunk};
use crate::threads::{self, ThreadError};
use std::rc::Rc;
use std::time::SystemTime;

/// The result of a read.
pub enum Read {
    /// The contents of an open chunk.
    Contents(Offset, Rc<Chunk>, SystemTime),
    /// One chunk of a run, or the next ones of a tier.
    Found(Vec<Found>),
    /// No record there yet.
    Nothing,
}

/// Bytes of a fetch: one record at least, and a chunk is large, so one at a time.
const ONE: usize = 1;
/// The same from a tier, whose chunks may have a single message each.
const TIER_BYTES: usize = 64 * 1024;
/// Chunks of a tier that are read at once, because more of them may be due than there are cycles.
const TIER_CHUNKS: usize = 32;

/// Reads one partition.
pub struct Reader {
    pub queue: Rc<dyn Queue>,
    pub at: TopicPartition,
    /// The owner's epoch for which it is read.
    pub epoch: u64,
    /// Decode on a thread of its own.
    pub threads: bool,
}

impl Reader {
    /// Errors: the queue's; a record that is no chunk is [`QueueError::BadRecord`], named.
    /// [`QueueError::BelowLowWatermark`] only while the partition is still owned: a later owner drops what it has done.
    pub async fn read(&self, want: Want) -> Result<Read, QueueError> {
        let read = match want {
            Want::Contents(offset) => self.contents(offset).await,
            Want::NextOfTier { from } => self.due(from).await,
            Want::Next {
                run,
                fingerprint,
                from,
                last,
            } => self.next(run, &fingerprint, from, last).await,
        };
        match read {
            Err(QueueError::BelowLowWatermark { .. }) if !self.is_still_owned().await? => {
                Ok(Read::Nothing)
            }
            read => read,
        }
    }

    /// The last commit is of this epoch. A later owner commits its own epoch before it deletes records.
    async fn is_still_owned(&self) -> Result<bool, QueueError> {
        let committed = self.queue.committed(&[self.at]).await?;
        let last = committed.into_iter().flatten().next();
        let epoch = last.map(|last| Progress::epoch_of(&last.text));
        Ok(epoch == Some(Ok(Some(self.epoch))))
    }

    async fn contents(&self, offset: Offset) -> Result<Read, QueueError> {
        let stored = self
            .first(offset)
            .await?
            .filter(|stored| stored.offset == offset);
        let stored = stored.ok_or_else(|| self.bad(offset, "it is gone"))?;
        let appended_at = stored.appended_at;
        Ok(Read::Contents(
            offset,
            self.decode(stored).await?,
            appended_at,
        ))
    }

    async fn due(&self, from: Offset) -> Result<Read, QueueError> {
        let stored = self.queue.fetch(self.at, from, TIER_BYTES).await?;
        let mut found = Vec::new();
        let mut from = from;
        for stored in stored.into_iter().take(TIER_CHUNKS) {
            let next = stored.offset + 1;
            found.push(self.found(from, stored).await?);
            from = next;
        }
        match found.is_empty() {
            true => Ok(Read::Nothing),
            false => Ok(Read::Found(found)),
        }
    }

    /// Skips records of other runs, and those of this run with other inputs. The record at `last` is of this run,
    /// because its seal names it.
    async fn next(
        &self,
        run: RunKey,
        fingerprint: &str,
        from: Offset,
        last: Offset,
    ) -> Result<Read, QueueError> {
        let mut cursor = from;
        loop {
            let stored = self.first(cursor).await?;
            let Some(stored) = stored.filter(|stored| stored.offset <= last) else {
                // Without it the run would seem to end here.
                return Err(self.bad(
                    last,
                    &format!("the seal of run {run} names it, and it is gone"),
                ));
            };
            let head = chunk::head(&stored.record)
                .map_err(|error| self.bad(stored.offset, &error.to_string()))?;
            if head.key == run && head.fingerprint == fingerprint {
                return Ok(Read::Found(vec![self.found(from, stored).await?]));
            }
            cursor = stored.offset + 1;
        }
    }

    async fn found(&self, from: Offset, stored: Stored) -> Result<Found, QueueError> {
        let (offset, appended_at) = (stored.offset, stored.appended_at);
        Ok(Found {
            from,
            offset,
            chunk: self.decode(stored).await?,
            appended_at,
        })
    }

    async fn first(&self, from: Offset) -> Result<Option<Stored>, QueueError> {
        Ok(self
            .queue
            .fetch(self.at, from, ONE)
            .await?
            .into_iter()
            .next())
    }

    async fn decode(&self, stored: Stored) -> Result<Rc<Chunk>, QueueError> {
        let offset = stored.offset;
        let decoded = if self.threads {
            let decoding = threads::run(move || chunk::decode(&stored.record));
            decoding.await.map_err(|error| match error {
                ThreadError::NotStarted(why) => QueueError::NoThread(why.to_string()),
                ThreadError::Ended => self.bad(offset, &error.to_string()),
            })?
        } else {
            chunk::decode(&stored.record)
        };
        decoded
            .map(Rc::new)
            .map_err(|error| self.bad(offset, &error.to_string()))
    }

    fn bad(&self, offset: Offset, what: &str) -> QueueError {
        QueueError::BadRecord {
            at: self.at,
            offset,
            what: what.to_string(),
        }
    }
}
