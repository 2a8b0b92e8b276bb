//! The new string of a partition of send: each run from where the checkpoint, or the entry that left, has it, past what
//! the evidence says is done, to where nobody can have opened anything.

use super::walk::{Base, Ground, Judged, Rebuilt};
use crate::domain::ids::{Offset, Row, RunKey};
use crate::domain::topic::TopicPartition;
use crate::engine::read_model::AccountError;
use crate::engine::read_model::scan::scan_in_steps;
use crate::protocol::ledger::Standing;
use crate::protocol::machine::READ_AHEAD;
use crate::protocol::progress::MAX_OPEN;
use crate::protocol::{OpenChunk, Positions, RunEntry, RunFacts};
use crate::queue::chunk;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

/// Checkpoints are a minute apart; the clocks of hosts may differ.
const SILENCE: Duration = Duration::from_secs(300);

/// A run as it was last known.
struct Last {
    entry: RunEntry,
    open: BTreeMap<Offset, OpenChunk>,
    is_inside: bool,
}

/// A run with the chunks of it that may have been open, in log order.
struct Course {
    key: RunKey,
    last: Last,
    chunks: Vec<Judged>,
}

/// `base`: the checkpoint's string, or nothing, and then runs begin at `low`.
pub async fn rebuild(
    ground: &Ground<'_>,
    at: TopicPartition,
    base: &Base,
) -> Result<Rebuilt, AccountError> {
    let mut rebuilt = Rebuilt::default();
    let mut courses = Vec::new();
    for run in ground.view.ledger.sealed() {
        let key = run.manifest.key;
        let mut last = last_known(run, at, base);
        let mut chunks = Vec::new();
        for (offset, open) in std::mem::take(&mut last.open) {
            match ground.chunk(at, offset).await? {
                Some(opened) => chunks.push(Judged {
                    is_known: true,
                    ..ground.judge(&opened, &open, None, &mut rebuilt)
                }),
                // What cannot be read stays open: the next worker names it.
                None => {
                    rebuilt.progress.open.insert(offset, open);
                }
            }
        }
        let standing = ground.view.ledger.standing(key, ground.now);
        if standing != Standing::Dropped {
            go_on(ground, at, run, &mut last.entry, &mut chunks, &mut rebuilt).await?;
        }
        let is_touched = chunks.iter().any(|chunk| chunk.is_touched);
        if !last.is_inside && !is_touched && (chunks.is_empty() || is_younger(run, base)) {
            continue;
        }
        courses.push(Course { key, last, chunks });
    }
    fit(&mut courses, &mut rebuilt);
    for course in courses {
        finish(course, &mut rebuilt);
    }
    Ok(rebuilt)
}

/// Sealed when the last owner, who writes a checkpoint every minute while he does anything, was silent already.
fn is_younger(run: &RunFacts, base: &Base) -> bool {
    let sealed_at = run.seal.as_ref().and_then(|seal| instant(&seal.sealed_at));
    let silent_since = instant(&base.written_at).and_then(|at| at.checked_add(SILENCE));
    sealed_at
        .zip(silent_since)
        .is_some_and(|(sealed_at, silent_since)| sealed_at > silent_since)
}

fn instant(text: &str) -> Option<SystemTime> {
    text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
}

/// The later of what the string has and of what left it: cursors only grow.
fn last_known(run: &RunFacts, at: TopicPartition, base: &Base) -> Last {
    let key = run.manifest.key;
    let inside = base.progress.runs.get(&key);
    let left = run.left.get(&at).filter(|_| !base.is_start);
    match (inside, left) {
        (inside, Some(left)) if inside.is_none_or(|entry| is_later(left, entry)) => Last {
            entry: RunEntry {
                next: left.next,
                last_row: left.last_row,
                counters: left.counters,
            },
            open: left
                .open
                .iter()
                .map(|(offset, done)| {
                    let done = Positions::parse(done).unwrap_or_default();
                    let open = OpenChunk {
                        run: key,
                        done,
                        ..OpenChunk::default()
                    };
                    (*offset, open)
                })
                .collect(),
            is_inside: false,
        },
        (Some(entry), _) => Last {
            entry: *entry,
            open: base
                .progress
                .open
                .iter()
                .filter(|(_, open)| open.run == key)
                .map(|(offset, open)| (*offset, open.clone()))
                .collect(),
            is_inside: true,
        },
        (None, _) => Last {
            entry: RunEntry {
                next: run.first(at.partition).max(base.low),
                ..RunEntry::default()
            },
            open: BTreeMap::new(),
            is_inside: false,
        },
    }
}

fn is_later(left: &crate::domain::records::Left, entry: &RunEntry) -> bool {
    (left.next, left.counters.left()) > (entry.next, entry.counters.left())
}

/// Reads on while the last owner may have opened what comes: it opens the next chunk of a run when fewer than
/// `READ_AHEAD` of its messages are free, and of those that wait here it may have claimed K.
async fn go_on(
    ground: &Ground<'_>,
    at: TopicPartition,
    run: &RunFacts,
    entry: &mut RunEntry,
    chunks: &mut Vec<Judged>,
    rebuilt: &mut Rebuilt,
) -> Result<(), AccountError> {
    let Some(last) = run.last(at.partition) else {
        return Ok(());
    };
    loop {
        let open: Vec<&Judged> = chunks.iter().filter(|chunk| !chunk.is_complete).collect();
        let waiting: usize = open.iter().map(|chunk| chunk.waiting).sum();
        if open.len() >= MAX_OPEN || waiting >= READ_AHEAD + ground.claims {
            return Ok(());
        }
        let found = next_chunk(ground, at, run, entry.next, last).await?;
        let Some(offset) = found else {
            entry.next = entry.next.max(last + 1);
            return Ok(());
        };
        let Some(opened) = ground.chunk(at, offset).await? else {
            return Ok(());
        };
        entry.next = offset + 1;
        let above: Option<Row> = entry.last_row;
        if above.is_some_and(|above| opened.chunk.head.last_row <= above) {
            continue;
        }
        let judged = ground.judge(&opened, &OpenChunk::default(), above, rebuilt);
        entry.last_row = Some(judged.last_row);
        chunks.push(judged);
    }
}

async fn next_chunk(
    ground: &Ground<'_>,
    at: TopicPartition,
    run: &RunFacts,
    from: Offset,
    last: Offset,
) -> Result<Option<Offset>, AccountError> {
    let (mut found, key) = (None, run.manifest.key);
    scan_in_steps(
        ground.queue,
        at,
        from..last.saturating_add(1),
        1,
        &mut |stored| match chunk::head(&stored.record) {
            Ok(head) if head.key == key && head.fingerprint == run.manifest.fingerprint => {
                found = Some(stored.offset);
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        },
    )
    .await?;
    Ok(found)
}

/// There are four places, and what may not even have been open gets none where they are taken: it is read again later,
/// from there. What was certainly open is kept beyond four, as when paused runs come back: of another reading its
/// messages that are done would be sent again.
fn fit(courses: &mut [Course], rebuilt: &mut Rebuilt) {
    let count = |course: &Course| course.chunks.iter().filter(|c| !c.is_complete).count();
    while courses.iter().map(count).sum::<usize>() + rebuilt.progress.open.len() > MAX_OPEN {
        let may_go = |last: &Judged| !last.is_known && !last.is_touched;
        let longest = courses
            .iter_mut()
            .filter(|course| course.chunks.last().is_some_and(may_go))
            .max_by_key(|course| count(course));
        let Some(course) = longest else { return };
        let Some(chunk) = course.chunks.pop() else {
            return;
        };
        course.last.entry.next = chunk.offset;
        course.last.entry.last_row = chunk.above;
        let key = course.key;
        let doubts = chunk.doubts.into_iter().map(|line| (key, line));
        rebuilt.unclaimed.extend(doubts);
    }
}

fn finish(course: Course, rebuilt: &mut Rebuilt) {
    let Course {
        key,
        mut last,
        chunks,
    } = course;
    if chunks.is_empty() && !last.is_inside {
        return;
    }
    for chunk in chunks {
        last.entry.counters += chunk.counters;
        rebuilt.found_done += chunk.counters.left();
        if !chunk.is_complete {
            let doubts = chunk.doubts.into_iter().map(|line| (key, line));
            rebuilt.doubts.extend(doubts);
            rebuilt.progress.open.insert(chunk.offset, chunk.open);
        }
    }
    rebuilt.progress.runs.insert(key, last.entry);
}
