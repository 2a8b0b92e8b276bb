//! The new string of a partition of send: each run from where the checkpoint, or the entry that left, has it, past what
//! the evidence says is done, to where nobody can have opened anything.

use super::judge::{Beginning, JudgedChunk, Rebuilt, Sources};
use crate::domain::ids::{Offset, Row, RunKey};
use crate::domain::topic::TopicPartition;
use crate::engine::read_model::AccountError;
use crate::engine::read_model::chunks::head;
use crate::engine::read_model::scan::scan_in_steps;
use crate::engine::read_model::view::left_open;
use crate::protocol::ledger::RunState;
use crate::protocol::progress::MAX_OPEN;
use crate::protocol::{OpenChunk, RunEntry, RunFacts};
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::time::{Duration, SystemTime};

/// Checkpoints are a minute apart; the clocks of hosts may differ.
const SILENCE: Duration = Duration::from_secs(300);

/// A run as it was last known.
struct LastKnown {
    entry: RunEntry,
    open: BTreeMap<Offset, OpenChunk>,
    is_inside: bool,
}

/// A run, and what was read of it.
struct Course {
    key: RunKey,
    entry: RunEntry,
    /// The checkpoint's string has the run.
    is_inside: bool,
    /// Somebody has opened a chunk of it since, or has one open.
    is_touched: bool,
    /// A complete chunk was read.
    has_complete: bool,
    /// Those that are not complete, in the order of the log. A run may have as many complete ones as it has chunks: of
    /// them only the counts are kept.
    open: Vec<JudgedChunk>,
    found_done: u64,
}

impl Course {
    fn is_read(&self) -> bool {
        self.has_complete || !self.open.is_empty()
    }

    fn add(&mut self, chunk: JudgedChunk) {
        self.has_complete |= chunk.is_complete;
        self.is_touched |= chunk.is_touched;
        self.entry.counters += chunk.counters;
        self.found_done += chunk.counters.left();
        if !chunk.is_complete {
            self.open.push(chunk);
        } else if chunk.is_touched {
            // To read an earlier chunk again would be to read this one again, and send what is done in it.
            for earlier in &mut self.open {
                earlier.must_stay = true;
            }
        }
    }
}

/// `beginning`: the checkpoint's string, or nothing, and then runs begin at the low watermark.
pub async fn rebuild(
    sources: &Sources<'_>,
    at: TopicPartition,
    beginning: &Beginning,
    mut rebuilt: Rebuilt,
) -> Result<Rebuilt, AccountError> {
    let mut courses = Vec::new();
    for run in sources.view.ledger.sealed() {
        let key = run.manifest.key;
        let last = last_known(run, at, beginning)?;
        let mut course = Course {
            key,
            entry: last.entry,
            is_inside: last.is_inside,
            is_touched: false,
            has_complete: false,
            open: Vec::new(),
            found_done: 0,
        };
        for (offset, open) in last.open {
            match sources.chunk(at, offset, &mut rebuilt).await? {
                Some(read) => course.add(JudgedChunk {
                    must_stay: true,
                    ..sources.judge(&read, &open, None, &mut rebuilt)?
                }),
                // What cannot be read stays open: the next worker names it.
                None => {
                    rebuilt.progress.open.insert(offset, open);
                }
            }
        }
        if sources.view.ledger.run_state(key, sources.now) != RunState::Dropped {
            go_on(sources, at, run, &mut course, &mut rebuilt).await?;
        }
        let is_new = !course.is_inside && !course.is_touched;
        if !is_new || (course.is_read() && !is_younger(run, beginning)) {
            courses.push(course);
        }
    }
    fit(&mut courses, &mut rebuilt);
    for course in courses {
        finish(course, &mut rebuilt);
    }
    Ok(rebuilt)
}

/// Sealed when the last owner, who writes a checkpoint every minute while he does anything, was silent already.
fn is_younger(run: &RunFacts, beginning: &Beginning) -> bool {
    let sealed_at = run.seal.as_ref().and_then(|seal| instant(&seal.sealed_at));
    let silent_since = instant(&beginning.written_at).and_then(|at| at.checked_add(SILENCE));
    sealed_at
        .zip(silent_since)
        .is_some_and(|(sealed_at, silent_since)| sealed_at > silent_since)
}

fn instant(text: &str) -> Option<SystemTime> {
    text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
}

/// The later of what the string has and of what left it: cursors only grow.
fn last_known(
    run: &RunFacts,
    at: TopicPartition,
    beginning: &Beginning,
) -> Result<LastKnown, AccountError> {
    let key = run.manifest.key;
    let inside = beginning.progress.runs.get(&key);
    let left = run.left.get(&at).filter(|_| !beginning.is_earliest);
    Ok(match (inside, left) {
        (inside, Some(left)) if inside.is_none_or(|entry| is_later(left, entry)) => LastKnown {
            entry: RunEntry {
                next: left.next,
                last_row: left.last_row,
                counters: left.counters,
            },
            open: left_open(at, left)?,
            is_inside: false,
        },
        (Some(entry), _) => {
            let open = beginning.progress.open.iter();
            let open = open.filter(|(_, open)| open.run == key);
            LastKnown {
                entry: *entry,
                open: open.map(|(offset, open)| (*offset, open.clone())).collect(),
                is_inside: true,
            }
        }
        (None, _) => LastKnown {
            entry: RunEntry {
                next: run.first(at.partition).max(beginning.low_watermark),
                ..RunEntry::default()
            },
            open: BTreeMap::new(),
            is_inside: false,
        },
    })
}

fn is_later(left: &crate::domain::records::LeftEntry, entry: &RunEntry) -> bool {
    (left.next, left.counters.left()) > (entry.next, entry.counters.left())
}

/// Reads on while the last owner may have opened what comes: until as many chunks are open as may be. How many of their
/// messages are free says nothing, because mail that waits for its site is passed by.
async fn go_on(
    sources: &Sources<'_>,
    at: TopicPartition,
    run: &RunFacts,
    course: &mut Course,
    rebuilt: &mut Rebuilt,
) -> Result<(), AccountError> {
    let Some(last) = run.last(at.partition) else {
        return Ok(());
    };
    loop {
        if course.open.len() >= MAX_OPEN {
            return Ok(());
        }
        let offsets = course.entry.next..last.saturating_add(1);
        let Some(offset) = next_chunk(sources, at, run, offsets, rebuilt).await? else {
            course.entry.next = course.entry.next.max(last + 1);
            return Ok(());
        };
        let Some(read) = sources.chunk(at, offset, rebuilt).await? else {
            return Ok(());
        };
        course.entry.next = offset + 1;
        let above: Option<Row> = course.entry.last_row;
        if above.is_some_and(|above| read.chunk.head.last_row <= above) {
            continue;
        }
        let judged = sources.judge(&read, &OpenChunk::default(), above, rebuilt)?;
        course.entry.last_row = Some(judged.last_row);
        course.add(judged);
    }
}

async fn next_chunk(
    sources: &Sources<'_>,
    at: TopicPartition,
    run: &RunFacts,
    offsets: Range<Offset>,
    rebuilt: &mut Rebuilt,
) -> Result<Option<Offset>, AccountError> {
    let (mut found, manifest) = (None, &run.manifest);
    scan_in_steps(sources.queue, at, offsets, 1, &mut |stored| {
        match head(at, &stored) {
            Ok(head) if head.key == manifest.key && head.fingerprint == manifest.fingerprint => {
                found = Some(stored.offset);
                return ControlFlow::Break(());
            }
            Ok(_) => {}
            Err(what) => rebuilt.unreadable.push(what),
        }
        ControlFlow::Continue(())
    })
    .await?;
    Ok(found)
}

/// At most [`MAX_OPEN`] chunks are open. One that may never have been opened gives its place up, and is read again
/// later, from there. One that certainly was open is kept beyond that, as when paused runs come back: were it read again,
/// its messages that are done would be sent again.
fn fit(courses: &mut [Course], rebuilt: &mut Rebuilt) {
    let count = |courses: &[Course]| {
        courses
            .iter()
            .map(|course| course.open.len())
            .sum::<usize>()
    };
    while count(courses) + rebuilt.progress.open.len() > MAX_OPEN {
        let may_go = |last: &JudgedChunk| !last.must_stay && !last.is_touched;
        let longest = courses
            .iter_mut()
            .filter(|course| course.open.last().is_some_and(may_go))
            .max_by_key(|course| course.open.len());
        let Some((course, chunk)) = longest.and_then(|course| {
            let chunk = course.open.pop()?;
            Some((course, chunk))
        }) else {
            return;
        };
        course.entry.next = chunk.offset;
        course.entry.last_row = chunk.above;
        let key = course.key;
        let claimed = chunk.claimed.into_iter().map(|line| (key, line));
        rebuilt.unclaimed.extend(claimed);
    }
}

fn finish(course: Course, rebuilt: &mut Rebuilt) {
    let key = course.key;
    if !course.is_inside && !course.is_read() {
        return;
    }
    rebuilt.found_done += course.found_done;
    for chunk in course.open {
        let claimed = chunk.claimed.into_iter().map(|line| (key, line));
        rebuilt.claimed.extend(claimed);
        rebuilt.progress.open.insert(chunk.offset, chunk.open);
    }
    rebuilt.progress.runs.insert(key, course.entry);
}
