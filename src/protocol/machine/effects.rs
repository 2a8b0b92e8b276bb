//! What must be durable before the next commit: events, the record of the move that the last commit decided, and
//! entries that leave. A message is marked done only when all of it is durable.

use super::check::{no_entry, not_open, open_of};
use super::{CycleView, Machine, MessageRef, OpenMessage, Opened, Phase, WaitingMove};
use crate::domain::counters::{Counters, Final};
use crate::domain::event::EventDetails;
use crate::domain::outcome::Reason;
use crate::domain::records::{Base, LeftEntry};
use crate::domain::topic::Topic;
use crate::protocol::invariant::{Broken, Invariant};
use crate::protocol::ledger::RunState;
use crate::protocol::outcome::Outcome;
use crate::protocol::positions::Positions;
use crate::protocol::progress::{BaseId, LetterKind, Move, Target};
use std::rc::Rc;

/// Everything that one cycle appends. It may be appended in any order, because nothing counts before all is durable.
#[derive(Debug, Clone, Default)]
pub struct Effects {
    pub events: Vec<PendingEvent>,
    /// The move that the last commit decided.
    pub move_record: Option<MoveRecord>,
    /// Entries for the campaign topic.
    pub left: Vec<LeftEntry>,
    /// What the next commits refer to.
    pub base: Option<Base>,
    /// Bases to delete, because no commit refers to them any more.
    pub unused_bases: Vec<BaseId>,
    /// Claims to take back without an event: the messages were not attempted.
    pub(super) released: Vec<MessageRef>,
}

/// An outcome whose event is not durable yet, with all that the event says.
#[derive(Debug, Clone)]
pub struct PendingEvent {
    pub message: OpenMessage,
    pub outcome: Outcome,
    pub details: Rc<EventDetails>,
}

/// Messages of a decided move, sorted by row: one record for a tier, one letter each for the dlq.
#[derive(Debug, Clone)]
pub struct MoveRecord {
    pub decided: Move,
    /// At least one.
    pub messages: Vec<OpenMessage>,
}

impl Effects {
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.move_record.is_none()
            && self.left.is_empty()
            && self.base.is_none()
            && self.unused_bases.is_empty()
    }
}

impl Machine {
    /// What must be appended now; [`Machine::effects_durable`] follows when all of it is durable. The view's ledger
    /// must have been read to the campaign topic's end in this cycle: a run that came back from a pause has its entry
    /// there.
    pub fn effects(&mut self, view: &CycleView) -> Result<Effects, Broken> {
        self.just_left.clear();
        self.awaits_effects = true;
        let mut effects = Effects {
            base: self.next_base(),
            unused_bases: self.bases.unused(),
            ..Effects::default()
        };
        if self.phase == Phase::Fencing {
            return Ok(effects);
        }
        self.check_runs(view.ledger)?;
        if let Some(offset) = self.missing() {
            return Err(self.broken(
                Invariant::MessageIsOpen,
                format!("offset {offset} is not read"),
            ));
        }
        if self.phase == Phase::SettlingClaims {
            self.add_in_doubt(view, &mut effects);
            return Ok(effects);
        }
        effects.move_record = self.move_record()?;
        self.add_endings(view, &mut effects)?;
        // The answers leave the machine last, so that an error above cannot lose them.
        effects.events.append(&mut self.answered);
        effects.released.append(&mut self.unused);
        effects.left = self.leaving(view, &effects);
        Ok(effects)
    }

    fn add_in_doubt(&self, view: &CycleView, effects: &mut Effects) {
        let details = Rc::new(EventDetails {
            reason: Some(Reason::WorkerLost),
            ..EventDetails::default()
        });
        for message in self.in_doubt() {
            let outcome = match self.is_held_in_doubt(&message, view) {
                true => Outcome::HeldInDoubt,
                false => Outcome::Resend,
            };
            effects.events.push(PendingEvent {
                message,
                outcome,
                details: details.clone(),
            });
        }
    }

    /// Messages that end without an attempt (suppressed at enqueue, cancelled, expired), and those that block others
    /// (due, but paused or held back), which are moved without an event.
    fn add_endings(&mut self, view: &CycleView, effects: &mut Effects) -> Result<(), Broken> {
        let crowded = self.is_crowded(view);
        let mut parked: Vec<MessageRef> = Vec::new();
        for (offset, open, opened) in self.opened() {
            let free = opened.free(open);
            if free.is_empty() {
                continue;
            }
            let state = view.ledger.run_state(open.run, view.now);
            let expired = view.ledger.has_expired(open.run, view.now);
            let parks = self.parked(opened, &free, state, crowded, view);
            parked.extend(parks.iter().map(|position| MessageRef { offset, position }));
            let all_end = expired || state == RunState::Cancelled;
            let candidates = if all_end {
                free
            } else {
                free.and(&opened.suppressed)
            };
            let candidates = candidates.without(&parks);
            for (position, message) in opened.messages(&candidates) {
                let suppressed = message.line.suppressed.as_deref();
                let Some((end, details)) = ending(suppressed, state, expired) else {
                    continue;
                };
                let reference = MessageRef { offset, position };
                effects.events.push(PendingEvent {
                    message: self.open_message(reference, open.run, opened, message),
                    outcome: Outcome::Ended(end),
                    details: Rc::new(details),
                });
            }
        }
        self.park(parked)
    }

    /// In a tier: messages of a paused run. Everywhere: messages to a closed site where no more chunks may be open, so
    /// that other sites' mail does not wait behind them.
    fn parked(
        &self,
        opened: &Opened,
        free: &Positions,
        state: RunState,
        crowded: bool,
        view: &CycleView,
    ) -> Positions {
        if self.phase == Phase::Draining || state == RunState::Cancelled {
            return Positions::default();
        }
        let free = free.without(&opened.suppressed);
        if !self.is_send() && state != RunState::Sending {
            return free;
        }
        if !crowded || state != RunState::Sending {
            return Positions::default();
        }
        let mut parked = Positions::default();
        let held = free.without(opened.unloaded());
        let by_site = opened.by_site(&held);
        for (_, positions) in by_site.filter(|(site, _)| (view.is_closed)(site)) {
            parked = parked.with(&positions);
        }
        let due = parked.iter();
        due.filter(|position| self.is_due(opened, *position, view.now))
            .collect()
    }

    fn park(&mut self, parked: Vec<MessageRef>) -> Result<(), Broken> {
        let delay = match self.at.topic {
            Topic::Retry(own) => own,
            _ => self.rules.parking,
        };
        let mut parked = parked.into_iter();
        parked.try_for_each(|reference| self.wait_for_move(reference, Target::Retry(delay), false))
    }

    /// Everything in the open chunks waits for its site, and no other chunk can be opened.
    fn is_crowded(&self, view: &CycleView) -> bool {
        self.progress.open.len() >= self.rules.max_open
            && self.flowing(view, 1).next().is_none()
            && self.ready(view, 1, None).next().is_none()
    }

    /// A decision that no acknowledged commit has is not carried out yet: another owner could decide otherwise under the
    /// same number.
    fn move_record(&self) -> Result<Option<MoveRecord>, Broken> {
        let committed = self.acked.as_ref().and_then(|acked| acked.moving.as_ref());
        let decided = self.progress.moving.clone();
        let Some(decided) = decided.filter(|decided| Some(decided) == committed) else {
            return Ok(None);
        };
        let mut messages: Vec<OpenMessage> = Vec::new();
        for (offset, open, opened) in self.opened() {
            for (position, message) in opened.messages(&open.moving) {
                let reference = MessageRef { offset, position };
                messages.push(self.open_message(reference, open.run, opened, message));
            }
        }
        if messages.is_empty() || messages.iter().any(|message| message.run != decided.run) {
            let detail = format!("move {}", decided.number);
            return Err(self.broken(Invariant::MoveNamesItsMessages, detail));
        }
        messages.sort_by_key(|open| open.message.line.row);
        Ok(Some(MoveRecord { decided, messages }))
    }

    /// Everything that [`Machine::effects`] returned is durable.
    pub fn effects_durable(&mut self, effects: Effects) -> Result<(), Broken> {
        if !std::mem::take(&mut self.awaits_effects) {
            let detail = format!("epoch {}", self.epoch());
            return Err(self.broken(Invariant::EffectsAreAwaited, detail));
        }
        for event in effects.events {
            let reference = event.message.reference;
            match event.outcome {
                Outcome::Ended(end) => self.finish(reference, |counters| counters.add(end))?,
                Outcome::Resend => self.release_claim(reference)?,
                Outcome::Retry {
                    delay, uses_try, ..
                } => self.wait_for_move(reference, Target::Retry(delay), uses_try)?,
                Outcome::Dead => {
                    self.wait_for_move(reference, Target::Letter(LetterKind::Dead), false)?;
                }
                Outcome::HeldInDoubt => {
                    self.wait_for_move(reference, Target::Letter(LetterKind::InDoubt), false)?;
                }
            }
        }
        for reference in effects.released {
            self.release_claim(reference)?;
        }
        if let Some(record) = effects.move_record {
            self.moved(&record)?;
        }
        for left in effects.left {
            self.remove_left(left.key)?;
        }
        self.bases.durable(&effects.unused_bases);
        if !self.is_taking_over() {
            self.close_finished();
        }
        self.update_backlog();
        Ok(())
    }

    fn finish(
        &mut self,
        reference: MessageRef,
        count: impl FnOnce(&mut Counters),
    ) -> Result<(), Broken> {
        let chunk = open_of(self.at, &mut self.progress.open, reference)?;
        if chunk.done.has(reference.position) {
            let detail = format!(
                "offset {}, position {}",
                reference.offset, reference.position
            );
            return Err(Broken::new(self.at, Invariant::MessageEndsOnce, detail));
        }
        chunk.done.add(reference.position);
        if let Some(opened) = self.chunks.get_mut(&reference.offset) {
            opened.done(reference.position);
        }
        self.backlog.change(reference.offset);
        let run = self.progress.runs.get_mut(&chunk.run);
        let run = run.ok_or_else(|| no_entry(self.at, chunk.run))?;
        count(&mut run.counters);
        Ok(())
    }

    fn wait_for_move(
        &mut self,
        reference: MessageRef,
        target: Target,
        uses_try: bool,
    ) -> Result<(), Broken> {
        let at = self.at;
        let run = open_of(at, &mut self.progress.open, reference)?.run;
        let opened = self.chunks.get_mut(&reference.offset);
        let opened = opened.ok_or_else(|| not_open(at, reference))?;
        let message = opened.message(reference.position);
        let bytes = message
            .ok_or_else(|| not_open(at, reference))?
            .content
            .len();
        opened.leaving.add(reference.position);
        let waiting = WaitingMove {
            target,
            uses_try,
            run,
            bytes,
        };
        self.backlog.change(reference.offset);
        self.waiting.insert(reference, waiting);
        Ok(())
    }

    fn release_claim(&mut self, reference: MessageRef) -> Result<(), Broken> {
        let chunk = open_of(self.at, &mut self.progress.open, reference)?;
        if !chunk.claimed.has(reference.position) {
            let detail = format!(
                "offset {}, position {}",
                reference.offset, reference.position
            );
            return Err(Broken::new(self.at, Invariant::ReleasedWasClaimed, detail));
        }
        chunk.claimed.remove(reference.position);
        self.backlog.change(reference.offset);
        Ok(())
    }

    fn moved(&mut self, record: &MoveRecord) -> Result<(), Broken> {
        for message in &record.messages {
            let reference = message.reference;
            let chunk = open_of(self.at, &mut self.progress.open, reference)?;
            chunk.moving.remove(reference.position);
            match record.decided.target {
                Target::Retry(_) => self.finish(reference, |counters| counters.moved += 1)?,
                Target::Letter(kind) => {
                    self.finish(reference, |counters| counters.add(kind.end()))?
                }
            }
        }
        self.progress.moving = None;
        Ok(())
    }

    /// Closes chunks whose messages are all done.
    fn close_finished(&mut self) {
        let finished = self
            .opened()
            .filter(|(_, open, opened)| open.done.count() >= opened.len());
        let finished: Vec<_> = finished.map(|(offset, ..)| offset).collect();
        for offset in finished {
            self.progress.open.remove(&offset);
            self.chunks.remove(&offset);
            self.backlog.change(offset);
        }
    }
}

/// How a message ends that will not be attempted.
fn ending(
    suppressed: Option<&str>,
    state: RunState,
    expired: bool,
) -> Option<(Final, EventDetails)> {
    if state == RunState::Cancelled {
        return Some((Final::Cancelled, EventDetails::default()));
    }
    let because = |reason| EventDetails {
        reason,
        ..EventDetails::default()
    };
    // A newer version may have enqueued the message with a reason that this one does not know.
    match suppressed {
        Some(why) => Some((Final::Suppressed, because(why.parse().ok()))),
        None if expired => Some((Final::Expired, because(Some(Reason::Expired)))),
        None => None,
    }
}
