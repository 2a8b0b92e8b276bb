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

/// Errors: the queue's; a record that is no chunk is [`QueueError::BadRecord`], named.
pub async fn read(
    queue: &dyn Queue,
    at: TopicPartition,
    want: Want,
    threads: bool,
) -> Result<Read, QueueError> {
    match want {
        Want::Contents(offset) => {
            let stored = first(queue, at, offset)
                .await?
                .filter(|stored| stored.offset == offset);
            let stored = stored.ok_or_else(|| bad(at, offset, "it is gone"))?;
            let appended_at = stored.appended_at;
            Ok(Read::Contents(
                offset,
                decode(at, stored, threads).await?,
                appended_at,
            ))
        }
        Want::Due { from } => {
            let Some(stored) = first(queue, at, from).await? else {
                return Ok(Read::Nothing);
            };
            let (offset, appended_at) = (stored.offset, stored.appended_at);
            let chunk = decode(at, stored, threads).await?;
            let run = chunk.head.key;
            Ok(Read::Found(Found {
                run,
                from,
                next: offset + 1,
                chunk: Some((offset, chunk)),
                appended_at,
            }))
        }
        Want::Next {
            run,
            fingerprint,
            from,
            last,
        } => next(queue, at, run, &fingerprint, from, last, threads).await,
    }
}

/// Passes what is of other runs, or of this one with other inputs.
async fn next(
    queue: &dyn Queue,
    at: TopicPartition,
    run: RunKey,
    fingerprint: &str,
    from: Offset,
    last: Offset,
    threads: bool,
) -> Result<Read, QueueError> {
    let mut cursor = from;
    let passed = |appended_at| Found {
        run,
        from,
        next: last + 1,
        chunk: None,
        appended_at,
    };
    while cursor <= last {
        let Some(stored) = first(queue, at, cursor)
            .await?
            .filter(|stored| stored.offset <= last)
        else {
            break;
        };
        let (offset, appended_at) = (stored.offset, stored.appended_at);
        let head =
            chunk::head(&stored.record).map_err(|error| bad(at, offset, &error.to_string()))?;
        if head.key == run && head.fingerprint == fingerprint {
            let chunk = decode(at, stored, threads).await?;
            return Ok(Read::Found(Found {
                run,
                from,
                next: offset + 1,
                chunk: Some((offset, chunk)),
                appended_at,
            }));
        }
        cursor = offset + 1;
    }
    Ok(Read::Found(passed(SystemTime::UNIX_EPOCH)))
}

async fn first(
    queue: &dyn Queue,
    at: TopicPartition,
    from: Offset,
) -> Result<Option<Stored>, QueueError> {
    Ok(queue.fetch(at, from, ONE).await?.into_iter().next())
}

async fn decode(
    at: TopicPartition,
    stored: Stored,
    threads: bool,
) -> Result<Rc<Chunk>, QueueError> {
    let offset = stored.offset;
    let decoded = if threads {
        let task = tokio::task::spawn_blocking(move || chunk::decode(&stored.record));
        task.await
            .map_err(|error| bad(at, offset, &error.to_string()))?
    } else {
        chunk::decode(&stored.record)
    };
    decoded
        .map(Rc::new)
        .map_err(|error| bad(at, offset, &error.to_string()))
}

fn bad(at: TopicPartition, offset: Offset, what: &str) -> QueueError {
    QueueError::BadRecord {
        at,
        offset,
        what: what.to_string(),
    }
}
