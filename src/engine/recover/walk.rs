//! One chunk read against the evidence: what of it is done, what may have been with a relay.

use super::evidence::{Evidence, Known, Stay};
use crate::domain::chunk::{Chunk, MessageLine};
use crate::domain::counters::Counters;
use crate::domain::ids::{Offset, Row, RunKey};
use crate::domain::topic::TopicPartition;
use crate::engine::read_model::scan::record_at;
use crate::engine::read_model::{AccountError, View};
use crate::protocol::{OpenChunk, Positions};
use crate::queue::{Queue, chunk};
use std::collections::HashSet;
use std::time::SystemTime;

/// What everything is read against.
pub struct Ground<'a> {
    pub queue: &'a dyn Queue,
    pub view: &'a View,
    pub evidence: &'a Evidence,
    pub now: SystemTime,
    /// K of the last owner.
    pub claims: usize,
}

/// Where the rebuilding of a partition begins.
#[derive(Debug, Clone, Default)]
pub struct Base {
    /// The checkpoint's string.
    pub progress: crate::protocol::Progress,
    pub written_at: String,
    pub low: Offset,
    /// The checkpoint is not used: every run is read from its start, or the low mark.
    pub is_start: bool,
}

/// A partition's new string, and what it says of messages that nobody can vouch for.
#[derive(Debug, Default)]
pub struct Rebuilt {
    pub progress: crate::protocol::Progress,
    pub doubts: Vec<(RunKey, MessageLine)>,
    /// As `doubts`, but there was no place to claim them: they are told by events at once.
    pub unclaimed: Vec<(RunKey, MessageLine)>,
    /// Done by the evidence, and not by the checkpoint.
    pub found_done: u64,
    pub visited: HashSet<Stay>,
}

/// A chunk as the evidence has it.
pub struct Judged {
    pub offset: Offset,
    pub open: OpenChunk,
    pub last_row: Row,
    /// The checkpoint has it open: the counters know what it has done.
    pub is_known: bool,
    /// The last row read before it.
    pub above: Option<Row>,
    pub is_complete: bool,
    /// Somebody has opened it.
    pub is_touched: bool,
    /// Neither done nor answered.
    pub waiting: usize,
    pub counters: Counters,
    pub doubts: Vec<MessageLine>,
}

/// A chunk of a partition.
pub struct Opened {
    pub offset: Offset,
    pub chunk: Chunk,
    pub appended_at: SystemTime,
}

impl Ground<'_> {
    pub async fn chunk(
        &self,
        at: TopicPartition,
        offset: Offset,
    ) -> Result<Option<Opened>, AccountError> {
        let Some(stored) = record_at(self.queue, at, offset).await? else {
            return Ok(None);
        };
        // What cannot be read is the next worker's to name.
        Ok(chunk::decode(&stored.record).ok().map(|chunk| Opened {
            offset,
            chunk,
            appended_at: stored.appended_at,
        }))
    }

    /// `known`: what the checkpoint has; rows not `above` were read before.
    pub fn judge(
        &self,
        opened: &Opened,
        known: &OpenChunk,
        above: Option<Row>,
        rebuilt: &mut Rebuilt,
    ) -> Judged {
        let (chunk, key) = (&opened.chunk, opened.chunk.head.key);
        let origin = self.view.ledger.counts_for(key);
        let mut judged = Judged {
            offset: opened.offset,
            open: OpenChunk {
                run: key,
                done: known.done.clone(),
                ..OpenChunk::default()
            },
            last_row: chunk.head.last_row,
            is_known: false,
            above,
            is_complete: false,
            is_touched: !known.claimed.is_empty(),
            waiting: 0,
            counters: Counters::default(),
            doubts: Vec::new(),
        };
        for (position, message) in chunk.messages.iter().enumerate() {
            let stay = Stay::of(origin, &message.line);
            let is_seen = above.is_some_and(|above| message.line.row <= above);
            rebuilt.visited.insert(stay);
            if known.done.has(position) || is_seen {
                judged.open.done.add(position);
                continue;
            }
            let fate = self.evidence.of(&stay);
            judged.is_touched |= fate.is_some();
            match fate {
                Some(Known::Ended(end)) => judged.counters.add(end),
                Some(Known::Moved) => judged.counters.moved += 1,
                Some(Known::Answered) => continue,
                None => {
                    judged.waiting += 1;
                    if message.line.suppressed.is_none() {
                        judged.open.claimed.add(position);
                        judged.doubts.push(message.line.clone());
                    }
                    continue;
                }
            }
            judged.open.done.add(position);
        }
        judged.is_complete = judged.open.done == Positions::first(chunk.messages.len());
        judged
    }
}
