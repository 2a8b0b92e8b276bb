//! What the commit of a partition contains. How it is written: [`super::text`].

use super::positions::Positions;
use crate::domain::counters::{Counters, Final};
use crate::domain::ids::{Offset, Row, RunKey};
use crate::domain::topic::TopicPartition;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A partition works on at most this many runs; the others wait, oldest seal first.
pub const MAX_RUNS: usize = 8;
/// At most this many chunks are open in a partition. With three sets each they fit into one record as a base.
pub const MAX_OPEN: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Name of the worker, `host/process/random`; separators of the text are not allowed in it.
    pub owner: String,
    /// Grows by one at every gain, also by the same worker.
    pub epoch: u64,
    /// Retry tiers have one cursor for all runs, because move numbers are compared in log order.
    pub next: Offset,
    pub runs: BTreeMap<RunKey, RunEntry>,
    pub open: BTreeMap<Offset, OpenChunk>,
    /// The last move number given out here, kept when no move is under way.
    pub last_move: u64,
    /// The owner knew every cancel below this offset of the campaign topic, so it claims nothing of those runs any more.
    pub cancels_below: Offset,
    pub moving: Option<Move>,
    /// The last move number seen from each source.
    pub seen: BTreeMap<TopicPartition, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunEntry {
    /// Where reading continues; unused in retry tiers.
    pub next: Offset,
    /// Rows up to this one have been read, so a chunk that was appended twice is skipped.
    pub last_row: Option<Row>,
    pub counters: Counters,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenChunk {
    pub run: RunKey,
    /// May be with a relay. Stays set when the message is done.
    pub claimed: Positions,
    /// Part of the decided move.
    pub moving: Positions,
    pub done: Positions,
}

impl OpenChunk {
    /// Claimed and not done, including the messages of a move.
    pub fn uncommitted(&self) -> Positions {
        self.claimed.without(&self.done)
    }

    /// Claimed and neither done nor being moved: in doubt when the owner is lost.
    pub fn outstanding(&self) -> Positions {
        self.uncommitted().without(&self.moving)
    }
}

/// A decided move: the messages are in the open chunks' `moving` sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    pub number: u64,
    pub target: Target,
    pub run: RunKey,
    pub uses_try: bool,
}

/// Where a message goes from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Retry(Duration),
    /// The dlq, as dead or as in doubt.
    Letter(LetterKind),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LetterKind {
    Dead,
    InDoubt,
}

impl LetterKind {
    pub fn end(self) -> Final {
        match self {
            LetterKind::Dead => Final::Dead,
            LetterKind::InDoubt => Final::InDoubt,
        }
    }
}

impl Progress {
    /// Claimed and not done, including the messages of a move: a kill may leave so many in doubt here.
    pub fn uncommitted(&self) -> usize {
        self.open
            .values()
            .map(|chunk| chunk.uncommitted().count())
            .sum()
    }

    /// Of these messages those that are done or not claimed in another state.
    pub fn uncommitted_beside(&self, other: &Progress) -> usize {
        let none = OpenChunk::default();
        let open = self.open.iter();
        open.map(|(offset, chunk)| {
            let there = other.open.get(offset).unwrap_or(&none);
            chunk.uncommitted().without(&there.uncommitted()).count()
        })
        .sum()
    }
}

/// Names a base: a state of the open chunks that is a record of the campaign topic, and that commits refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BaseId {
    /// The epoch under which it was written.
    pub epoch: u64,
    /// Higher than that of any base which the partition had when its owner gained it.
    pub number: u64,
    /// CRC-32 of the base's text. Two workers may write bases for one epoch before either has committed it: they get
    /// different names, so that the later record does not replace the other.
    pub digest: u32,
}

impl BaseId {
    pub fn new(epoch: u64, number: u64, text: &str) -> BaseId {
        BaseId {
            epoch,
            number,
            digest: crc32fast::hash(text.as_bytes()),
        }
    }

    /// The reverse of its `Display`.
    pub fn parse(text: &str) -> Option<BaseId> {
        let mut parts = text.split('.');
        let (epoch, number, digest) = (parts.next()?, parts.next()?, parts.next()?);
        let id = BaseId {
            epoch: epoch.parse().ok()?,
            number: number.parse().ok()?,
            digest: u32::from_str_radix(digest, 16).ok()?,
        };
        parts.next().is_none().then_some(id)
    }
}

impl fmt::Display for BaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{:08x}", self.epoch, self.number, self.digest)
    }
}
