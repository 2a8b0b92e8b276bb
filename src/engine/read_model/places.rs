//! Where messages are that are still queued: in chunks that nobody has opened, and in open ones where the sets do not
//! say done. One walk, against one view: what later commits have changed is left out.

use super::chunks::{Limits, decode, head, open_chunk, waiting};
use super::error::AccountError;
use super::scan::scan;
use super::view::{Cursor, View};
use crate::domain::chunk::{Chunk, ChunkHead, MessageLine};
use crate::domain::ids::{Offset, Row, RunKey};
use crate::domain::topic::{Topic, TopicPartition};
use crate::protocol::ledger::RunState;
use crate::protocol::{OpenChunk, Positions, RunFacts};
use crate::queue::{Queue, Stored};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::SystemTime;

/// A message that is queued.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The run that it counts for.
    pub run: RunKey,
    pub row: Row,
    pub kind: PlaceKind,
    /// Named by a move under way: it may be where it goes already.
    pub is_moving: bool,
    /// In a chunk of send that nobody has opened, and never sent before.
    pub is_unread: bool,
    /// Where the chunk had to be read: lines were asked for, rows cannot be told from headers, or it has a move.
    pub line: Option<&'a MessageLine>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlaceKind {
    /// In send.
    Pending,
    /// In a tier.
    Retrying,
}

/// What a walk comes upon.
pub trait Visitor {
    fn place(&mut self, place: Place<'_>);
    /// A record that cannot be read or is not there.
    fn trouble(&mut self, what: String);
}

/// What to walk over.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Only messages that count for these runs.
    pub only: Option<&'a [RunKey]>,
    /// Read the lines of every chunk, not only where rows cannot be told from the headers.
    pub with_lines: bool,
    /// Also chunks that cancelled runs have in send.
    pub with_cancelled: bool,
    pub now: SystemTime,
}

/// Shows every place of every run. Resolves to whether some records had been dropped since the view was read.
pub async fn walk(
    queue: &dyn Queue,
    view: &View,
    scope: Scope<'_>,
    visitor: &mut dyn Visitor,
) -> Result<bool, AccountError> {
    let mut walk = Walk {
        view,
        scope,
        visitor,
        is_torn: false,
    };
    for at in view.strings.at.keys() {
        walk.open(queue, *at).await?;
        match at.topic {
            Topic::Send => walk.send(queue, *at).await?,
            _ => walk.tier(queue, *at).await?,
        }
    }
    Ok(walk.is_torn)
}

struct Walk<'a> {
    view: &'a View,
    scope: Scope<'a>,
    visitor: &'a mut dyn Visitor,
    is_torn: bool,
}

/// A run that is being read in a partition of send.
struct Reading<'a> {
    run: &'a RunFacts,
    cursor: Cursor,
    last: Offset,
}

impl Walk<'_> {
    fn is_asked(&self, key: RunKey) -> bool {
        let ledger = &self.view.ledger;
        let state = ledger.run_state(key, self.scope.now);
        state != RunState::Dropped
            && (state != RunState::Cancelled || self.scope.with_cancelled)
            && self
                .scope
                .only
                .is_none_or(|only| only.contains(&ledger.counts_for(key)))
    }

    async fn open(&mut self, queue: &dyn Queue, at: TopicPartition) -> Result<(), AccountError> {
        let progress = self.view.strings.progress(at);
        for (offset, open) in progress.into_iter().flat_map(|progress| &progress.open) {
            if self.is_asked(open.run) {
                self.open_chunk(queue, at, *offset, open).await?;
            }
        }
        Ok(())
    }

    async fn open_chunk(
        &mut self,
        queue: &dyn Queue,
        at: TopicPartition,
        offset: Offset,
        open: &OpenChunk,
    ) -> Result<(), AccountError> {
        match open_chunk(queue, at, offset).await? {
            Ok(stored) => {
                let known = Known {
                    done: &open.done,
                    moving: &open.moving,
                    ..Known::NOTHING
                };
                self.chunk(at, &stored, known);
            }
            Err(what) => {
                self.is_torn |= queue.bounds(at).await?.low_watermark > offset;
                self.visitor.trouble(what);
            }
        }
        Ok(())
    }

    async fn send(&mut self, queue: &dyn Queue, at: TopicPartition) -> Result<(), AccountError> {
        let view = self.view;
        let mut reading: BTreeMap<RunKey, Reading> = BTreeMap::new();
        let runs = view.ledger.runs();
        let asked: Vec<&RunFacts> = runs.filter(|run| self.is_asked(run.manifest.key)).collect();
        for run in asked {
            let cursor = view.strings.cursor(run, at)?;
            for (offset, open) in &cursor.left_open {
                self.open_chunk(queue, at, *offset, open).await?;
            }
            if let Some(last) = run.last(at.partition).filter(|last| cursor.next <= *last) {
                reading.insert(run.manifest.key, Reading { run, cursor, last });
            }
        }
        let from = reading.values().map(|run| run.cursor.next).min();
        let Some((from, last)) = from.zip(reading.values().map(|run| run.last).max()) else {
            return Ok(());
        };
        let is_begun = reading.values().any(|run| run.cursor.last_row.is_some());
        let is_torn = scan(queue, at, from, last.saturating_add(1), &mut |stored| {
            self.unread(at, &stored, &mut reading);
            ControlFlow::Continue(())
        })
        .await?;
        // Before a run's first chunk anything may have been dropped.
        self.is_torn |= is_torn && is_begun;
        Ok(())
    }

    /// A record of send counts where its run's cursor has not come to it, and its rows are above all before it.
    fn unread(
        &mut self,
        at: TopicPartition,
        stored: &Stored,
        reading: &mut BTreeMap<RunKey, Reading>,
    ) {
        let head = match head(at, stored) {
            Ok(head) => head,
            Err(what) => return self.visitor.trouble(what),
        };
        let Some(run) = reading.get_mut(&head.key) else {
            return;
        };
        let is_within = (run.cursor.next..=run.last).contains(&stored.offset);
        if !is_within || run.run.manifest.fingerprint != head.fingerprint {
            return;
        }
        let above = run.cursor.last_row;
        if above.is_none_or(|row| head.last_row > row) {
            run.cursor.last_row = Some(head.last_row);
            let known = Known {
                above,
                is_unread: run.run.manifest.replay_of.is_none(),
                ..Known::NOTHING
            };
            self.chunk(at, stored, known);
        }
    }

    async fn tier(&mut self, queue: &dyn Queue, at: TopicPartition) -> Result<(), AccountError> {
        let strings = &{ self.view }.strings;
        let waited = waiting(queue, strings, at, Limits::NONE, &mut |chunk| {
            match chunk {
                Ok(chunk) if self.is_asked(chunk.head.key) => {
                    self.chunk(at, chunk.stored, Known::NOTHING);
                }
                Ok(_) => {}
                Err(what) => self.visitor.trouble(what),
            }
            ControlFlow::Continue(())
        })
        .await?;
        self.is_torn |= waited.is_torn;
        Ok(())
    }

    /// Shows what of a chunk is not done.
    fn chunk(&mut self, at: TopicPartition, stored: &Stored, known: Known<'_>) {
        let decoded = match head(at, stored) {
            Ok(head) if is_dense(&head) && !self.scope.with_lines && known.moving.is_empty() => {
                let rows = (head.first_row..=head.last_row).map(|row| (row, None));
                return self.show(at, head.key, rows, known);
            }
            Ok(_) => decode(at, stored),
            Err(what) => Err(what),
        };
        match decoded {
            Ok(Chunk { head, messages }) => {
                let rows = messages.iter().map(|m| (m.line.row, Some(&m.line)));
                self.show(at, head.key, rows, known);
            }
            Err(what) => self.visitor.trouble(what),
        }
    }

    fn show<'m>(
        &mut self,
        at: TopicPartition,
        key: RunKey,
        rows: impl Iterator<Item = (Row, Option<&'m MessageLine>)>,
        known: Known<'_>,
    ) {
        let kind = match at.topic {
            Topic::Send => PlaceKind::Pending,
            _ => PlaceKind::Retrying,
        };
        let run = self.view.ledger.counts_for(key);
        for (position, (row, line)) in rows.enumerate() {
            if known.done.has(position) || known.above.is_some_and(|above| row <= above) {
                continue;
            }
            self.visitor.place(Place {
                run,
                row,
                kind,
                is_moving: known.moving.has(position),
                is_unread: known.is_unread,
                line,
            });
        }
    }
}

/// What the view knows of a chunk.
#[derive(Clone, Copy)]
struct Known<'a> {
    /// Rows not above this were read before.
    above: Option<Row>,
    done: &'a Positions,
    moving: &'a Positions,
    is_unread: bool,
}

impl Known<'_> {
    const NOTHING: Known<'static> = Known {
        above: None,
        done: &Positions::NONE,
        moving: &Positions::NONE,
        is_unread: false,
    };
}

/// Every row of its range is in it, so positions tell rows.
fn is_dense(head: &ChunkHead) -> bool {
    head.last_row
        .checked_sub(head.first_row)
        .and_then(|span| span.checked_add(1))
        == Some(u64::from(head.count))
}
