//! Which chunk is read next, and how it is opened. Rows and moves that were read before are skipped, because records
//! may have been appended twice.

use super::check::no_entry;
use super::waiting::count_up_to;
use super::{CycleView, Due, Machine, Opened, Phase};
use crate::domain::chunk::Chunk;
use crate::domain::ids::{Offset, RunKey};
use crate::domain::topic::{Topic, TopicPartition};
use crate::protocol::invariant::{Broken, Invariant};
use crate::protocol::ledger::{RunFacts, RunState};
use crate::protocol::positions::Positions;
use crate::protocol::progress::{MAX_RUNS, OpenChunk, RunEntry};
use std::rc::Rc;
use std::time::SystemTime;

/// The next chunk of a run, or of a tier, is read when fewer of its messages than this may go now.
pub(super) const READ_AHEAD: usize = 128;

/// The next chunk of a tier is not read either while so many messages wait for their time, because each cycle asks which
/// of them are due.
const EARLY_AHEAD: usize = 4096;

/// What the worker should read now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// The contents of a chunk that is open in the commit: [`Machine::supply`].
    Contents(Offset),
    /// The next chunk of this run with this fingerprint, from `from` up to and including `last`: [`Machine::found`].
    Next {
        run: RunKey,
        fingerprint: String,
        from: Offset,
        last: Offset,
    },
    /// The next record of a tier: [`Machine::found`], if there is one.
    NextOfTier { from: Offset },
}

/// The next chunk of the run. Records between `from` and it are not of this run.
#[derive(Debug, Clone)]
pub struct Found {
    pub from: Offset,
    pub offset: Offset,
    pub chunk: Rc<Chunk>,
    pub appended_at: SystemTime,
}

impl Machine {
    /// At most one thing at a time; asked again when it was read.
    pub fn want(&self, view: &CycleView) -> Option<Want> {
        if self.phase == Phase::Fencing {
            return None;
        }
        if let Some(offset) = self.missing().or_else(|| self.unloaded(view)) {
            return Some(Want::Contents(offset));
        }
        if self.phase != Phase::Active
            || !self.staged.is_empty()
            || self.progress.open.len() >= self.rules.max_open
        {
            return None;
        }
        if !self.is_send() {
            let from = self.progress.next;
            let has_enough = self.early_count(view) >= EARLY_AHEAD
                || self.flowing_count(|_| true, view) >= READ_AHEAD;
            return (!has_enough).then_some(Want::NextOfTier { from });
        }
        let (run, last) = self.next_run(view)?;
        let (from, _) = self.cursor(run);
        let fingerprint = run.manifest.fingerprint.clone();
        (from <= last).then_some(Want::Next {
            run: run.manifest.key,
            fingerprint,
            from,
            last,
        })
    }

    /// An open chunk whose contents have not been read.
    pub fn missing(&self) -> Option<Offset> {
        self.progress
            .open
            .keys()
            .find(|offset| !self.chunks.contains_key(offset))
            .copied()
    }

    /// The contents that [`Want::Contents`] asked for.
    pub fn supply(
        &mut self,
        offset: Offset,
        chunk: Rc<Chunk>,
        appended_at: SystemTime,
    ) -> Result<(), Broken> {
        let opened = self.chunks.get_mut(&offset);
        let is_whole = opened
            .as_ref()
            .is_some_and(|opened| opened.unloaded().is_empty());
        let open = self.progress.open.get(&offset);
        let Some(open) = open.filter(|_| !is_whole) else {
            // A run may leave while a chunk of it is read again.
            return match is_whole || self.is_taking_over() {
                true => Err(self.broken(Invariant::ReadIsAwaited, format!("offset {offset}"))),
                false => Ok(()),
            };
        };
        if let Some(opened) = opened {
            opened.load(chunk);
            return Ok(());
        }
        self.check_contents(offset, open, &chunk)?;
        let due = self.due(offset, appended_at);
        let opened = Opened::new(chunk, &open.done, (appended_at, due), &self.sites);
        self.chunks.insert(offset, opened);
        self.backlog.change(offset);
        self.update_backlog();
        Ok(())
    }

    /// What [`Want::Next`] or [`Want::NextOfTier`] asked for: one chunk, or several of a tier in order.
    pub fn found(&mut self, found: Vec<Found>) -> Result<(), Broken> {
        if let Some(staged) = self.staged.front() {
            let detail = format!("offset {} again", staged.from);
            return Err(self.broken(Invariant::ReadIsAwaited, detail));
        }
        self.staged = found.into();
        Ok(())
    }

    /// A read of the partition, which is still owned, found a higher low watermark. Only records of runs that have not
    /// started here may be below it, because the offset is never raised past a needed record.
    pub fn raise_low_watermark(&mut self, low: Offset) -> Result<(), Broken> {
        let open = self.progress.open.keys().copied();
        let tier = (!self.is_send()).then_some(self.progress.next);
        let runs = self.progress.runs.values().map(|entry| entry.next);
        let runs = runs.filter(|_| self.is_send());
        if let Some(needed) = open.chain(tier).chain(runs).find(|needed| *needed < low) {
            let detail = format!("offset {needed} is below the low watermark {low}");
            return Err(self.broken(Invariant::NeededRecordsAreKept, detail));
        }
        self.low = self.low.max(low);
        Ok(())
    }

    /// When the next message of a tier is due: the worker sleeps no longer.
    pub fn next_due(&self, now: SystemTime) -> Option<SystemTime> {
        let staged = self
            .staged
            .iter()
            .filter_map(|found| self.due(found.offset, found.appended_at))
            .map(|due| due.from);
        let later = self.opened().filter(|(_, _, opened)| opened.due.is_some());
        let open = later.flat_map(|(_, open, opened)| {
            let free = opened.free(open);
            free.iter()
                .filter_map(|position| opened.due_at(position))
                .collect::<Vec<_>>()
        });
        staged.chain(open).filter(|at| *at > now).min()
    }

    /// The run to read from next and the last offset of its seal: runs with something to read take turns, oldest seal
    /// first.
    fn next_run<'a>(&self, view: &CycleView<'a>) -> Option<(&'a RunFacts, Offset)> {
        let ready: Vec<(&RunFacts, Offset)> = view
            .ledger
            .sealed()
            .filter_map(|run| Some((run, self.readable(run, view)?)))
            .collect();
        let unopened = ready
            .iter()
            .filter(|(run, _)| self.open_count(run.manifest.key) == 0)
            .count();
        let spare = self.rules.max_open.saturating_sub(self.progress.open.len());
        let count = ready.len();
        let mut order =
            (0..count).filter_map(|step| ready.get((step + self.turn) % count.max(1)).copied());
        order.find(|(run, _)| {
            let key = run.manifest.key;
            let open = self.open_count(key);
            let has_place = open == 0 || spare > unopened;
            has_place && self.flowing_count(|run| run == key, view) < READ_AHEAD
        })
    }

    fn may_read(&self, run: &RunFacts, view: &CycleView) -> bool {
        self.readable(run, view).is_some()
    }

    /// The last offset of the run's seal, if something is left to read here and it may be read now.
    fn readable(&self, run: &RunFacts, view: &CycleView) -> Option<Offset> {
        let key = run.manifest.key;
        let last = run.last(self.at.partition)?;
        if self.just_left.contains(&key)
            || view.ledger.run_state(key, view.now) != RunState::Sending
        {
            return None;
        }
        if let Some(entry) = self.progress.runs.get(&key) {
            return (entry.next <= last).then_some(last);
        }
        let (next, left_open) = self.cursor(run);
        let has_room = self.progress.runs.len() < MAX_RUNS
            && self.progress.open.len() + left_open <= self.rules.max_open;
        (has_room && (next <= last || left_open > 0)).then_some(last)
    }

    /// Where the run is read from, and how many chunks its entry that left has open.
    pub(super) fn cursor(&self, run: &RunFacts) -> (Offset, usize) {
        if let Some(entry) = self.progress.runs.get(&run.manifest.key) {
            return (entry.next, 0);
        }
        match run.left.get(&self.at) {
            Some(left) => (left.next, left.open.len()),
            None => (run.first(self.at.partition).max(self.low), 0),
        }
    }

    pub(super) fn open_count(&self, run: RunKey) -> usize {
        self.progress
            .open
            .values()
            .filter(|chunk| chunk.run == run)
            .count()
    }

    /// Messages of these runs that may go now, of each site at most `READ_AHEAD`. In a tier, messages that are not due do
    /// not count: if they did, the chunks behind them would be read too late to be spread.
    fn flowing_count(&self, is_counted: impl Fn(RunKey) -> bool, view: &CycleView) -> usize {
        let flowing = self.flowing(view, READ_AHEAD);
        let counted = flowing.filter(|waiting| is_counted(waiting.run));
        count_up_to(READ_AHEAD, counted)
    }

    /// Messages in chunks of a tier of which some are not due yet.
    fn early_count(&self, view: &CycleView) -> usize {
        let early = self.opened().filter(|(_, _, opened)| {
            let due = opened.due;
            due.is_some_and(|due| due.from + due.width > view.now)
        });
        let left = early.map(|(_, open, opened)| opened.len().saturating_sub(open.done.count()));
        left.sum()
    }

    /// Opens the chunks of runs whose entries left with open chunks, before anything more of these runs is read.
    pub(super) fn reopen(&mut self, view: &CycleView) -> Result<(), Broken> {
        if self.phase != Phase::Active || !self.is_send() {
            return Ok(());
        }
        let outside = view
            .ledger
            .sealed()
            .filter(|run| !self.progress.runs.contains_key(&run.manifest.key));
        let back: Vec<&RunFacts> = outside
            .filter(|run| {
                let left = run.left.get(&self.at);
                left.is_some_and(|left| !left.open.is_empty())
            })
            .collect();
        for run in back {
            // Asked again for each, because each one that comes back leaves less room.
            if self.may_read(run, view) {
                self.enter(run.manifest.key, view)?;
            }
        }
        Ok(())
    }

    /// Puts a run into the commit: as its entry left, or from its start.
    pub(super) fn enter(&mut self, key: RunKey, view: &CycleView) -> Result<(), Broken> {
        if self.progress.runs.contains_key(&key) {
            return Ok(());
        }
        let Some(run) = view.ledger.run(key) else {
            return Err(self.broken(Invariant::RunHasManifest, format!("run {key}")));
        };
        let (next, _) = self.cursor(run);
        let left = run.left.get(&self.at);
        let entry = RunEntry {
            next: if self.is_send() { next } else { 0 },
            last_row: left.and_then(|left| left.last_row),
            counters: left.map(|left| left.counters).unwrap_or_default(),
        };
        self.progress.runs.insert(key, entry);
        for (offset, text) in left.into_iter().flat_map(|left| &left.open) {
            let Some(done) = Positions::parse(text) else {
                let detail = format!("offset {offset} left with `{text}` done");
                return Err(self.broken(Invariant::SetsFitTheChunk, detail));
            };
            self.progress.open.insert(
                *offset,
                OpenChunk {
                    run: key,
                    done,
                    ..OpenChunk::default()
                },
            );
        }
        Ok(())
    }

    pub(super) fn open_staged(&mut self, view: &CycleView) -> Result<(), Broken> {
        if self.phase != Phase::Active {
            self.staged.clear();
        }
        while let Some(found) = self.staged.pop_front() {
            let due = self.due(found.offset, found.appended_at);
            let is_early = due.is_some_and(|due| due.from > view.now);
            if is_early || self.progress.open.len() >= self.rules.max_open {
                self.staged.push_front(found);
                break;
            }
            match self.is_send() {
                true => self.open_send(found, view)?,
                false => self.open_due(found, view)?,
            }
        }
        Ok(())
    }

    fn open_send(&mut self, found: Found, view: &CycleView) -> Result<(), Broken> {
        let key = found.chunk.head.key;
        let run = view.ledger.run(key);
        // It was paused or cancelled during the read. If it comes back the chunk is read again.
        if !run.is_some_and(|run| self.may_read(run, view)) {
            return Ok(());
        }
        self.enter(key, view)?;
        let entry = self.progress.runs.get_mut(&key);
        let entry = entry.ok_or_else(|| no_entry(self.at, key))?;
        if entry.next != found.from {
            return Err(unawaited(self.at, &found, entry.next));
        }
        entry.next = found.offset + 1;
        self.turn = self.turn.wrapping_add(1);
        let above = entry.last_row;
        let is_seen = |row: u64| above.is_some_and(|last| row <= last);
        if is_seen(found.chunk.head.last_row) {
            return Ok(());
        }
        entry.last_row = Some(found.chunk.head.last_row);
        let seen = found
            .chunk
            .messages
            .iter()
            .enumerate()
            .filter(|(_, message)| is_seen(message.line.row));
        let done: Positions = seen.map(|(position, _)| position).collect();
        self.insert(found, done)
    }

    /// A record of a tier counts only if its move number is above the last one from the same source: an owner that
    /// repeats a move uses the same number.
    fn open_due(&mut self, found: Found, view: &CycleView) -> Result<(), Broken> {
        if found.from != self.progress.next {
            return Err(unawaited(self.at, &found, self.progress.next));
        }
        self.progress.next = found.offset + 1;
        let Some((source, number)) = found.chunk.head.moved_from else {
            let detail = format!("offset {}", found.offset);
            return Err(self.broken(Invariant::CopyNamesItsSource, detail));
        };
        let seen = self.progress.seen.entry(source).or_default();
        if number <= *seen {
            return Ok(());
        }
        *seen = number;
        self.enter(found.chunk.head.key, view)?;
        self.insert(found, Positions::default())
    }

    fn insert(&mut self, found: Found, done: Positions) -> Result<(), Broken> {
        let open = OpenChunk {
            run: found.chunk.head.key,
            done: done.clone(),
            ..OpenChunk::default()
        };
        self.check_contents(found.offset, &open, &found.chunk)?;
        self.progress.open.insert(found.offset, open);
        let due = self.due(found.offset, found.appended_at);
        let opened = Opened::new(found.chunk, &done, (found.appended_at, due), &self.sites);
        self.chunks.insert(found.offset, opened);
        self.backlog.change(found.offset);
        Ok(())
    }

    /// The messages of a tier's chunk are due around the tier's delay, so that those that failed together do not return
    /// together.
    pub(super) fn due(&self, offset: Offset, appended_at: SystemTime) -> Option<Due> {
        let Topic::Retry(delay) = self.at.topic else {
            return None;
        };
        let spread = delay.mul_f64(self.rules.jitter.clamp(0.0, 1.0));
        // Partitions advance in step, so each has a start of its own.
        let start = offset as f64 + f64::from(self.at.partition) * 0.754_877_67;
        Some(Due {
            start,
            from: appended_at + delay - spread,
            width: 2 * spread,
        })
    }

    /// A tier with as many open chunks as there may be is behind: then spreading would only delay it further.
    pub(super) fn is_due(&self, opened: &Opened, position: usize, now: SystemTime) -> bool {
        let behind = self.progress.open.len() >= self.rules.max_open;
        let at = opened.due_at(position);
        at.is_none_or(|at| at <= now || behind)
    }
}

fn unawaited(at: TopicPartition, found: &Found, next: Offset) -> Broken {
    let detail = format!("offset {} was read, {next} is next", found.from);
    Broken::new(at, Invariant::ReadIsAwaited, detail)
}
