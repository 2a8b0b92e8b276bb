//! One owned partition. The shell turns it in cycles, and in each cycle asks in this order:
//!
//! 1. [`Machine::tell`]: what must be durable before the next commit (events, the copies of a decided move, entries
//!    that leave); when it is, [`Machine::told`] takes it over into the sets.
//! 2. [`Machine::compose`]: opens chunks, decides the next move, claims, and gives the commit's text and offset;
//!    when that is acknowledged, [`Machine::committed`] names the messages that may now be handed over.
//!
//! Between cycles it takes [`Machine::report`]s of attempts and chunks that were read ([`Machine::found`]).
//! When ownership is lost the machine is dropped; [`Machine::abandon`] gives what was answered and not told yet.

mod compose;
mod leave;
mod open;
mod takeover;
mod tell;

pub use compose::{Draft, Limits};
pub use open::{Found, READ_AHEAD, Want};
pub use takeover::Gain;
pub use tell::{Copy, Tell, Telling};

use super::positions::Positions;
use super::progress::{Progress, Target};
use crate::domain::chunk::{Chunk, Message};
use crate::domain::counters::Final;
use crate::domain::event::EventDetails;
use crate::domain::ids::{Offset, RunKey};
use crate::domain::topic::{Topic, TopicPartition};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// One message: the offset of its chunk and its position therein.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    pub offset: Offset,
    pub position: usize,
}

/// What the policy made of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Delivered, bounced, suppressed or expired.
    Ended(Final),
    /// To a tier. `in_doubt`: the relay may have taken it, and that is said in an event of its own.
    Retry {
        delay: Duration,
        uses_try: bool,
        in_doubt: bool,
    },
    /// No more tries, or refused.
    Dead,
    /// A person must decide.
    Held,
    /// Not attempted: the claim is taken back.
    Unused,
}

/// An attempt's end, as it comes back from the lanes.
#[derive(Debug, Clone)]
pub struct Report {
    pub slot: Slot,
    pub fate: Fate,
    pub note: Rc<EventDetails>,
}

/// What the configuration says to a partition.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Share of a tier's delay by which messages of a full chunk are spread, both ways.
    pub jitter: f64,
    /// Where messages go that cannot be tried now and are in the way: the shortest tier.
    pub parking: Duration,
    /// Rendered bytes of one move's copy.
    pub move_bytes: usize,
}

/// What is true at this moment, for everything that a cycle decides.
pub struct Moment<'a> {
    pub ledger: &'a super::ledger::Ledger,
    pub now: SystemTime,
    /// Whether mail to this domain is held back for now.
    pub is_closed: &'a dyn Fn(&str) -> bool,
    /// Whether as much mail to this address's site is under way as its limits let.
    pub is_full: &'a dyn Fn(&str) -> bool,
    /// Asks for one more to this address's site in this cycle, and counts it if the answer is yes.
    pub reserve: &'a dyn Fn(&str) -> bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The new number is not committed yet: nothing is believed.
    Numbering,
    /// What the last owner had claimed is named in doubt and taken back.
    Inquest,
    Active,
    /// No claims and no new chunks: what is under way is brought to an end.
    Draining,
}

#[derive(Debug)]
struct Opened {
    chunk: Rc<Chunk>,
    /// Told, and waiting for a move to be decided.
    leaving: Positions,
    /// Lines without bytes: suppressed at enqueue.
    suppressed: Positions,
    /// In a retry tier: when its messages are due, from and to; they are spread in between.
    due: Option<(SystemTime, SystemTime)>,
}

#[derive(Debug)]
pub struct Machine {
    at: TopicPartition,
    token: u64,
    rules: Rules,
    phase: Phase,
    progress: Progress,
    /// The offset of the last commit; it never goes back.
    offset: Offset,
    /// Low mark at the gain: a run that was not begun starts here at the lowest.
    low: Offset,
    /// What the last acknowledged commit holds.
    acked: Option<Progress>,
    composed: Option<Progress>,
    chunks: BTreeMap<Offset, Opened>,
    staged: VecDeque<Found>,
    reports: Vec<Report>,
    telling: Option<Tell>,
    going: BTreeMap<Slot, Going>,
    /// Claims of the commit under way.
    claiming: Vec<Slot>,
    /// With the lanes or the relay.
    handed: BTreeSet<Slot>,
    /// Runs whose entry left in this cycle: they come back at the earliest when the ledger has it.
    just_left: BTreeSet<RunKey>,
    /// Whose turn it is to be claimed from or opened next.
    turn: usize,
}

/// Where a message will be moved, with what the next move needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Going {
    target: Target,
    uses_try: bool,
}

impl Opened {
    fn new(chunk: Rc<Chunk>, due: Option<(SystemTime, SystemTime)>) -> Opened {
        let lines = chunk.messages.iter().enumerate();
        let suppressed = lines
            .filter(|(_, message)| message.line.suppressed.is_some())
            .map(|(position, _)| position);
        let suppressed = suppressed.collect();
        Opened {
            chunk,
            leaving: Positions::default(),
            suppressed,
            due,
        }
    }
}

impl Machine {
    pub fn at(&self) -> TopicPartition {
        self.at
    }

    pub fn token(&self) -> u64 {
        self.token
    }

    /// The owner number under which events are written.
    pub fn number(&self) -> u64 {
        self.progress.number
    }

    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    pub fn message(&self, slot: Slot) -> Option<&Message> {
        self.chunks
            .get(&slot.offset)?
            .chunk
            .messages
            .get(slot.position)
    }

    pub fn chunk(&self, offset: Offset) -> Option<&Rc<Chunk>> {
        self.chunks.get(&offset).map(|opened| &opened.chunk)
    }

    /// Claimed and not done.
    pub fn uncommitted(&self) -> usize {
        self.progress.uncommitted()
    }

    /// Rendered bytes held here.
    pub fn decoded_bytes(&self) -> usize {
        let staged = self
            .staged
            .iter()
            .filter_map(|found| found.chunk.as_ref())
            .map(|(_, chunk)| chunk);
        let chunks = self
            .chunks
            .values()
            .map(|opened| &opened.chunk)
            .chain(staged);
        chunks
            .map(|chunk| {
                chunk
                    .messages
                    .iter()
                    .map(|m| m.content.len())
                    .sum::<usize>()
            })
            .sum()
    }

    /// Takes an attempt's end. Of a message that was not handed over by this machine nothing is believed.
    pub fn report(&mut self, report: Report) {
        if self.handed.remove(&report.slot) {
            self.reports.push(report);
        }
    }

    /// Stops claiming and opening; what is under way is brought to an end.
    pub fn drain(&mut self) {
        if self.phase == Phase::Active {
            self.phase = Phase::Draining;
        }
    }

    pub fn is_draining(&self) -> bool {
        self.phase == Phase::Draining
    }

    /// Before its first claim; during this a partition that should be given up is simply given up.
    pub fn is_taking_over(&self) -> bool {
        matches!(self.phase, Phase::Numbering | Phase::Inquest)
    }

    /// Drained, and the last commit holds everything: the partition may be released.
    pub fn is_drained(&self) -> bool {
        self.is_draining() && self.is_at_rest() && self.acked.as_ref() == Some(&self.progress)
    }

    /// Its number is not committed yet; it needs nothing read for that.
    pub fn is_numbering(&self) -> bool {
        self.phase == Phase::Numbering
    }

    /// Nothing under way: no claim, no answer that was not told, no move.
    fn is_at_rest(&self) -> bool {
        self.handed.is_empty()
            && self.claiming.is_empty()
            && self.reports.is_empty()
            && self.telling.is_none()
            && self.going.is_empty()
            && self.progress.moving.is_none()
    }

    /// Nothing here may be sent now or later, but for what is not open: see the cursors.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Active
            && self.is_at_rest()
            && self.progress.open.is_empty()
            && self.staged.is_empty()
    }

    /// Answers that were not told: their events are still written, under this machine's number.
    pub fn abandon(self) -> Vec<(Message, Report)> {
        let untold = self.reports.iter().cloned();
        untold
            .filter_map(|report| Some((self.message(report.slot)?.clone(), report)))
            .collect()
    }

    fn is_send(&self) -> bool {
        self.at.topic == Topic::Send
    }

    /// Messages of an open chunk that nothing is happening to.
    fn free(&self, offset: Offset) -> Positions {
        let (Some(chunk), Some(opened)) =
            (self.progress.open.get(&offset), self.chunks.get(&offset))
        else {
            return Positions::default();
        };
        let busy = chunk
            .claimed
            .with(&chunk.done)
            .with(&chunk.moving)
            .with(&opened.leaving);
        Positions::first(opened.chunk.messages.len()).without(&busy)
    }

    fn open_offsets(&self) -> Vec<Offset> {
        self.progress.open.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests;
