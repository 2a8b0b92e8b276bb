//! One owned partition. The worker runs it in cycles, and calls it in each cycle in this order:
//!
//! 1. [`Machine::effects`]: what must be durable before the next commit (events, the record of a decided move, entries
//!    that leave). When it is durable, [`Machine::effects_durable`] updates the sets.
//! 2. [`Machine::prepare`]: opens chunks and decides the next move.
//! 3. [`Machine::compose`]: claims messages, and returns the commit's text and offset. When the commit is acknowledged,
//!    [`Machine::committed`] returns the messages that may be handed over.
//!
//! Between cycles it takes the outcomes of attempts ([`Machine::report`]) and chunks that were read
//! ([`Machine::found`]). When ownership is lost, or a step returns [`Broken`], the machine is dropped: after a broken
//! invariant nothing it says can be relied on. [`Machine::abandon`] returns the answers that have no durable event yet.

mod backlog;
mod bases;
mod check;
mod compose;
mod effects;
mod leave;
mod message;
mod open;
mod opened;
mod takeover;
mod waiting;

pub use compose::{Draft, Limits};
pub use effects::{Effects, MoveRecord, PendingEvent};
pub use message::{MessageRef, OpenMessage};
use open::READ_AHEAD;
pub use open::{Found, Want};
pub use takeover::{Gain, GainError};

use super::invariant::{Broken, Invariant};
use super::outcome::Outcome;
use super::progress::{OpenChunk, Progress, Target};
use crate::domain::chunk::Message;
use crate::domain::event::EventDetails;
use crate::domain::ids::{Offset, RunKey};
use crate::domain::site::Sites;
use crate::domain::topic::{Topic, TopicPartition};
use backlog::Backlog;
use bases::OwnBases;
use opened::{Due, Opened};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// Settings of a partition.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Retries are spread over this part of a tier's delay, before and after it.
    pub jitter: f64,
    /// Delay of the shortest tier. Messages that cannot be tried now and block others are moved there.
    pub parking: Duration,
    /// Rendered bytes of one move at most.
    pub move_bytes: usize,
    /// The longest commit. Claims that do not fit are not made.
    pub max_text: usize,
    /// Chunks that may be open at once.
    pub max_open: usize,
    /// When open chunks take more characters of a commit than this, or half of its room, a new base is written.
    pub base_after: usize,
}

/// What a cycle sees: the same for everything that is decided in it.
pub struct CycleView<'a> {
    pub ledger: &'a super::ledger::Ledger,
    pub now: SystemTime,
    /// Whether mail to this site is held back because the site is in trouble.
    pub is_closed: &'a dyn Fn(&str) -> bool,
    /// How many more messages the site itself takes in this cycle, by its limits and its speed. `usize::MAX`: nothing
    /// limits it.
    pub flow: &'a dyn Fn(&str) -> usize,
    /// How many may be claimed in this cycle, so that other sites' mail has room too.
    pub room: &'a dyn Fn(&str) -> usize,
    /// Reserves one more message to this site in this cycle. `false`: the site's limits are reached.
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
pub struct Machine {
    at: TopicPartition,
    token: u64,
    rules: Rules,
    sites: Rc<Sites>,
    phase: Phase,
    progress: Progress,
    /// The offset of the last commit; it never goes back.
    offset: Offset,
    /// The log's low watermark, as far as it is known. A run that has no entry yet starts here or above.
    low: Offset,
    /// The last acknowledged commit.
    acked: Option<Rc<Progress>>,
    composed: Option<Rc<Progress>>,
    bases: OwnBases,
    /// Contents of the open chunks, as far as they have been read.
    chunks: BTreeMap<Offset, Opened>,
    backlog: Backlog,
    /// A chunk that has been read and is not open yet.
    staged: VecDeque<Found>,
    /// Answers whose events are not durable yet.
    answered: Vec<PendingEvent>,
    /// Answered without an attempt: their claims are taken back.
    unused: Vec<MessageRef>,
    /// The text does not fit a commit before a new base is durable.
    awaits_base: bool,
    /// The last commit fitted, but the same state under the next base does not, because that base's name is longer. What
    /// is in flight makes room when it is done; until then that commit stands.
    is_full: bool,
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
    /// Of the sites that take only so many messages at once, the one that was claimed for last.
    last_limited: Option<opened::Site>,
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

    /// What the last acknowledged commit of this machine says.
    pub fn acked(&self) -> Option<&Rc<Progress>> {
        self.acked.as_ref()
    }

    /// Nothing has changed since.
    fn is_acked(&self) -> bool {
        self.acked.as_deref() == Some(&self.progress)
    }

    /// Claimed and not done.
    pub fn uncommitted(&self) -> usize {
        self.progress.uncommitted()
    }

    /// Bytes of messages held here, about, without the text that they share.
    pub fn held_bytes(&self) -> usize {
        self.chunks.values().map(Opened::held_bytes).sum()
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
        self.is_draining() && self.is_at_rest() && self.is_acked()
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
        opened: &Opened,
        message: &Message,
    ) -> OpenMessage {
        OpenMessage {
            at: self.at,
            epoch: self.progress.epoch,
            reference,
            run,
            message: message.clone(),
            head: opened.head.clone(),
            due_at: opened
                .due_at(reference.position)
                .unwrap_or(opened.appended_at),
        }
    }
}

#[cfg(test)]
mod tests;
