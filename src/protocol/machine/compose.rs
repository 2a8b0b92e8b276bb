//! The commit: decides the next move, claims what may be handed over, and gives the text that says so.

use super::{Going, Machine, Moment, Phase, Slot};
use crate::domain::ids::{Offset, RunKey};
use crate::protocol::ledger::Standing;
use crate::protocol::progress::Move;
use std::collections::BTreeMap;

/// The text and the offset to commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub offset: Offset,
    pub text: String,
}

/// What one commit may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Claims to take at most.
    pub claims: usize,
    /// The log's end as it was before the ledger was read to its end.
    pub end: Option<Offset>,
    /// The last commit is a while ago: commit again if claims hang on it.
    pub renew: bool,
}

/// Commit texts are at most this long: claiming stops rather than be cut short.
pub const MAX_TEXT: usize = 3_500;

impl Machine {
    /// How many messages could be claimed now, counted no further than `limit`.
    pub fn claimable(&self, moment: &Moment, limit: usize) -> usize {
        if self.phase != Phase::Active {
            return 0;
        }
        let slots = self
            .progress
            .open
            .keys()
            .map(|offset| self.claimable_in(*offset, moment, limit).len());
        slots.sum::<usize>().min(limit)
    }

    /// Opens what was read, decides a move and takes claims. `None`: the last commit says it all, and nobody needs it
    /// to be said again.
    pub fn compose(&mut self, moment: &Moment, limits: Limits) -> Option<Draft> {
        if self.phase == Phase::Inquest && self.acked.as_ref() == Some(&self.progress) {
            // Nobody was in doubt: the commit of the number is all that the take-over needed.
            self.phase = Phase::Active;
        }
        if !self.is_taking_over() {
            self.skip_cancelled(moment);
            self.reopen(moment);
            self.open_staged(moment);
            self.decide();
            self.claim(moment, limits.claims);
        }
        // Messages under way stay claimed for as long as commits say so: a slow relay is no reason to let go of them.
        let renew = limits.renew && !self.handed.is_empty();
        let offset = if self.is_taking_over() {
            self.offset
        } else {
            self.lowest(moment, limits.end)
        };
        // A claim taken back and taken again reads as before, but it is a new claim.
        let is_same = self.acked.as_ref() == Some(&self.progress) && offset == self.offset;
        if is_same && self.claiming.is_empty() && !renew {
            return None;
        }
        let mut text = self.progress.text();
        if text.len() > MAX_TEXT {
            self.unclaim();
            text = self.progress.text();
        }
        self.offset = offset;
        self.composed = Some(self.progress.clone());
        Some(Draft { offset, text })
    }

    /// The last draft is acknowledged: these may be handed over now.
    pub fn committed(&mut self) -> Vec<Slot> {
        self.acked = self.composed.take();
        self.phase = match self.phase {
            Phase::Numbering => Phase::Inquest,
            Phase::Inquest => Phase::Active,
            other => other,
        };
        let claimed = std::mem::take(&mut self.claiming);
        self.handed.extend(claimed.iter().copied());
        claimed
    }

    /// One move at a time: the oldest that waits decides the target, and takes with it what goes there of its run.
    fn decide(&mut self) {
        if self.progress.moving.is_some() {
            return;
        }
        let Some((first, going)) = self
            .going
            .iter()
            .next()
            .map(|(slot, going)| (*slot, *going))
        else {
            return;
        };
        let Some(run) = self.progress.open.get(&first.offset).map(|chunk| chunk.run) else {
            return;
        };
        let chosen = self.companions(run, going);
        self.progress.last_move += 1;
        let (target, uses_try) = (going.target, going.uses_try);
        self.progress.moving = Some(Move {
            number: self.progress.last_move,
            target,
            run,
            uses_try,
        });
        for slot in chosen {
            self.going.remove(&slot);
            if let Some(opened) = self.chunks.get_mut(&slot.offset) {
                opened.leaving.remove(slot.position);
            }
            if let Some(chunk) = self.progress.open.get_mut(&slot.offset) {
                chunk.moving.add(slot.position);
            }
        }
    }

    /// A move is one record, one run, one target: as much as fits, at least one message.
    fn companions(&self, run: RunKey, going: Going) -> Vec<Slot> {
        let mut bytes = 0;
        let mut chosen: Vec<Slot> = Vec::new();
        for (slot, other) in &self.going {
            let of_run = self
                .progress
                .open
                .get(&slot.offset)
                .is_some_and(|chunk| chunk.run == run);
            if *other != going || !of_run {
                continue;
            }
            let size = self
                .message(*slot)
                .map_or(0, |message| message.content.len());
            let is_full = bytes + size > self.rules.move_bytes
                || chosen.len() >= crate::domain::chunk::MAX_ROWS;
            if !chosen.is_empty() && is_full {
                break;
            }
            bytes += size;
            chosen.push(*slot);
        }
        chosen
    }

    fn claimable_in(&self, offset: Offset, moment: &Moment, limit: usize) -> Vec<Slot> {
        let (Some(chunk), Some(opened)) =
            (self.progress.open.get(&offset), self.chunks.get(&offset))
        else {
            return Vec::new();
        };
        if moment.ledger.standing(chunk.run, moment.now) != Standing::Sending
            || moment
                .ledger
                .expires_at(chunk.run)
                .is_some_and(|at| at <= moment.now)
        {
            return Vec::new();
        }
        let free = self.free(offset).without(&opened.suppressed);
        free.iter()
            .filter(|position| self.is_due(opened, *position, moment.now))
            .filter(|position| {
                let line = opened
                    .chunk
                    .messages
                    .get(*position)
                    .map(|message| &message.line);
                line.is_some_and(|line| {
                    line.suppressed.is_none() && !(moment.is_closed)(&line.address)
                })
            })
            .map(|position| Slot { offset, position })
            .take(limit)
            .collect()
    }

    /// Runs take turns message by message; within a run the oldest chunk goes first.
    fn claim(&mut self, moment: &Moment, claims: usize) {
        if self.phase != Phase::Active || claims == 0 {
            return;
        }
        let mut queues: BTreeMap<RunKey, Vec<Slot>> = BTreeMap::new();
        for (offset, chunk) in &self.progress.open {
            queues
                .entry(chunk.run)
                .or_default()
                .extend(self.claimable_in(*offset, moment, claims));
        }
        let mut queues: Vec<_> = queues.into_values().map(Vec::into_iter).collect();
        let count = queues.len().max(1);
        queues.rotate_left(self.turn % count);
        let mut taken = Vec::new();
        while taken.len() < claims && !queues.is_empty() {
            queues.retain_mut(|queue| {
                let next = if taken.len() < claims {
                    queue.find(|slot| self.reserves(*slot, moment))
                } else {
                    return true;
                };
                taken.extend(next);
                next.is_some()
            });
        }
        if count > 1 {
            self.turn = self.turn.wrapping_add(taken.len());
        }
        for slot in &taken {
            if let Some(chunk) = self.progress.open.get_mut(&slot.offset) {
                chunk.claimed.add(slot.position);
            }
        }
        self.claiming = taken;
    }

    fn reserves(&self, slot: Slot, moment: &Moment) -> bool {
        self.message(slot)
            .is_some_and(|message| (moment.reserve)(&message.line.address))
    }

    fn unclaim(&mut self) {
        for slot in std::mem::take(&mut self.claiming) {
            if let Some(chunk) = self.progress.open.get_mut(&slot.offset) {
                chunk.claimed.remove(slot.position);
            }
        }
    }

    /// Of a cancelled run nothing more is read.
    fn skip_cancelled(&mut self, moment: &Moment) {
        if !self.is_send() {
            return;
        }
        for (key, entry) in &mut self.progress.runs {
            if moment.ledger.standing(*key, moment.now) == Standing::Cancelled
                && let Some(last) = moment
                    .ledger
                    .run(*key)
                    .and_then(|run| run.last(self.at.partition))
            {
                entry.next = entry.next.max(last + 1);
            }
        }
    }

    /// The lowest of all cursors and open chunks, those of runs outside the string included: what is below it
    /// nobody needs. It never goes back.
    fn lowest(&self, moment: &Moment, end: Option<Offset>) -> Offset {
        let open = self.progress.open.keys().copied();
        let lowest = if self.is_send() {
            let inside = self.progress.runs.values().map(|entry| entry.next);
            let outside = moment
                .ledger
                .runs()
                .filter(|run| !self.progress.runs.contains_key(&run.manifest.key));
            let outside = outside.filter_map(|run| self.needed_by(run, moment));
            open.chain(inside).chain(outside).min().or(end)
        } else {
            open.chain(std::iter::once(self.progress.next)).min()
        };
        lowest.unwrap_or(self.offset).max(self.offset)
    }

    /// The lowest offset here that a run outside the string still needs.
    fn needed_by(
        &self,
        run: &crate::protocol::ledger::RunFacts,
        moment: &Moment,
    ) -> Option<Offset> {
        let standing = moment.ledger.standing(run.manifest.key, moment.now);
        if matches!(standing, Standing::Cancelled | Standing::Dropped) {
            return None;
        }
        let last = match &run.seal {
            Some(_) if run.is_complete() => run.last(self.at.partition),
            _ => Some(Offset::MAX),
        };
        match run.left.get(&self.at) {
            Some(left) => {
                let cursor = last.filter(|last| left.next <= *last).map(|_| left.next);
                left.open.keys().copied().chain(cursor).min()
            }
            None => last.map(|_| run.first(self.at.partition)),
        }
    }
}
