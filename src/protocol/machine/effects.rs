//! What must be durable before a commit may build on it: events first, then the copies of a decided move, and
//! entries that leave. *Done* is set only when all of it is.

use super::check::{no_entry, not_open, open_of};
use super::{
    CycleView, Fate, Going, Machine, MessageRef, OpenMessage, Opened, Phase, Report, Waiting,
};
use crate::domain::counters::{Counters, Final};
use crate::domain::event::{EventDetails, EventType};
use crate::domain::outcome::Reason;
use crate::domain::records::LeftEntry;
use crate::domain::topic::Topic;
use crate::protocol::invariant::{Broken, Invariant};
use crate::protocol::ledger::Standing;
use crate::protocol::positions::Positions;
use crate::protocol::progress::{LetterKind, MAX_OPEN, Move, Target};
use std::rc::Rc;

/// Everything of one cycle that is to be appended. The order of kinds does not matter: none is believed before all
/// are durable.
#[derive(Debug, Clone, Default)]
pub struct Effects {
    pub events: Vec<PendingEvent>,
    /// The copies of the move that the last commit decided.
    pub copy: Option<Copy>,
    /// Entries for the campaign topic.
    pub left: Vec<LeftEntry>,
    /// Claims taken back without an event (the in-doubt ones of the last owner have theirs).
    pub(super) released: Vec<MessageRef>,
}

/// One event to write.
#[derive(Debug, Clone)]
pub struct PendingEvent {
    pub message: OpenMessage,
    pub kind: EventType,
    pub is_final: bool,
    pub note: Rc<EventDetails>,
    then: Then,
}

#[derive(Debug, Clone, Copy)]
enum Then {
    Done(Final),
    Go(Going),
    Release,
}

/// Messages of a decided move, sorted by row: one record for a tier, one letter each for the dlq.
#[derive(Debug, Clone)]
pub struct Copy {
    pub decided: Move,
    /// At least one.
    pub messages: Vec<OpenMessage>,
}

impl Effects {
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.copy.is_none() && self.left.is_empty()
    }
}

impl Machine {
    /// What is to be appended now; [`Machine::effects_durable`] follows when all of it is durable. The ledger of the view
    /// has been read to the campaign topic's end.
    pub fn effects(&mut self, view: &CycleView) -> Result<Effects, Broken> {
        self.just_left.clear();
        self.awaits_effects = true;
        let mut effects = Effects::default();
        if self.phase == Phase::Numbering {
            return Ok(effects);
        }
        self.check_runs(view.ledger)?;
        if let Some(offset) = self.missing() {
            return Err(self.broken(
                Invariant::MessageIsOpen,
                format!("offset {offset} is not read"),
            ));
        }
        if self.phase == Phase::Inquest {
            self.add_in_doubt(view, &mut effects);
            return Ok(effects);
        }
        effects.copy = self.copy()?;
        self.add_endings(view, &mut effects)?;
        // The reports leave the machine last: nothing above may fail and take them with it.
        self.add_reports(&mut effects);
        effects.left = self.leaving(view, &effects);
        Ok(effects)
    }

    fn add_in_doubt(&self, view: &CycleView, effects: &mut Effects) {
        let note = Rc::new(EventDetails {
            reason: Some(Reason::WorkerLost),
            ..EventDetails::default()
        });
        for message in self.in_doubt() {
            let held = self.is_held_in_doubt(&message, view);
            let then = if held {
                Then::Go(Going::letter(LetterKind::InDoubt))
            } else {
                Then::Release
            };
            effects.events.push(PendingEvent {
                message,
                kind: EventType::InDoubt,
                is_final: held,
                note: note.clone(),
                then,
            });
        }
    }

    fn add_reports(&mut self, effects: &mut Effects) {
        for report in std::mem::take(&mut self.reports) {
            match report.event() {
                Ok(event) => effects.events.push(event),
                Err(unused) => effects.released.push(unused),
            }
        }
    }

    /// Messages that end without an attempt (suppressed at enqueue, cancelled, expired), and those that are in the
    /// way of others (due but paused or held back): these are moved without an event.
    fn add_endings(&mut self, view: &CycleView, effects: &mut Effects) -> Result<(), Broken> {
        let crowded = self.is_crowded(view);
        let mut parked: Vec<MessageRef> = Vec::new();
        for (offset, open, opened) in self.opened() {
            let free = opened.free(open);
            if free.is_empty() {
                continue;
            }
            let standing = view.ledger.standing(open.run, view.now);
            let expired = view
                .ledger
                .expires_at(open.run)
                .is_some_and(|at| at <= view.now);
            let parks = self.parked(opened, &free, standing, crowded, view);
            parked.extend(parks.iter().map(|position| MessageRef { offset, position }));
            let all_end = expired || standing == Standing::Cancelled;
            let candidates = if all_end {
                free
            } else {
                free.and(&opened.suppressed)
            };
            for (position, message) in opened.messages(candidates.without(&parks)) {
                let suppressed = message.line.suppressed.as_deref();
                let Some((end, note)) = ending(suppressed, standing, expired) else {
                    continue;
                };
                let reference = MessageRef { offset, position };
                effects.events.push(PendingEvent {
                    message: self.open_message(reference, open.run, &opened.chunk, message),
                    kind: EventType::from(end),
                    is_final: true,
                    note: Rc::new(note),
                    then: Then::Done(end),
                });
            }
        }
        self.park(parked)
    }

    /// In a tier: what a paused run has here, and what is due to a lane that is closed. In send: what a closed lane
    /// keeps from being sent while it fills the open chunks, so that other sites' mail is not behind it.
    fn parked(
        &self,
        opened: &Opened,
        free: &Positions,
        standing: Standing,
        crowded: bool,
        view: &CycleView,
    ) -> Positions {
        if self.phase == Phase::Draining || standing == Standing::Cancelled {
            return Positions::default();
        }
        let free = free.without(&opened.suppressed);
        if !self.is_send() && standing != Standing::Sending {
            return free;
        }
        if self.is_send() && !(crowded && standing == Standing::Sending) {
            return Positions::default();
        }
        opened
            .messages(free)
            .filter(|(position, _)| self.is_due(opened, *position, view.now))
            .filter(|(_, message)| (view.is_closed)(&message.line.address))
            .map(|(position, _)| position)
            .collect()
    }

    fn park(&mut self, parked: Vec<MessageRef>) -> Result<(), Broken> {
        let delay = match self.at.topic {
            Topic::Retry(own) => own,
            _ => self.rules.parking,
        };
        let going = Going {
            target: Target::Retry(delay),
            uses_try: false,
        };
        parked
            .into_iter()
            .try_for_each(|reference| self.go(reference, going))
    }

    /// Every open chunk waits for a lane: nothing else gets a place.
    fn is_crowded(&self, view: &CycleView) -> bool {
        self.progress.open.len() >= MAX_OPEN && self.claimable(view, 1) == 0
    }

    fn copy(&self) -> Result<Option<Copy>, Broken> {
        let Some(decided) = self.progress.moving.clone() else {
            return Ok(None);
        };
        let mut messages: Vec<OpenMessage> = Vec::new();
        for (offset, open, opened) in self.opened() {
            for (position, message) in opened.messages(open.moving.clone()) {
                let reference = MessageRef { offset, position };
                messages.push(self.open_message(reference, open.run, &opened.chunk, message));
            }
        }
        if messages.is_empty() || messages.iter().any(|message| message.run != decided.run) {
            let detail = format!("move {}", decided.number);
            return Err(self.broken(Invariant::MoveNamesItsMessages, detail));
        }
        messages.sort_by_key(|open| open.message.line.row);
        Ok(Some(Copy { decided, messages }))
    }

    /// Everything that [`Machine::effects`] gave is durable.
    pub fn effects_durable(&mut self, effects: Effects) -> Result<(), Broken> {
        if !std::mem::take(&mut self.awaits_effects) {
            let detail = format!("number {}", self.number());
            return Err(self.broken(Invariant::EffectsAreAwaited, detail));
        }
        for event in effects.events {
            let reference = event.message.reference;
            match event.then {
                Then::Done(end) => self.finish(reference, |counters| counters.add(end))?,
                Then::Go(going) => self.go(reference, going)?,
                Then::Release => self.release_claim(reference)?,
            }
        }
        for reference in effects.released {
            self.release_claim(reference)?;
        }
        if let Some(copy) = effects.copy {
            self.moved(&copy)?;
        }
        for left in effects.left {
            self.remove_left(left.key)?;
        }
        if !self.is_taking_over() {
            self.close_finished();
        }
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
        let run = self.progress.runs.get_mut(&chunk.run);
        let run = run.ok_or_else(|| no_entry(self.at, chunk.run))?;
        count(&mut run.counters);
        Ok(())
    }

    fn go(&mut self, reference: MessageRef, going: Going) -> Result<(), Broken> {
        let at = self.at;
        let run = open_of(at, &mut self.progress.open, reference)?.run;
        let opened = self.chunks.get_mut(&reference.offset);
        let opened = opened.ok_or_else(|| not_open(at, reference))?;
        let message = opened.chunk.messages.get(reference.position);
        let bytes = message
            .ok_or_else(|| not_open(at, reference))?
            .content
            .len();
        opened.leaving.add(reference.position);
        self.going.insert(reference, Waiting { going, run, bytes });
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
        Ok(())
    }

    fn moved(&mut self, copy: &Copy) -> Result<(), Broken> {
        for message in &copy.messages {
            let reference = message.reference;
            let chunk = open_of(self.at, &mut self.progress.open, reference)?;
            chunk.moving.remove(reference.position);
            match copy.decided.target {
                Target::Retry(_) => self.finish(reference, |counters| counters.moved += 1)?,
                Target::Letter(kind) => {
                    self.finish(reference, |counters| counters.add(kind.end()))?
                }
            }
        }
        self.progress.moving = None;
        Ok(())
    }

    /// Chunks of which nothing is left make room.
    fn close_finished(&mut self) {
        let finished = self
            .opened()
            .filter(|(_, open, opened)| open.done.count() >= opened.len());
        let finished: Vec<_> = finished.map(|(offset, ..)| offset).collect();
        for offset in finished {
            self.progress.open.remove(&offset);
            self.chunks.remove(&offset);
        }
    }
}

/// How a message ends that is not attempted any more.
fn ending(
    suppressed: Option<&str>,
    standing: Standing,
    expired: bool,
) -> Option<(Final, EventDetails)> {
    if standing == Standing::Cancelled {
        return Some((Final::Cancelled, EventDetails::default()));
    }
    let because = |reason| EventDetails {
        reason,
        ..EventDetails::default()
    };
    // The reason is a word of the version that enqueued the message; one that is unknown here is left out.
    match suppressed {
        Some(why) => Some((Final::Suppressed, because(why.parse().ok()))),
        None if expired => Some((Final::Expired, because(Some(Reason::Expired)))),
        None => None,
    }
}

impl Report {
    /// `Err`: nothing is said of a message that was not attempted, its claim is taken back.
    fn event(self) -> Result<PendingEvent, MessageRef> {
        let letter = |kind| Then::Go(Going::letter(kind));
        let (kind, is_final, then) = match self.fate {
            Fate::Unused => return Err(self.message.reference),
            Fate::Ended(end) => (EventType::from(end), true, Then::Done(end)),
            Fate::Retry {
                delay,
                uses_try,
                in_doubt,
            } => {
                let kind = if in_doubt {
                    EventType::InDoubt
                } else {
                    EventType::Deferred
                };
                let target = Target::Retry(delay);
                (kind, false, Then::Go(Going { target, uses_try }))
            }
            Fate::Dead => (EventType::Dead, true, letter(LetterKind::Dead)),
            Fate::Held => (EventType::InDoubt, true, letter(LetterKind::InDoubt)),
        };
        Ok(PendingEvent {
            message: self.message,
            kind,
            is_final,
            note: self.note,
            then,
        })
    }
}

impl Going {
    fn letter(kind: LetterKind) -> Going {
        Going {
            target: Target::Letter(kind),
            uses_try: false,
        }
    }
}
