//! Reads a log from one offset to another.

use crate::domain::ids::Offset;
use crate::domain::topic::TopicPartition;
use crate::queue::{Queue, QueueError, Stored};
use std::ops::ControlFlow;

/// Of one fetch; a record may be larger.
const FETCH_BYTES: usize = 1024 * 1024;

/// Shows every record in `from..end` that is still there, in order, until `visit` breaks off. Resolves to whether
/// records at or above `from` had been dropped by then.
pub async fn scan(
    queue: &dyn Queue,
    at: TopicPartition,
    from: Offset,
    end: Offset,
    visit: &mut dyn FnMut(Stored) -> ControlFlow<()>,
) -> Result<bool, QueueError> {
    scan_in_steps(queue, at, from..end, FETCH_BYTES, visit).await
}

/// As [`scan`], in fetches of about so many bytes: small ones where few records are wanted.
pub async fn scan_in_steps(
    queue: &dyn Queue,
    at: TopicPartition,
    offsets: std::ops::Range<Offset>,
    fetch_bytes: usize,
    visit: &mut dyn FnMut(Stored) -> ControlFlow<()>,
) -> Result<bool, QueueError> {
    let (from, end) = (offsets.start, offsets.end);
    let (mut next, mut is_torn) = (from, false);
    while next < end {
        let records = match queue.fetch(at, next, fetch_bytes).await {
            Err(QueueError::BelowLowMark { low, .. }) if low > next => {
                (next, is_torn) = (low, true);
                continue;
            }
            other => other?,
        };
        let Some(last) = records.last() else {
            break;
        };
        next = last.offset + 1;
        for stored in records.into_iter().filter(|stored| stored.offset < end) {
            if visit(stored).is_break() {
                return Ok(is_torn);
            }
        }
    }
    Ok(is_torn)
}

/// The record at an offset, if it is still there.
pub async fn record_at(
    queue: &dyn Queue,
    at: TopicPartition,
    offset: Offset,
) -> Result<Option<Stored>, QueueError> {
    let records = match queue.fetch(at, offset, 1).await {
        Err(QueueError::BelowLowMark { .. }) => return Ok(None),
        other => other?,
    };
    Ok(records.into_iter().find(|stored| stored.offset == offset))
}
