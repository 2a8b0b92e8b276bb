//! What must be durable before a commit may build on it: events first, then the copies of a decided move, and
//! entries that leave. *Done* is set only when all of it is.

use super::{Fate, Going, Machine, Moment, Phase, Slot};
use crate::domain::counters::Final;
use crate::domain::event::{EventDetails, EventType};
use crate::domain::ids::Offset;
use crate::domain::outcome::Reason;
use crate::domain::records::LeftEntry;
use crate::domain::topic::Topic;
use crate::protocol::ledger::Standing;
use crate::protocol::positions::Positions;
use crate::protocol::progress::{LetterKind, MAX_OPEN, Move, Target};
use std::rc::Rc;

/// Everything of one cycle that is to be appended. The order of kinds does not matter: none is believed before all
/// are durable.
#[derive(Debug, Clone, Default)]
pub struct Tell {
    pub events: Vec<Telling>,
    /// The copies of the move that the last commit decided.
    pub copy: Option<Copy>,
    /// Entries for the campaign topic.
    pub left: Vec<LeftEntry>,
    /// Claims taken back without an event (the in-doubt ones of the last owner have theirs).
    pub(super) released: Vec<Slot>,
}

/// One event to write.
#[derive(Debug, Clone)]
pub struct Telling {
    pub slot: Slot,
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
    pub slots: Vec<Slot>,
}

impl Tell {
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.copy.is_none() && self.left.is_empty()
    }
}

impl Machine {
    /// What is to be appended now; [`Machine::told`] follows when all of it is durable. The ledger of the moment
    /// has been read to the campaign topic's end.
    pub fn tell(&mut self, moment: &Moment) -> Tell {
        self.just_left.clear();
        let mut tell = Tell::default();
        match self.phase {
            Phase::Numbering => return tell,
            Phase::Inquest => self.tell_in_doubt(moment, &mut tell),
            Phase::Active | Phase::Draining => {
                self.tell_reports(&mut tell);
                self.tell_endings(moment, &mut tell);
                tell.copy = self.copy();
                tell.left = self.leaving(moment, &tell);
            }
        }
        self.telling = Some(tell.clone());
        tell
    }

    fn tell_in_doubt(&self, moment: &Moment, tell: &mut Tell) {
        let note = Rc::new(EventDetails {
            reason: Some(Reason::WorkerLost),
            ..EventDetails::default()
        });
        for slot in self.in_doubt() {
            let held = self.is_held_in_doubt(slot, moment);
            let then = if held {
                Then::Go(Going::letter(LetterKind::InDoubt))
            } else {
                Then::Release
            };
            tell.events.push(Telling {
                slot,
                kind: EventType::InDoubt,
                is_final: held,
                note: note.clone(),
                then,
            });
        }
    }

    fn tell_reports(&mut self, tell: &mut Tell) {
        for report in std::mem::take(&mut self.reports) {
            let (kind, is_final, then) = match report.fate {
                Fate::Unused => {
                    tell.released.push(report.slot);
                    continue;
                }
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
                    (
                        kind,
                        false,
                        Then::Go(Going {
                            target: Target::Retry(delay),
                            uses_try,
                        }),
                    )
                }
                Fate::Dead => (
                    EventType::Dead,
                    true,
                    Then::Go(Going::letter(LetterKind::Dead)),
                ),
                Fate::Held => (
                    EventType::InDoubt,
                    true,
                    Then::Go(Going::letter(LetterKind::InDoubt)),
                ),
            };
            tell.events.push(Telling {
                slot: report.slot,
                kind,
                is_final,
                note: report.note,
                then,
            });
        }
    }

    /// Messages that end without an attempt (suppressed at enqueue, cancelled, expired), and those that are in the
    /// way of others (due but paused or held back): these are moved without an event.
    fn tell_endings(&mut self, moment: &Moment, tell: &mut Tell) {
        let crowded = self.is_crowded(moment);
        for offset in self.open_offsets() {
            let Some(run) = self.progress.open.get(&offset).map(|chunk| chunk.run) else {
                continue;
            };
            let free = self.free(offset);
            let standing = moment.ledger.standing(run, moment.now);
            let expired = moment
                .ledger
                .expires_at(run)
                .is_some_and(|at| at <= moment.now);
            if free.is_empty() {
                continue;
            }
            let parked = self.parked(offset, &free, standing, crowded, moment);
            self.park(offset, &parked);
            let all_end = expired || standing == Standing::Cancelled;
            let candidates = if all_end {
                free
            } else {
                free.and(self.suppressed(offset))
            };
            for position in candidates.without(&parked).iter() {
                let slot = Slot { offset, position };
                if let Some((end, note)) = self.ending(slot, standing, expired) {
                    let kind = EventType::from(end);
                    tell.events.push(Telling {
                        slot,
                        kind,
                        is_final: true,
                        note,
                        then: Then::Done(end),
                    });
                }
            }
        }
    }

    fn ending(
        &self,
        slot: Slot,
        standing: Standing,
        expired: bool,
    ) -> Option<(Final, Rc<EventDetails>)> {
        let suppressed = self.message(slot)?.line.suppressed.as_deref();
        if standing == Standing::Cancelled {
            return Some((Final::Cancelled, Rc::default()));
        }
        if let Some(why) = suppressed {
            return Some((
                Final::Suppressed,
                Rc::new(EventDetails {
                    reason: why.parse().ok(),
                    ..EventDetails::default()
                }),
            ));
        }
        expired.then(|| {
            (
                Final::Expired,
                Rc::new(EventDetails {
                    reason: Some(Reason::Expired),
                    ..EventDetails::default()
                }),
            )
        })
    }

    /// In a tier: what a paused run has here, and what is due to a lane that is closed. In send: what a closed lane
    /// keeps from being sent while it fills the open chunks, so that other sites' mail is not behind it.
    fn parked(
        &self,
        offset: Offset,
        free: &Positions,
        standing: Standing,
        crowded: bool,
        moment: &Moment,
    ) -> Positions {
        if self.phase == Phase::Draining || standing == Standing::Cancelled {
            return Positions::default();
        }
        if !self.is_send() && standing != Standing::Sending {
            return free.without(self.suppressed(offset));
        }
        if self.is_send() && !(crowded && standing == Standing::Sending) {
            return Positions::default();
        }
        let Some(opened) = self.chunks.get(&offset) else {
            return Positions::default();
        };
        free.iter()
            .filter(|position| self.is_due(opened, *position, moment.now))
            .filter(|position| {
                let line = opened
                    .chunk
                    .messages
                    .get(*position)
                    .map(|message| &message.line);
                line.is_some_and(|line| {
                    line.suppressed.is_none() && (moment.is_closed)(&line.address)
                })
            })
            .collect()
    }

    fn park(&mut self, offset: Offset, parked: &Positions) {
        let delay = match self.at.topic {
            Topic::Retry(own) => own,
            _ => self.rules.parking,
        };
        for position in parked.iter() {
            self.go(
                Slot { offset, position },
                Going {
                    target: Target::Retry(delay),
                    uses_try: false,
                },
            );
        }
    }

    /// Every open chunk waits for a lane: nothing else gets a place.
    fn is_crowded(&self, moment: &Moment) -> bool {
        self.progress.open.len() >= MAX_OPEN && self.claimable(moment, 1) == 0
    }

    fn suppressed(&self, offset: Offset) -> &Positions {
        static NONE: Positions = Positions::NONE;
        self.chunks
            .get(&offset)
            .map_or(&NONE, |opened| &opened.suppressed)
    }

    fn copy(&self) -> Option<Copy> {
        let decided = self.progress.moving.clone()?;
        let mut slots: Vec<Slot> = Vec::new();
        for (offset, chunk) in &self.progress.open {
            slots.extend(chunk.moving.iter().map(|position| Slot {
                offset: *offset,
                position,
            }));
        }
        slots.sort_by_key(|slot| self.message(*slot).map(|message| message.line.row));
        Some(Copy { decided, slots })
    }

    /// Everything that the last [`Machine::tell`] gave is durable.
    pub fn told(&mut self) {
        let Some(tell) = self.telling.take() else {
            return;
        };
        for telling in tell.events {
            match telling.then {
                Then::Done(end) => self.finish(telling.slot, |counters| counters.add(end)),
                Then::Go(going) => self.go(telling.slot, going),
                Then::Release => self.release_claim(telling.slot),
            }
        }
        for slot in tell.released {
            self.release_claim(slot);
        }
        if let Some(copy) = tell.copy {
            self.moved(&copy);
        }
        for left in tell.left {
            self.remove_left(left.key);
        }
        if self.phase == Phase::Inquest {
            return;
        }
        self.close_finished();
    }

    fn finish(&mut self, slot: Slot, count: impl FnOnce(&mut crate::domain::counters::Counters)) {
        let Some(chunk) = self.progress.open.get_mut(&slot.offset) else {
            return;
        };
        chunk.done.add(slot.position);
        if let Some(run) = self.progress.runs.get_mut(&chunk.run) {
            count(&mut run.counters);
        }
    }

    fn go(&mut self, slot: Slot, going: Going) {
        if let Some(opened) = self.chunks.get_mut(&slot.offset) {
            opened.leaving.add(slot.position);
            self.going.insert(slot, going);
        }
    }

    fn release_claim(&mut self, slot: Slot) {
        if let Some(chunk) = self.progress.open.get_mut(&slot.offset) {
            chunk.claimed.remove(slot.position);
        }
    }

    fn moved(&mut self, copy: &Copy) {
        for slot in &copy.slots {
            if let Some(chunk) = self.progress.open.get_mut(&slot.offset) {
                chunk.moving.remove(slot.position);
            }
            match copy.decided.target {
                Target::Retry(_) => self.finish(*slot, |counters| counters.moved += 1),
                Target::Letter(kind) => self.finish(*slot, |counters| counters.add(kind.end())),
            }
        }
        self.progress.moving = None;
    }

    /// Chunks of which nothing is left make room.
    fn close_finished(&mut self) {
        for offset in self.open_offsets() {
            let (Some(chunk), Some(opened)) =
                (self.progress.open.get(&offset), self.chunks.get(&offset))
            else {
                continue;
            };
            if chunk.done.count() >= opened.chunk.messages.len() {
                self.progress.open.remove(&offset);
                self.chunks.remove(&offset);
            }
        }
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
