//! Entries leave the commit for the campaign topic: when a run is paused, when nothing of it is left here, and in tiers
//! when the commit is full. An entry leaves exactly as the last acknowledged commit has it, without claims or a move:
//! if the next commit fails, the entry that left and the one in the commit must say the same.

use super::{CycleView, Effects, Machine};
use crate::domain::ids::{Offset, RunKey};
use crate::domain::records::LeftEntry;
use crate::protocol::invariant::{Broken, Invariant};
use crate::protocol::ledger::RunState;
use crate::protocol::progress::{MAX_RUNS, OpenChunk, Progress, RunEntry};
use std::collections::BTreeMap;

impl Machine {
    /// Entries that may leave in this cycle.
    pub(super) fn leaving(&self, view: &CycleView, effects: &Effects) -> Vec<LeftEntry> {
        let Some(acked) = &self.acked else {
            return Vec::new();
        };
        if acked.moving.is_some()
            || self.progress.moving.is_some()
            || acked.epoch != self.progress.epoch
        {
            return Vec::new();
        }
        let runs = self.progress.runs.iter();
        runs.filter(|(key, entry)| {
            self.wants_out(**key, entry, view) && self.is_settled(**key, acked, effects)
        })
        .map(|(key, entry)| self.left(*key, entry))
        .collect()
    }

    fn wants_out(&self, key: RunKey, entry: &RunEntry, view: &CycleView) -> bool {
        let state = view.ledger.run_state(key, view.now);
        if !self.is_send() {
            let crowded = self.progress.runs.len() + 1 >= MAX_RUNS;
            return self.open_count(key) == 0
                && (crowded || self.is_draining() || state != RunState::Sending);
        }
        let run = view.ledger.run(key);
        let last = run
            .filter(|run| run.is_complete())
            .and_then(|run| run.last(self.at.partition));
        let finished = self.open_count(key) == 0 && last.is_some_and(|last| entry.next > last);
        let cancelled = self.open_count(key) == 0 && state == RunState::Cancelled;
        finished || cancelled || state == RunState::Paused
    }

    /// The last acknowledged commit has the entry as it is here, no message of the run is claimed, and no effect of
    /// this cycle is about it.
    fn is_settled(&self, key: RunKey, acked: &Progress, effects: &Effects) -> bool {
        let open_here = open_of(&self.progress, key);
        let same = acked.runs.get(&key) == self.progress.runs.get(&key)
            && open_of(acked, key) == open_here;
        let claimed = open_here
            .values()
            .any(|chunk| !chunk.claimed.without(&chunk.done).is_empty());
        let is_affected = effects
            .events
            .iter()
            .any(|event| open_here.contains_key(&event.message.reference.offset))
            || effects
                .released
                .iter()
                .any(|reference| open_here.contains_key(&reference.offset));
        let is_moving = self
            .waiting
            .keys()
            .any(|reference| open_here.contains_key(&reference.offset));
        same && !claimed && !is_affected && !is_moving
    }

    fn left(&self, key: RunKey, entry: &RunEntry) -> LeftEntry {
        let open = open_of(&self.progress, key);
        LeftEntry {
            key,
            at: self.at.to_string(),
            owner: self.progress.epoch,
            next: match self.is_send() {
                true => entry.next,
                false => self.progress.next,
            },
            last_row: entry.last_row,
            open: open
                .into_iter()
                .map(|(offset, chunk)| (offset, chunk.done.text()))
                .collect(),
            counters: entry.counters,
        }
    }

    /// The entry is durable in the campaign topic, so the next commit no longer has it.
    pub(super) fn remove_left(&mut self, key: RunKey) -> Result<(), Broken> {
        if self.progress.runs.remove(&key).is_none() {
            return Err(self.broken(Invariant::EntryLeavesOnce, format!("run {key}")));
        }
        let (gone, open): (BTreeMap<_, _>, _) = std::mem::take(&mut self.progress.open)
            .into_iter()
            .partition(|(_, chunk)| chunk.run == key);
        self.progress.open = open;
        self.chunks.retain(|offset, _| !gone.contains_key(offset));
        gone.keys().for_each(|offset| self.backlog.change(*offset));
        // What was read behind its first chunk is read again, because chunks are opened in order.
        let before = self.staged.iter();
        let before = before.take_while(|found| found.chunk.head.key != key);
        self.staged.truncate(before.count());
        self.just_left.insert(key);
        Ok(())
    }
}

fn open_of(progress: &Progress, key: RunKey) -> BTreeMap<Offset, &OpenChunk> {
    progress
        .open
        .iter()
        .filter(|(_, chunk)| chunk.run == key)
        .map(|(offset, chunk)| (*offset, chunk))
        .collect()
}
