//! The new string of a partition of a retry tier: one cursor, and the move numbers seen from each source.

use super::walk::{Base, Ground, Judged, Opened, Rebuilt};
use crate::domain::ids::{Offset, RunKey};
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::read_model::AccountError;
use crate::protocol::progress::MAX_OPEN;
use crate::protocol::{OpenChunk, RunEntry};
use std::time::SystemTime;

/// Reads on past what is done, as far as the last owner may have opened what is due.
pub async fn rebuild(
    ground: &Ground<'_>,
    at: TopicPartition,
    base: &Base,
) -> Result<Rebuilt, AccountError> {
    let mut rebuilt = Rebuilt::default();
    rebuilt.progress.seen = base.progress.seen.clone();
    rebuilt.progress.next = base.progress.next.max(base.low);
    for key in base.progress.runs.keys() {
        enter(ground, at, *key, base, &mut rebuilt);
    }
    for (offset, open) in &base.progress.open {
        match ground.chunk(at, *offset).await? {
            Some(opened) => {
                let judged = ground.judge(&opened, open, None, &mut rebuilt);
                take(ground, at, judged, base, &mut rebuilt);
            }
            None => {
                rebuilt.progress.open.insert(*offset, open.clone());
            }
        }
    }
    let end = ground.queue.bounds(at).await?.end;
    while rebuilt.progress.next < end {
        let offset = rebuilt.progress.next;
        let Some(opened) = ground.chunk(at, offset).await? else {
            return Ok(rebuilt);
        };
        let Some((source, number)) = opened.chunk.head.moved_from else {
            return Ok(rebuilt);
        };
        let seen = rebuilt.progress.seen.get(&source).copied();
        if seen.is_some_and(|seen| number <= seen) {
            rebuilt.progress.next = offset + 1;
            continue;
        }
        let judged = ground.judge(&opened, &OpenChunk::default(), None, &mut rebuilt);
        let has_place = judged.is_complete || rebuilt.progress.open.len() < MAX_OPEN;
        if !has_place || !(judged.is_touched || is_due(ground, at, &opened)) {
            return Ok(rebuilt);
        }
        rebuilt.progress.next = offset + 1;
        rebuilt.progress.seen.insert(source, number);
        take(ground, at, judged, base, &mut rebuilt);
    }
    Ok(rebuilt)
}

/// Messages of a tier are spread over their due time; none is due before half of the delay.
fn is_due(ground: &Ground<'_>, at: TopicPartition, opened: &Opened) -> bool {
    let Topic::Retry(delay) = at.topic else {
        return false;
    };
    let earliest: Option<SystemTime> = opened.appended_at.checked_add(delay / 2);
    earliest.is_some_and(|earliest| earliest <= ground.now)
}

fn take(
    ground: &Ground<'_>,
    at: TopicPartition,
    judged: Judged,
    base: &Base,
    rebuilt: &mut Rebuilt,
) {
    let key = judged.open.run;
    let covered_below = enter(ground, at, key, base, rebuilt);
    if judged.offset < covered_below {
        return;
    }
    if let Some(entry) = rebuilt.progress.runs.get_mut(&key) {
        entry.counters += judged.counters;
    }
    rebuilt.found_done += judged.counters.left();
    if !judged.is_complete {
        let doubts = judged.doubts.into_iter().map(|line| (key, line));
        rebuilt.doubts.extend(doubts);
        rebuilt.progress.open.insert(judged.offset, judged.open);
    }
}

/// Puts a run into the string. The entry that left the string counts where it has counted more than the checkpoint;
/// then all of the run below the offset that is given back is in its counters.
fn enter(
    ground: &Ground<'_>,
    at: TopicPartition,
    key: RunKey,
    base: &Base,
    rebuilt: &mut Rebuilt,
) -> Offset {
    let known = base.progress.runs.get(&key).copied().unwrap_or_default();
    let run = ground.view.ledger.run(key);
    let left = run.and_then(|run| run.left.get(&at));
    let later = left.filter(|left| !base.is_start && left.counters.left() > known.counters.left());
    let counters = later.map_or(known.counters, |left| left.counters);
    rebuilt.progress.runs.entry(key).or_insert(RunEntry {
        counters,
        ..RunEntry::default()
    });
    later.map_or(0, |left| left.next)
}
