//! The new string of a partition of a retry tier: one cursor, and the move numbers seen from each source.

use super::judge::{Beginning, JudgedChunk, ReadChunk, Rebuilt, Sources};
use crate::domain::ids::{Offset, RunKey};
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::read_model::AccountError;
use crate::engine::read_model::chunks::unreadable;
use crate::protocol::progress::MAX_OPEN;
use crate::protocol::{OpenChunk, Progress, RunEntry};
use std::time::SystemTime;

/// Reads on past what is done, as far as the last owner may have opened what is due.
pub async fn rebuild(
    sources: &Sources<'_>,
    at: TopicPartition,
    beginning: &Beginning,
    mut rebuilt: Rebuilt,
) -> Result<Rebuilt, AccountError> {
    rebuilt.progress.seen = beginning.progress.seen.clone();
    rebuilt.progress.next = beginning.progress.next.max(beginning.low_watermark);
    for key in beginning.progress.runs.keys() {
        enter(sources, at, *key, beginning, &mut rebuilt);
    }
    for (offset, open) in &beginning.progress.open {
        match sources.chunk(at, *offset, &mut rebuilt).await? {
            Some(read) => {
                let judged = sources.judge(&read, open, None, &mut rebuilt)?;
                take(sources, at, judged, beginning, &mut rebuilt);
            }
            None => {
                rebuilt.progress.open.insert(*offset, open.clone());
            }
        }
    }
    let end = sources.queue.bounds(at).await?.end;
    while rebuilt.progress.next < end {
        let offset = rebuilt.progress.next;
        let Some(read) = sources.chunk(at, offset, &mut rebuilt).await? else {
            return Ok(rebuilt);
        };
        let Some((source, number)) = read.chunk.head.moved_from else {
            let what = unreadable(at, offset, "no header `move`");
            rebuilt.unreadable.push(what);
            return Ok(rebuilt);
        };
        let seen = rebuilt.progress.seen.get(&source).copied();
        if seen.is_some_and(|seen| number <= seen) {
            rebuilt.progress.next = offset + 1;
            continue;
        }
        let judged = sources.judge(&read, &OpenChunk::default(), None, &mut rebuilt)?;
        let has_place = judged.is_complete || rebuilt.progress.open.len() < MAX_OPEN;
        if !has_place || !(judged.is_touched || is_due(sources, at, &read)) {
            return Ok(rebuilt);
        }
        rebuilt.progress.next = offset + 1;
        rebuilt.progress.seen.insert(source, number);
        take(sources, at, judged, beginning, &mut rebuilt);
    }
    Ok(rebuilt)
}

/// Moves that the checkpoint has seen lie below its cursor. Once that is passed, a record with the number of such a move
/// is a copy that landed late: its messages are counted already, by events if the first record is not there any more.
pub fn keep_seen_moves(rebuilt: &mut Progress, checkpoint: &Progress) {
    if rebuilt.next < checkpoint.next {
        return;
    }
    for (source, number) in &checkpoint.seen {
        let seen = rebuilt.seen.entry(*source).or_default();
        *seen = (*seen).max(*number);
    }
}

/// Messages of a tier are spread over their due time; none is due before half of the delay.
fn is_due(sources: &Sources<'_>, at: TopicPartition, read: &ReadChunk) -> bool {
    let Topic::Retry(delay) = at.topic else {
        return false;
    };
    let earliest: Option<SystemTime> = read.appended_at.checked_add(delay / 2);
    earliest.is_some_and(|earliest| earliest <= sources.now)
}

fn take(
    sources: &Sources<'_>,
    at: TopicPartition,
    judged: JudgedChunk,
    beginning: &Beginning,
    rebuilt: &mut Rebuilt,
) {
    let key = judged.open.run;
    let covered_below = enter(sources, at, key, beginning, rebuilt);
    if judged.offset < covered_below {
        return;
    }
    if let Some(entry) = rebuilt.progress.runs.get_mut(&key) {
        entry.counters += judged.counters;
    }
    rebuilt.found_done += judged.counters.left();
    if !judged.is_complete {
        let claimed = judged.claimed.into_iter().map(|line| (key, line));
        rebuilt.claimed.extend(claimed);
        rebuilt.progress.open.insert(judged.offset, judged.open);
    }
}

/// Puts a run into the string. The entry that left the string counts where it has counted more than the checkpoint;
/// then all of the run below the offset that is given back is in its counters.
fn enter(
    sources: &Sources<'_>,
    at: TopicPartition,
    key: RunKey,
    beginning: &Beginning,
    rebuilt: &mut Rebuilt,
) -> Offset {
    let known = beginning
        .progress
        .runs
        .get(&key)
        .copied()
        .unwrap_or_default();
    let run = sources.view.ledger.run(key);
    let left = run.and_then(|run| run.left.get(&at));
    let later =
        left.filter(|left| !beginning.is_earliest && left.counters.left() > known.counters.left());
    let counters = later.map_or(known.counters, |left| left.counters);
    rebuilt.progress.runs.entry(key).or_insert(RunEntry {
        counters,
        ..RunEntry::default()
    });
    later.map_or(0, |left| left.next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_copy_of_a_move_that_was_seen_is_known() {
        let (first, second) = (
            TopicPartition::new(Topic::Send, 1),
            TopicPartition::new(Topic::Send, 2),
        );
        let progress = |next, seen: &[(TopicPartition, u64)]| Progress {
            next,
            seen: seen.iter().copied().collect(),
            ..Progress::default()
        };
        let checkpoint = progress(4, &[(first, 3), (second, 1)]);
        let mut past = progress(4, &[(second, 2)]);
        keep_seen_moves(&mut past, &checkpoint);
        assert_eq!(past.seen, [(first, 3), (second, 2)].into());
        // Records of these moves may still have to be opened.
        let mut before = progress(3, &[]);
        keep_seen_moves(&mut before, &checkpoint);
        assert!(before.seen.is_empty());
    }
}
