//! Reading what a machine wants: in a task of its own, decoded off the journal's thread.

use crate::domain::chunk::Chunk;
use crate::domain::ids::{Offset, RunKey};
use crate::domain::topic::TopicPartition;
use crate::protocol::machine::{Found, Want};
use crate::queue::{Queue, QueueError, Stored, chunk};
use std::rc::Rc;
use std::time::SystemTime;

/// What came of a read.
pub enum Read {
    /// The contents of an open chunk.
    Contents(Offset, Rc<Chunk>, SystemTime),
    Found(Found),
    /// Nothing there yet.
    Nothing,
}

/// Records are read one at a time: a chunk is large.
const ONE: usize = 1;

/// Reads one partition.
pub struct Reader {
    pub queue: Rc<dyn Queue>,
    pub at: TopicPartition,
    /// Decode on a thread of its own.
    pub threads: bool,
}

impl Reader {
    /// Errors: the queue's; a record that is no chunk is [`QueueError::BadRecord`], named.
    pub async fn read(&self, want: Want) -> Result<Read, QueueError> {
        match want {
            Want::Contents(offset) => self.contents(offset).await,
            Want::Due { from } => self.due(from).await,
            Want::Next {
                run,
                fingerprint,
                from,
                last,
            } => self.next(run, &fingerprint, from, last).await,
        }
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
        let Some(stored) = self.first(from).await? else {
            return Ok(Read::Nothing);
        };
        let (offset, appended_at) = (stored.offset, stored.appended_at);
        let chunk = self.decode(stored).await?;
        let run = chunk.head.key;
        Ok(Read::Found(Found {
            run,
            from,
            next: offset + 1,
            chunk: Some((offset, chunk)),
            appended_at,
        }))
    }

    /// Passes what is of other runs, or of this one with other inputs.
    async fn next(
        &self,
        run: RunKey,
        fingerprint: &str,
        from: Offset,
        last: Offset,
    ) -> Result<Read, QueueError> {
        let mut cursor = from;
        while cursor <= last {
            let Some(stored) = self
                .first(cursor)
                .await?
                .filter(|stored| stored.offset <= last)
            else {
                break;
            };
            let (offset, appended_at) = (stored.offset, stored.appended_at);
            let head = chunk::head(&stored.record)
                .map_err(|error| self.bad(offset, &error.to_string()))?;
            if head.key == run && head.fingerprint == fingerprint {
                let chunk = Some((offset, self.decode(stored).await?));
                return Ok(Read::Found(Found {
                    run,
                    from,
                    next: offset + 1,
                    chunk,
                    appended_at,
                }));
            }
            cursor = offset + 1;
        }
        let appended_at = SystemTime::UNIX_EPOCH;
        Ok(Read::Found(Found {
            run,
            from,
            next: last + 1,
            chunk: None,
            appended_at,
        }))
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
            let task = tokio::task::spawn_blocking(move || chunk::decode(&stored.record));
            task.await
                .map_err(|error| self.bad(offset, &error.to_string()))?
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
