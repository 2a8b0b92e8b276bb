//! One owned partition. The worker runs it in cycles, and calls it in each cycle in this order:
//!
//! 1. [`Machine::effects`]: what must be durable before the next commit (events, the record of a decided move, entries
//!    that leave). When it is durable, [`Machine::effects_durable`] updates the sets.
//! 2. [`Machine::compose`]: opens chunks, decides the next move, claims messages, and returns the commit's text and
//!    offset. When the commit is acknowledged, [`Machine::committed`] returns the messages that may be handed over.
//!
//! Between cycles it takes the outcomes of attempts ([`Machine::report`]) and chunks that were read
//! ([`Machine::found`]). When ownership is lost, or a step returns [`Broken`], the machine is dropped: after a broken
//! invariant nothing it says can be relied on. [`Machine::abandon`] returns the answers that have no durable event yet.

mod check;
mod compose;
mod effects;
mod leave;
mod message;
mod open;
mod takeover;

pub use compose::{Draft, Limits};
pub use effects::{Effects, MoveRecord, PendingEvent};
pub use message::{MessageRef, OpenMessage};
pub use open::{Found, READ_AHEAD, Want};
pub use takeover::{Gain, GainError};

use super::invariant::{Broken, Invariant};
use super::outcome::Outcome;
use super::positions::Positions;
use super::progress::{OpenChunk, Progress, Target};
use crate::domain::chunk::{Chunk, Message};
use crate::domain::event::EventDetails;
use crate::domain::ids::{Offset, RunKey};
use crate::domain::topic::{Topic, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// Settings of a partition.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Messages of a full chunk are spread over this part of a tier's delay, before and after it.
    pub jitter: f64,
    /// Delay of the shortest tier. Messages that cannot be tried now and block others are moved there.
    pub parking: Duration,
    /// Rendered bytes of one move at most.
    pub move_bytes: usize,
}

/// What a cycle sees: the same for everything that is decided in it.
pub struct CycleView<'a> {
    pub ledger: &'a super::ledger::Ledger,
    pub now: SystemTime,
    /// Whether mail to this domain is held back for now.
    pub is_closed: &'a dyn Fn(&str) -> bool,
    /// Reserves one more message to this address's site in this cycle. `false`: the site's limits are reached.
    pub reserve: &'a dyn Fn(&str) -> bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The new epoch is not committed yet. Until it is, the last owner may still commit.
    Fencing,
    /// The claims of the last owner get their in-doubt events. Then they are taken back, or held for a person.
    SettlingClaims,
    Active,
    /// No claims and no new chunks; messages in flight and moves are finished.
    Draining,
}

#[derive(Debug)]
struct Opened {
    chunk: Rc<Chunk>,
    /// Their events are durable, and they wait for a move to be decided.
    leaving: Positions,
    /// Lines without bytes: suppressed at enqueue.
    suppressed: Positions,
    due: Option<Due>,
}

/// When the messages of a retry tier's chunk are due: they are spread over this time.
#[derive(Debug, Clone, Copy)]
struct Due {
    from: SystemTime,
    width: Duration,
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
    /// The log's low watermark, as far as it is known. A run that has no entry yet starts here or above.
    low: Offset,
    /// The last acknowledged commit.
    acked: Option<Progress>,
    composed: Option<Progress>,
    /// Contents of the open chunks, as far as they have been read.
    chunks: BTreeMap<Offset, Opened>,
    /// A chunk that has been read and is not open yet.
    staged: Option<Found>,
    /// Answers whose events are not durable yet.
    answered: Vec<PendingEvent>,
    /// Answered without an attempt: their claims are taken back.
    unused: Vec<MessageRef>,
    /// The effects of this cycle are not known to be durable yet.
    awaits_effects: bool,
    /// Messages that wait for a move to be decided.
    waiting: BTreeMap<MessageRef, WaitingMove>,
    /// Claims of the commit under way.
    claiming: Vec<OpenMessage>,
    /// Handed to the lanes and not answered.
    in_flight: BTreeMap<MessageRef, OpenMessage>,
    /// Runs whose entry left in this cycle. They may come back only when the ledger has the entry, so not in this
    /// cycle.
    just_left: BTreeSet<RunKey>,
    /// Which run is claimed from or opened next.
    turn: usize,
}

/// A message that waits for its move, with what the move needs to know of it.
#[derive(Debug, Clone, Copy)]
struct WaitingMove {
    target: Target,
    uses_try: bool,
    run: RunKey,
    bytes: usize,
}

impl WaitingMove {
    /// Whether both can go in one record.
    fn goes_with(&self, other: &WaitingMove) -> bool {
        (self.target, self.uses_try, self.run) == (other.target, other.uses_try, other.run)
    }
}

impl Opened {
    fn new(chunk: Rc<Chunk>, due: Option<Due>) -> Opened {
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

    fn len(&self) -> usize {
        self.chunk.messages.len()
    }

    /// The messages at these positions.
    fn messages(&self, positions: Positions) -> impl Iterator<Item = (usize, &Message)> {
        let all = self.chunk.messages.iter().enumerate();
        all.filter(move |(position, _)| positions.has(*position))
    }

    /// Messages that are not claimed, done, moving or waiting for a move.
    fn free(&self, open: &OpenChunk) -> Positions {
        let busy = open
            .claimed
            .with(&open.done)
            .with(&open.moving)
            .with(&self.leaving);
        Positions::first(self.len()).without(&busy)
    }
}

impl Machine {
    pub fn at(&self) -> TopicPartition {
        self.at
    }

    pub fn token(&self) -> u64 {
        self.token
    }

    /// The owner's epoch, under which events are written.
    pub fn epoch(&self) -> u64 {
        self.progress.epoch
    }

    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Claimed and not done.
    pub fn uncommitted(&self) -> usize {
        self.progress.uncommitted()
    }

    /// Rendered bytes held here.
    pub fn decoded_bytes(&self) -> usize {
        let staged = self.staged.iter().map(|found| &found.chunk);
        let chunks = self.chunks.values().map(|opened| &opened.chunk);
        let messages = chunks.chain(staged).flat_map(|chunk| &chunk.messages);
        messages.map(|message| message.content.len()).sum()
    }

    /// Takes an attempt's outcome; `None`: the message was not attempted, so its claim is taken back without an event.
    /// It was handed over under this machine's token and was not answered before.
    pub fn report(
        &mut self,
        reference: MessageRef,
        outcome: Option<Outcome>,
        details: Rc<EventDetails>,
    ) -> Result<(), Broken> {
        let Some(message) = self.in_flight.remove(&reference) else {
            let detail = format!(
                "offset {}, position {}",
                reference.offset, reference.position
            );
            return Err(self.broken(Invariant::AnswerIsAwaited, detail));
        };
        match outcome {
            Some(outcome) => self.answered.push(PendingEvent {
                message,
                outcome,
                details,
            }),
            None => self.unused.push(reference),
        }
        Ok(())
    }

    /// Stops claiming and opening; messages in flight and moves are finished.
    pub fn drain(&mut self) {
        if self.phase == Phase::Active {
            self.phase = Phase::Draining;
        }
    }

    pub fn is_draining(&self) -> bool {
        self.phase == Phase::Draining
    }

    /// The epoch is not committed, or the last owner's claims are not settled. Nothing has been claimed, so a partition
    /// that is revoked now can be released at once.
    pub fn is_taking_over(&self) -> bool {
        matches!(self.phase, Phase::Fencing | Phase::SettlingClaims)
    }

    /// Drained, and the last acknowledged commit says so: the partition may be released.
    pub fn is_drained(&self) -> bool {
        self.is_draining() && self.is_at_rest() && self.acked.as_ref() == Some(&self.progress)
    }

    /// Its epoch is not committed yet; it needs nothing read for that.
    pub fn is_fencing(&self) -> bool {
        self.phase == Phase::Fencing
    }

    /// No message in flight, no answer without its event, no move.
    fn is_at_rest(&self) -> bool {
        self.in_flight.is_empty()
            && self.claiming.is_empty()
            && self.answered.is_empty()
            && self.unused.is_empty()
            && !self.awaits_effects
            && self.waiting.is_empty()
            && self.progress.moving.is_none()
    }

    /// Answers without a durable event: their events are still written, under this machine's epoch.
    pub fn abandon(self) -> Vec<PendingEvent> {
        self.answered
    }

    fn is_send(&self) -> bool {
        self.at.topic == Topic::Send
    }

    /// Open chunks whose contents have been read.
    fn opened(&self) -> impl Iterator<Item = (Offset, &OpenChunk, &Opened)> {
        let open = self.progress.open.iter();
        open.filter_map(|(offset, open)| Some((*offset, open, self.chunks.get(offset)?)))
    }

    fn open_message(
        &self,
        reference: MessageRef,
        run: RunKey,
        chunk: &Rc<Chunk>,
        message: &Message,
    ) -> OpenMessage {
        OpenMessage {
            at: self.at,
            epoch: self.progress.epoch,
            reference,
            run,
            message: message.clone(),
            chunk: chunk.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
