//! The commit: decides the next move, claims messages, and writes both into the text and the offset.

use super::check::{check_progress, not_open, open_of};
use super::opened::Site;
use super::waiting::count_up_to;
use super::{CycleView, Machine, MessageRef, OpenMessage, Opened, Phase, WaitingMove};
use crate::domain::chunk::Message;
use crate::domain::ids::{Offset, RunKey};
use crate::protocol::invariant::{Broken, Invariant};
use crate::protocol::ledger::RunState;
use crate::protocol::progress::Move;
use std::collections::BTreeMap;
use std::rc::Rc;

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
    /// The last commit is old: commit again if messages are in flight, because their claims expire with it.
    pub renew: bool,
}

/// A message that may be claimed.
struct Candidate<'a> {
    reference: MessageRef,
    run: RunKey,
    site: &'a Site,
    /// The site takes only so many messages now.
    is_limited: bool,
    opened: &'a Opened,
    message: &'a Message,
}

/// One of each in turn, until one has no more.
fn in_turn<T>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
    let mut merged = Vec::with_capacity(first.len() + second.len());
    let mut second = second.into_iter();
    for one in first {
        merged.push(one);
        merged.extend(second.next());
    }
    merged.extend(second);
    merged
}

impl Machine {
    /// How many messages could be claimed now, counted no further than `limit`.
    pub fn claimable(&self, view: &CycleView, limit: usize) -> usize {
        count_up_to(limit, self.ready(view, limit, None))
    }

    /// Before [`Machine::compose`]: opens what was read and decides a move. If too much has changed since the last base,
    /// nothing is committed in this cycle, and the next effects have a new base: [`Machine::compose`] returns `None`.
    pub fn prepare(&mut self, view: &CycleView) -> Result<(), Broken> {
        if self.phase == Phase::SettlingClaims && self.is_acked() {
            // No claim was left to settle, so no second commit is needed.
            self.phase = Phase::Active;
        }
        // Whoever replaces a run waits until every owner has committed that it knows the cancel.
        let known = view.ledger.cancels_below();
        self.progress.cancels_below = self.progress.cancels_below.max(known);
        if !self.is_taking_over() {
            self.skip_cancelled(view);
            self.reopen(view)?;
            self.open_staged(view)?;
            self.decide()?;
            self.update_backlog();
        }
        let fits = self.fits()?;
        self.awaits_base = !fits && !self.is_acked();
        self.is_full = !fits && self.is_acked();
        Ok(())
    }

    pub fn awaits_base(&self) -> bool {
        self.awaits_base
    }

    /// Messages that only the last commit has claimed. As long as it stands they count against the worker's bound.
    pub fn released(&self) -> usize {
        let acked = self.acked.as_ref();
        acked.map_or(0, |acked| acked.uncommitted_beside(&self.progress))
    }

    /// Claims messages and writes the commit. `None`: nothing has changed since the last commit, and no claim needs to be
    /// renewed; or a base must be durable first.
    pub fn compose(&mut self, view: &CycleView, limits: Limits) -> Result<Option<Draft>, Broken> {
        if self.awaits_base || self.is_full {
            return Ok(None);
        }
        if !self.is_taking_over() {
            self.claim(view, limits.claims)?;
        }
        // Claims expire two thirds of a lease after the last commit that has them. A relay may take longer than that
        // before the final dot, so the commit is repeated while messages are in flight.
        let renew = limits.renew && !self.in_flight.is_empty();
        let offset = if self.is_taking_over() {
            self.offset
        } else {
            self.lowest(view, limits.end)
        };
        // A message that was released and claimed again makes the same text, but is a new claim that must be
        // acknowledged.
        let is_same = self.is_acked() && offset == self.offset;
        if is_same && self.claiming.is_empty() && !renew {
            return Ok(None);
        }
        let text = self.fitting_text()?;
        self.update_backlog();
        check_progress(self.at, &self.progress)?;
        self.offset = offset;
        self.composed = Some(Rc::new(self.progress.clone()));
        Ok(Some(Draft { offset, text }))
    }

    /// Whether the text without new claims fits a commit. Errors: it never will.
    fn fits(&mut self) -> Result<bool, Broken> {
        let longest = self.rules.max_text;
        if self.bases.text(&self.progress).len() <= longest {
            return Ok(true);
        }
        let shortest = self.progress.head().len();
        if shortest > longest {
            let detail = format!("{shortest} characters of {longest}");
            return Err(self.broken(Invariant::TextFitsACommit, detail));
        }
        Ok(false)
    }

    /// Claims that do not fit are taken back, the last ones first.
    fn fitting_text(&mut self) -> Result<String, Broken> {
        let mut text = self.bases.text(&self.progress);
        while text.len() > self.rules.max_text {
            if self.claiming.is_empty() {
                let detail = format!("{} characters of {}", text.len(), self.rules.max_text);
                return Err(self.broken(Invariant::TextFitsACommit, detail));
            }
            self.unclaim(self.claiming.len() / 2)?;
            text = self.bases.text(&self.progress);
        }
        Ok(text)
    }

    /// The last draft is acknowledged. Returns the messages that it claimed: they may be handed over now.
    pub fn committed(&mut self) -> Result<Vec<OpenMessage>, Broken> {
        let Some(composed) = self.composed.take() else {
            return Err(self.broken(
                Invariant::CommitIsAwaited,
                format!("epoch {}", self.epoch()),
            ));
        };
        self.acked = Some(composed);
        self.bases.committed();
        self.phase = match self.phase {
            Phase::Fencing => Phase::SettlingClaims,
            Phase::SettlingClaims => Phase::Active,
            other => other,
        };
        let claimed = std::mem::take(&mut self.claiming);
        let in_flight = claimed.iter().cloned();
        self.in_flight
            .extend(in_flight.map(|message| (message.reference, message)));
        Ok(claimed)
    }

    /// Decides one move at a time: the oldest waiting message and those of its run with the same target. One at a time,
    /// because the commit names only one, and the next owner repeats it under the same number.
    fn decide(&mut self) -> Result<(), Broken> {
        if self.progress.moving.is_some() {
            return Ok(());
        }
        let Some(first) = self.waiting.values().next().copied() else {
            return Ok(());
        };
        let chosen = self.companions(&first);
        self.progress.last_move += 1;
        self.progress.moving = Some(Move {
            number: self.progress.last_move,
            target: first.target,
            run: first.run,
            uses_try: first.uses_try,
        });
        for reference in chosen {
            self.waiting.remove(&reference);
            let opened = self.chunks.get_mut(&reference.offset);
            let opened = opened.ok_or_else(|| not_open(self.at, reference))?;
            opened.leaving.remove(reference.position);
            let chunk = open_of(self.at, &mut self.progress.open, reference)?;
            chunk.moving.add(reference.position);
            self.backlog.change(reference.offset);
        }
        Ok(())
    }

    /// As many messages as fit into one record, at least one.
    fn companions(&self, first: &WaitingMove) -> Vec<MessageRef> {
        let mut bytes = 0;
        let mut chosen: Vec<MessageRef> = Vec::new();
        for (reference, waiting) in &self.waiting {
            if !waiting.goes_with(first) {
                continue;
            }
            let is_full = bytes + waiting.bytes > self.rules.move_bytes
                || chosen.len() >= crate::domain::chunk::MAX_ROWS;
            if !chosen.is_empty() && is_full {
                break;
            }
            bytes += waiting.bytes;
            chosen.push(*reference);
        }
        chosen
    }

    /// Runs take turns message by message; within a run the oldest chunk goes first.
    fn claim(&mut self, view: &CycleView, claims: usize) -> Result<(), Broken> {
        if self.phase != Phase::Active || claims == 0 {
            return Ok(());
        }
        let taken = self.choose(view, claims);
        for message in &taken {
            let chunk = open_of(self.at, &mut self.progress.open, message.reference)?;
            chunk.claimed.add(message.reference.position);
            self.backlog.change(message.reference.offset);
        }
        self.claiming = taken;
        Ok(())
    }

    fn choose(&mut self, view: &CycleView, claims: usize) -> Vec<OpenMessage> {
        let queues = self.candidates(view, claims);
        let mut queues: Vec<_> = queues.into_values().map(Vec::into_iter).collect();
        let count = queues.len().max(1);
        queues.rotate_left(self.turn % count);
        let mut taken: Vec<OpenMessage> = Vec::new();
        let mut last_limited = None;
        while taken.len() < claims && !queues.is_empty() {
            queues.retain_mut(|queue| {
                let next = if taken.len() < claims {
                    queue.find(|candidate| (view.reserve)(candidate.site))
                } else {
                    return true;
                };
                let is_any = next.is_some();
                let limited = next.as_ref().filter(|next| next.is_limited);
                last_limited = limited
                    .map(|next| next.site.clone())
                    .or(last_limited.take());
                taken.extend(next.map(|next| {
                    self.open_message(next.reference, next.run, next.opened, next.message)
                }));
                is_any
            });
        }
        if count > 1 {
            self.turn = self.turn.wrapping_add(taken.len());
        }
        self.last_limited = last_limited.or(self.last_limited.take());
        taken
    }

    /// What may be claimed, by run. Sites that take only so many messages now come in turn, because most of them would
    /// get nothing where one commit cannot claim for all. The oldest chunk goes first otherwise, so that few are open.
    fn candidates<'a>(
        &'a self,
        view: &'a CycleView<'a>,
        claims: usize,
    ) -> BTreeMap<RunKey, Vec<Candidate<'a>>> {
        let mut limited: BTreeMap<RunKey, Vec<Candidate>> = BTreeMap::new();
        let mut others: BTreeMap<RunKey, Vec<Candidate>> = BTreeMap::new();
        for waiting in self.ready(view, claims, self.last_limited.as_ref()) {
            let Some(opened) = self.chunks.get(&waiting.offset) else {
                continue;
            };
            let queues = match waiting.is_limited {
                true => &mut limited,
                false => &mut others,
            };
            let queue = queues.entry(waiting.run).or_default();
            let messages = opened.messages(&waiting.positions);
            queue.extend(messages.map(|(position, message)| Candidate {
                reference: MessageRef {
                    offset: waiting.offset,
                    position,
                },
                run: waiting.run,
                site: waiting.site,
                is_limited: waiting.is_limited,
                opened,
                message,
            }));
        }
        others
            .values_mut()
            .for_each(|queue| queue.sort_by_key(|candidate| candidate.reference));
        for (run, queue) in limited {
            let others = others.entry(run).or_default();
            *others = in_turn(queue, std::mem::take(others));
        }
        others
    }

    /// Takes claims of this commit back, except the first ones.
    fn unclaim(&mut self, kept: usize) -> Result<(), Broken> {
        for message in self.claiming.split_off(kept) {
            let chunk = open_of(self.at, &mut self.progress.open, message.reference)?;
            chunk.claimed.remove(message.reference.position);
            self.backlog.change(message.reference.offset);
        }
        Ok(())
    }

    /// Nothing more of a cancelled run is read.
    fn skip_cancelled(&mut self, view: &CycleView) {
        if !self.is_send() {
            return;
        }
        for (key, entry) in &mut self.progress.runs {
            if view.ledger.run_state(*key, view.now) == RunState::Cancelled
                && let Some(last) = view
                    .ledger
                    .run(*key)
                    .and_then(|run| run.last(self.at.partition))
            {
                entry.next = entry.next.max(last.saturating_add(1));
            }
        }
    }

    /// The lowest cursor or open chunk, including those of runs outside the commit: nobody needs records below it. It
    /// never goes back.
    fn lowest(&self, view: &CycleView, end: Option<Offset>) -> Offset {
        let open = self.progress.open.keys().copied();
        let lowest = if self.is_send() {
            let inside = self.progress.runs.values().map(|entry| entry.next);
            let outside = view
                .ledger
                .runs()
                .filter(|run| !self.progress.runs.contains_key(&run.manifest.key));
            let outside = outside.filter_map(|run| self.needed_by(run, view));
            open.chain(inside).chain(outside).min().or(end)
        } else {
            open.chain(std::iter::once(self.progress.next)).min()
        };
        lowest.unwrap_or(self.offset).max(self.offset)
    }

    /// The lowest offset here that a run outside the commit still needs.
    fn needed_by(
        &self,
        run: &crate::protocol::ledger::RunFacts,
        view: &CycleView,
    ) -> Option<Offset> {
        let state = view.ledger.run_state(run.manifest.key, view.now);
        if matches!(state, RunState::Cancelled | RunState::Dropped) {
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
