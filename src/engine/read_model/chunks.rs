//! Chunks as records: read by one function each, open ones by their offset, and those that wait in a retry tier.

use super::scan::{record_at, scan_in_steps};
use super::view::Strings;
use crate::domain::chunk::{Chunk, ChunkHead};
use crate::domain::ids::Offset;
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::{Queue, QueueError, Stored, chunk};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

/// What the headers of a record say. Errors: what is wrong, and where.
pub fn head(at: TopicPartition, stored: &Stored) -> Result<ChunkHead, String> {
    chunk::head(&stored.record).map_err(|error| unreadable(at, stored.offset, &error.to_string()))
}

/// The whole chunk. Errors: what is wrong, and where.
pub fn decode(at: TopicPartition, stored: &Stored) -> Result<Chunk, String> {
    chunk::decode(&stored.record).map_err(|error| unreadable(at, stored.offset, &error.to_string()))
}

pub fn unreadable(at: TopicPartition, offset: Offset, what: &str) -> String {
    format!("record {offset} of {at} cannot be read: {what}")
}

/// The record of a chunk that is open. Errors: it is not there.
pub async fn open_chunk(
    queue: &dyn Queue,
    at: TopicPartition,
    offset: Offset,
) -> Result<Result<Stored, String>, QueueError> {
    let stored = record_at(queue, at, offset).await?;
    Ok(stored.ok_or_else(|| format!("open chunk {offset} of {at} is not there")))
}

/// A chunk in a tier that nobody has opened.
pub struct WaitingChunk<'s> {
    pub head: ChunkHead,
    pub stored: &'s Stored,
}

/// How far a tier is read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub records: usize,
    pub fetch_bytes: usize,
}

impl Limits {
    pub const NONE: Limits = Limits {
        records: usize::MAX,
        fetch_bytes: 1024 * 1024,
    };

    /// Often the first record is all that is wanted.
    pub const fn peek(records: usize) -> Limits {
        Limits {
            records,
            fetch_bytes: 64 * 1024,
        }
    }
}

/// What came of reading a tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waited {
    /// Some records had been dropped since the strings were read.
    pub is_torn: bool,
    /// When the first chunk beyond the limit is due.
    pub beyond: Option<SystemTime>,
}

/// Shows the chunks that wait in a partition of a tier, in the order of the log, and what cannot be read as errors.
///
/// A move that was made twice has two copies: the second is left out. So is the copy of a move that was decided after
/// the strings were read, because its messages still have the place that they came from.
pub async fn waiting(
    queue: &dyn Queue,
    strings: &Strings,
    at: TopicPartition,
    limits: Limits,
    visit: &mut dyn FnMut(Result<WaitingChunk<'_>, String>) -> ControlFlow<()>,
) -> Result<Waited, QueueError> {
    let Topic::Retry(delay) = at.topic else {
        return Ok(Waited::default());
    };
    let bounds = queue.bounds(at).await?;
    let from = strings.tier_next(at);
    let mut seen: BTreeMap<TopicPartition, u64> = match strings.progress(at) {
        Some(progress) => progress.seen.clone(),
        None => BTreeMap::new(),
    };
    let (mut count, mut beyond) = (0, None);
    let offsets = from..bounds.end;
    let is_torn = scan_in_steps(queue, at, offsets, limits.fetch_bytes, &mut |stored| {
        count += 1;
        let head = match head(at, &stored) {
            Ok(head) => head,
            Err(what) => return visit(Err(what)),
        };
        let Some((source, number)) = head.moved_from else {
            return visit(Err(unreadable(at, stored.offset, "no header `move`")));
        };
        let last = seen.entry(source).or_default();
        if number <= *last {
            return ControlFlow::Continue(());
        }
        *last = number;
        if number > strings.last_move(source) {
            return ControlFlow::Continue(());
        }
        if count > limits.records {
            beyond = Some(due(stored.appended_at, delay));
            return ControlFlow::Break(());
        }
        let stored = &stored;
        visit(Ok(WaitingChunk { head, stored }))
    })
    .await?;
    // Of a tier that nobody has owned yet anything may have been dropped.
    let is_torn = is_torn && strings.progress(at).is_some();
    Ok(Waited { is_torn, beyond })
}

/// When a tier's chunk is due, the middle of what its messages are spread over.
pub fn due(appended_at: SystemTime, delay: Duration) -> SystemTime {
    appended_at.checked_add(delay).unwrap_or(appended_at)
}
