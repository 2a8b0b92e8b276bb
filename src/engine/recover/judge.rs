//! One chunk read against the evidence: what of it is done, what may have been with a relay.

use super::evidence::Evidence;
use super::stay::{Stay, StayEnd};
use super::visited::Visited;
use crate::domain::chunk::{Chunk, MessageLine};
use crate::domain::counters::Counters;
use crate::domain::ids::{Offset, Row, RunKey};
use crate::domain::records::Checkpoint;
use crate::domain::topic::TopicPartition;
use crate::engine::read_model::chunks::{decode, unreadable};
use crate::engine::read_model::scan::record_at;
use crate::engine::read_model::{AccountError, View};
use crate::protocol::{OpenChunk, Positions, Progress};
use crate::queue::Queue;
use std::time::SystemTime;

/// A partition without a commit, and the last that is known of it.
pub struct LostPartition {
    pub at: TopicPartition,
    pub checkpoint: Checkpoint,
    pub low_watermark: Offset,
}

/// What partitions are rebuilt from.
pub struct Sources<'a> {
    pub queue: &'a dyn Queue,
    pub view: &'a View,
    pub evidence: &'a Evidence,
    pub now: SystemTime,
}

/// Where the rebuilding of a partition begins.
#[derive(Debug, Clone, Default)]
pub struct Beginning {
    /// The checkpoint's string.
    pub progress: Progress,
    pub written_at: String,
    pub low_watermark: Offset,
    /// The checkpoint is not used: every run is read from its start, or the low watermark.
    pub is_earliest: bool,
}

/// A partition's new string, and what is not known of its messages.
pub struct Rebuilt {
    pub progress: Progress,
    /// Claimed in the new string, because they may have been with a relay.
    pub claimed: Vec<(RunKey, MessageLine)>,
    /// As `claimed`, but no chunk could be kept open for them: an event names each at once.
    pub unclaimed: Vec<(RunKey, MessageLine)>,
    /// Chunks that cannot be read, a line each.
    pub unreadable: Vec<String>,
    /// Done by the evidence, and not by the checkpoint.
    pub found_done: u64,
    /// Every message of the chunks that were read, where the rest is counted by events.
    pub visited: Option<Visited>,
}

impl Rebuilt {
    pub fn new(visited: Option<Visited>) -> Rebuilt {
        Rebuilt {
            progress: Progress::default(),
            claimed: Vec::new(),
            unclaimed: Vec::new(),
            unreadable: Vec::new(),
            found_done: 0,
            visited,
        }
    }
}

/// A chunk as the evidence has it.
pub struct JudgedChunk {
    pub offset: Offset,
    pub open: OpenChunk,
    pub last_row: Row,
    /// It stays open whether or not there is a place: the checkpoint has it open, or something after it is done.
    pub must_stay: bool,
    /// The last row read before it.
    pub above: Option<Row>,
    pub is_complete: bool,
    /// Somebody has opened it.
    pub is_touched: bool,
    pub counters: Counters,
    pub claimed: Vec<MessageLine>,
}

/// A chunk of a partition.
pub struct ReadChunk {
    pub offset: Offset,
    pub chunk: Chunk,
    pub appended_at: SystemTime,
}

impl Sources<'_> {
    /// How many chunks of a partition the last owner may have had open.
    /// `None`: it is gone, or cannot be read, which is noted. The next worker stands still there.
    pub async fn chunk(
        &self,
        at: TopicPartition,
        offset: Offset,
        rebuilt: &mut Rebuilt,
    ) -> Result<Option<ReadChunk>, AccountError> {
        let read = record_at(self.queue, at, offset).await?;
        let read = read.ok_or_else(|| unreadable(at, offset, "it is not there"));
        let read = read.and_then(|stored| {
            Ok(ReadChunk {
                offset,
                chunk: decode(at, &stored)?,
                appended_at: stored.appended_at,
            })
        });
        Ok(match read {
            Ok(read) => Some(read),
            Err(what) => {
                rebuilt.unreadable.push(what);
                None
            }
        })
    }

    /// `known`: what the checkpoint has; rows not `above` were read before.
    pub fn judge(
        &self,
        read: &ReadChunk,
        known: &OpenChunk,
        above: Option<Row>,
        rebuilt: &mut Rebuilt,
    ) -> Result<JudgedChunk, AccountError> {
        let (chunk, key) = (&read.chunk, read.chunk.head.key);
        let origin = self.view.ledger.counts_for(key);
        let mut judged = JudgedChunk {
            offset: read.offset,
            open: OpenChunk {
                run: key,
                done: known.done.clone(),
                ..OpenChunk::default()
            },
            last_row: chunk.head.last_row,
            must_stay: false,
            above,
            is_complete: false,
            is_touched: !known.claimed.is_empty(),
            counters: Counters::default(),
            claimed: Vec::new(),
        };
        for (position, message) in chunk.messages.iter().enumerate() {
            let line = &message.line;
            let stay = Stay {
                round: line.round,
                hop: line.hop,
            };
            let recipient = self.evidence.key(origin, line.row);
            if let (Some(visited), Some(recipient)) = (&mut rebuilt.visited, recipient) {
                visited.add(recipient, stay)?;
            }
            let is_seen = above.is_some_and(|above| line.row <= above);
            if known.done.has(position) || is_seen {
                judged.open.done.add(position);
                continue;
            }
            let end = match recipient {
                Some(recipient) => self.evidence.of(recipient, stay)?,
                None => None,
            };
            judged.message(position, line, end);
        }
        judged.is_complete = judged.open.done == Positions::first(chunk.messages.len());
        Ok(judged)
    }
}

impl JudgedChunk {
    fn message(&mut self, position: usize, line: &MessageLine, end: Option<StayEnd>) {
        self.is_touched |= end.is_some();
        match end {
            Some(StayEnd::Ended(end)) => self.counters.add(end),
            Some(StayEnd::Moved) => self.counters.moved += 1,
            Some(StayEnd::Answered) => return,
            None => {
                if line.suppressed.is_none() {
                    self.open.claimed.add(position);
                    self.claimed.push(line.clone());
                }
                return;
            }
        }
        self.open.done.add(position);
    }
}
