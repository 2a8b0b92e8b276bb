//! Entries leave the string: when a run is paused, when nothing of it is left here, and in tiers when places run out.
//! What leaves is exactly what the last acknowledged commit holds, with no claim and no move under way.

use super::{Machine, Moment, Tell};
use crate::domain::ids::{Offset, RunKey};
use crate::domain::records::LeftEntry;
use crate::protocol::ledger::Standing;
use crate::protocol::progress::{MAX_RUNS, OpenChunk, Progress};
use std::collections::BTreeMap;

impl Machine {
    /// Entries that may leave in this cycle.
    pub(super) fn leaving(&self, moment: &Moment, tell: &Tell) -> Vec<LeftEntry> {
        let Some(acked) = &self.acked else {
            return Vec::new();
        };
        if acked.moving.is_some()
            || self.progress.moving.is_some()
            || acked.number != self.progress.number
        {
            return Vec::new();
        }
        let runs = self.progress.runs.keys();
        runs.filter(|key| self.wants_out(**key, moment) && self.is_settled(**key, acked, tell))
            .filter_map(|key| self.left(*key))
            .collect()
    }

    fn wants_out(&self, key: RunKey, moment: &Moment) -> bool {
        let standing = moment.ledger.standing(key, moment.now);
        if !self.is_send() {
            let crowded = self.progress.runs.len() + 1 >= MAX_RUNS;
            return self.open_count(key) == 0
                && (crowded || self.is_draining() || standing != Standing::Sending);
        }
        let Some(entry) = self.progress.runs.get(&key) else {
            return false;
        };
        let run = moment.ledger.run(key);
        let last = run
            .filter(|run| run.is_complete())
            .and_then(|run| run.last(self.at.partition));
        let finished = self.open_count(key) == 0 && last.is_some_and(|last| entry.next > last);
        let cancelled = self.open_count(key) == 0 && standing == Standing::Cancelled;
        finished || cancelled || standing == Standing::Paused
    }

    /// The last acknowledged commit holds exactly what is here, nothing of the run is claimed, and nothing of it is
    /// being told.
    fn is_settled(&self, key: RunKey, acked: &Progress, tell: &Tell) -> bool {
        let open_here = open_of(&self.progress, key);
        let same = acked.runs.get(&key) == self.progress.runs.get(&key)
            && open_of(acked, key) == open_here;
        let claimed = open_here
            .values()
            .any(|chunk| !chunk.claimed.without(&chunk.done).is_empty());
        let told = tell
            .events
            .iter()
            .any(|telling| open_here.contains_key(&telling.slot.offset))
            || tell
                .released
                .iter()
                .any(|slot| open_here.contains_key(&slot.offset));
        let going = self
            .going
            .keys()
            .any(|slot| open_here.contains_key(&slot.offset));
        same && !claimed && !told && !going
    }

    fn left(&self, key: RunKey) -> Option<LeftEntry> {
        let entry = self.progress.runs.get(&key)?;
        let open = open_of(&self.progress, key);
        Some(LeftEntry {
            key,
            at: self.at.to_string(),
            owner: self.progress.number,
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
        })
    }

    /// The entry is in the campaign topic: it leaves the string with the next commit.
    pub(super) fn remove_left(&mut self, key: RunKey) {
        self.progress.runs.remove(&key);
        for offset in self.open_offsets() {
            if self
                .progress
                .open
                .get(&offset)
                .is_some_and(|chunk| chunk.run == key)
            {
                self.progress.open.remove(&offset);
                self.chunks.remove(&offset);
            }
        }
        self.staged
            .retain(|found| found.run != key || !self.at.topic.is_owned());
        self.just_left.insert(key);
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
