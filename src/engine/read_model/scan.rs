//! Reads a log from one offset to another.

use crate::domain::ids::Offset;
use crate::domain::topic::TopicPartition;
use crate::queue::{Queue, QueueError, Stored};
use futures_util::future::join;
use std::ops::{ControlFlow, Range};

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
    let mut piece = Piece::fetch(queue, at, from..end, FETCH_BYTES).await?;
    let mut is_torn = piece.is_torn;
    while let Some(next) = piece.next {
        // A queue fetches on a thread of its own: the next records are on their way while these are visited.
        let fetching = Piece::fetch(queue, at, next..end, FETCH_BYTES);
        let (fetched, flow) = join(fetching, async { piece.show(visit) }).await;
        if flow.is_break() {
            break;
        }
        piece = fetched?;
        is_torn |= piece.is_torn;
    }
    Ok(is_torn)
}

/// As [`scan`], in fetches of about so many bytes and none ahead: where few records are wanted.
pub async fn scan_in_steps(
    queue: &dyn Queue,
    at: TopicPartition,
    offsets: Range<Offset>,
    fetch_bytes: usize,
    visit: &mut dyn FnMut(Stored) -> ControlFlow<()>,
) -> Result<bool, QueueError> {
    let mut piece = Piece::fetch(queue, at, offsets.clone(), fetch_bytes).await?;
    let mut is_torn = piece.is_torn;
    while let Some(next) = piece.next {
        if piece.show(visit).is_break() {
            break;
        }
        piece = Piece::fetch(queue, at, next..offsets.end, fetch_bytes).await?;
        is_torn |= piece.is_torn;
    }
    Ok(is_torn)
}

/// Some records of a log.
struct Piece {
    records: Vec<Stored>,
    /// Where to read on; `None`: there are no records.
    next: Option<Offset>,
    is_torn: bool,
}

impl Piece {
    async fn fetch(
        queue: &dyn Queue,
        at: TopicPartition,
        offsets: Range<Offset>,
        bytes: usize,
    ) -> Result<Piece, QueueError> {
        let Range {
            start: mut from,
            end,
        } = offsets;
        let (mut records, mut is_torn) = (Vec::new(), false);
        while from < end {
            match queue.fetch(at, from, bytes).await {
                Err(QueueError::BelowLowWatermark { low_watermark, .. })
                    if low_watermark > from =>
                {
                    (from, is_torn) = (low_watermark, true);
                }
                fetched => {
                    records = fetched?;
                    break;
                }
            }
        }
        records.retain(|stored| stored.offset < end);
        Ok(Piece {
            next: records.last().map(|last| last.offset + 1),
            records,
            is_torn,
        })
    }

    fn show(self, visit: &mut dyn FnMut(Stored) -> ControlFlow<()>) -> ControlFlow<()> {
        self.records.into_iter().try_for_each(visit)
    }
}

/// The record at an offset, if it is still there.
pub async fn record_at(
    queue: &dyn Queue,
    at: TopicPartition,
    offset: Offset,
) -> Result<Option<Stored>, QueueError> {
    let records = match queue.fetch(at, offset, 1).await {
        Err(QueueError::BelowLowWatermark { .. }) => return Ok(None),
        other => other?,
    };
    Ok(records.into_iter().find(|stored| stored.offset == offset))
}
