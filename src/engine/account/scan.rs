//! Reads logs: a partition from one offset to another, the campaign topic to its end.

use super::AccountError;
use crate::domain::ids::Offset;
use crate::domain::records::CampaignRecord;
use crate::domain::topic::{Topic, TopicPartition};
use crate::protocol::Ledger;
use crate::queue::{Queue, QueueError, Record, Stored};
use std::ops::ControlFlow;

/// Of one fetch; a record may be larger.
const FETCH_BYTES: usize = 1024 * 1024;

/// The one partition of the campaign topic.
pub const CAMPAIGN: TopicPartition = TopicPartition::new(Topic::Campaign, 0);

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

/// The campaign topic to its end. `with_letters`: also the ids that replays and purges name.
pub async fn read_ledger(queue: &dyn Queue, with_letters: bool) -> Result<Ledger, AccountError> {
    let mut ledger = if with_letters {
        Ledger::with_letters()
    } else {
        Ledger::default()
    };
    catch_up(queue, &mut ledger).await?;
    Ok(ledger)
}

/// Folds in what the campaign topic holds beyond the ledger's position, up to its end as it is now.
pub async fn catch_up(queue: &dyn Queue, ledger: &mut Ledger) -> Result<(), AccountError> {
    let end = queue.bounds(CAMPAIGN).await?.end;
    let (mut wrong, from) = (None, ledger.position());
    let fold = &mut |stored: Stored| {
        let key = stored.record.key.as_deref().unwrap_or_default();
        match ledger.apply(stored.offset, key, stored.record.payload.as_deref()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                wrong = Some(error);
                ControlFlow::Break(())
            }
        }
    };
    scan(queue, CAMPAIGN, from, end, fold).await?;
    if let Some(error) = wrong {
        return Err(error.into());
    }
    ledger.read_to(end);
    Ok(())
}

/// Appends records to the campaign topic, durable when it resolves.
pub async fn announce(queue: &dyn Queue, records: &[CampaignRecord]) -> Result<(), AccountError> {
    let records: Result<Vec<Record>, serde_json::Error> = records
        .iter()
        .map(|record| {
            Ok(Record {
                key: Some(record.key()),
                headers: Vec::new(),
                payload: Some(serde_json::to_vec(record)?.into()),
            })
        })
        .collect();
    queue.append(CAMPAIGN, records?).await?;
    Ok(())
}
