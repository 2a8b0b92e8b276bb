//! Which chunk is read next, and what opening it means: rows seen before are skipped, move numbers seen before too.

use super::{Machine, Moment, Opened, Phase};
use crate::domain::chunk::Chunk;
use crate::domain::ids::{Offset, RunKey};
use crate::domain::topic::Topic;
use crate::protocol::ledger::{RunFacts, Standing};
use crate::protocol::positions::Positions;
use crate::protocol::progress::{MAX_OPEN, MAX_RUNS, OpenChunk, RunEntry};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// Fewer free messages of a run than this, and its next chunk is read.
pub const READ_AHEAD: usize = 128;

/// What the shell should read now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// The contents of a chunk that the string has open: [`Machine::supply`].
    Contents(Offset),
    /// The next chunk of this run with this fingerprint, from `from` up to and including `last`: [`Machine::found`].
    Next {
        run: RunKey,
        fingerprint: String,
        from: Offset,
        last: Offset,
    },
    /// The next record of a tier: [`Machine::found`], if there is one.
    Due { from: Offset },
}

/// What was read: everything in `from..next` is passed, and `chunk` is the one in it that counts.
#[derive(Debug, Clone)]
pub struct Found {
    pub run: RunKey,
    pub from: Offset,
    pub next: Offset,
    pub chunk: Option<(Offset, Rc<Chunk>)>,
    pub appended_at: SystemTime,
}

impl Machine {
    /// At most one thing at a time; asked again when it came.
    pub fn want(&self, moment: &Moment) -> Option<Want> {
        if self.phase == Phase::Numbering {
            return None;
        }
        if let Some(offset) = self.missing() {
            return Some(Want::Contents(offset));
        }
        if self.phase != Phase::Active
            || !self.staged.is_empty()
            || self.progress.open.len() >= MAX_OPEN
        {
            return None;
        }
        if !self.is_send() {
            return Some(Want::Due {
                from: self.progress.next,
            });
        }
        let run = self.next_run(moment)?;
        let last = run.last(self.at.partition)?;
        let (from, _) = self.cursor(run);
        let fingerprint = run.manifest.fingerprint.clone();
        (from <= last).then_some(Want::Next {
            run: run.manifest.key,
            fingerprint,
            from,
            last,
        })
    }

    /// An open chunk whose contents are not here.
    pub fn missing(&self) -> Option<Offset> {
        self.progress
            .open
            .keys()
            .find(|offset| !self.chunks.contains_key(offset))
            .copied()
    }

    pub fn supply(&mut self, offset: Offset, chunk: Rc<Chunk>, appended_at: SystemTime) {
        if self.progress.open.contains_key(&offset) {
            let due = self.due(&chunk, appended_at);
            self.chunks
                .entry(offset)
                .or_insert_with(|| Opened::new(chunk, due));
        }
    }

    pub fn found(&mut self, found: Found) {
        self.staged.push_back(found);
    }

    /// The low mark has been found higher than it was known to be.
    pub fn low_mark(&mut self, low: Offset) {
        self.low = self.low.max(low);
    }

    /// When the next staged chunk or open message of a tier is due, to be woken then.
    pub fn next_due(&self, now: SystemTime) -> Option<SystemTime> {
        let staged = self
            .staged
            .iter()
            .filter_map(|found| self.due_of(found).map(|(from, _)| from));
        let open = self.chunks.iter().flat_map(|(offset, opened)| {
            let free = self.free(*offset);
            free.iter()
                .map(|position| self.due_at(opened, position))
                .collect::<Vec<_>>()
        });
        staged.chain(open.flatten()).filter(|at| *at > now).min()
    }

    /// Oldest seal first, in turn, among the runs that have something to read here and may.
    fn next_run<'a>(&self, moment: &Moment<'a>) -> Option<&'a RunFacts> {
        let ready: Vec<&RunFacts> = moment
            .ledger
            .sealed()
            .filter(|run| self.may_read(run, moment))
            .collect();
        let unopened = ready
            .iter()
            .filter(|run| self.open_count(run.manifest.key) == 0)
            .count();
        let spare = MAX_OPEN.saturating_sub(self.progress.open.len());
        let count = ready.len();
        let mut order =
            (0..count).filter_map(|step| ready.get((step + self.turn) % count.max(1)).copied());
        order.find(|run| {
            let key = run.manifest.key;
            let open = self.open_count(key);
            let has_place = open == 0 || spare > unopened;
            has_place && self.free_count(key) < READ_AHEAD
        })
    }

    fn may_read(&self, run: &RunFacts, moment: &Moment) -> bool {
        let key = run.manifest.key;
        let Some(last) = run.last(self.at.partition) else {
            return false;
        };
        if self.just_left.contains(&key)
            || moment.ledger.standing(key, moment.now) != Standing::Sending
        {
            return false;
        }
        if let Some(entry) = self.progress.runs.get(&key) {
            return entry.next <= last;
        }
        let (next, left_open) = self.cursor(run);
        let has_room =
            self.progress.runs.len() < MAX_RUNS && self.progress.open.len() + left_open <= MAX_OPEN;
        has_room && (next <= last || left_open > 0)
    }

    /// Where a run is read from here, and how many chunks it has open outside the string.
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

    fn free_count(&self, run: RunKey) -> usize {
        let open = self
            .progress
            .open
            .iter()
            .filter(|(_, chunk)| chunk.run == run);
        open.map(|(offset, _)| self.free(*offset).count()).sum()
    }

    /// A run that comes back with chunks open has them opened before anything of it is read.
    pub(super) fn reopen(&mut self, moment: &Moment) {
        if self.phase != Phase::Active || !self.is_send() {
            return;
        }
        let back: Vec<RunKey> = moment
            .ledger
            .sealed()
            .filter(|run| !self.progress.runs.contains_key(&run.manifest.key))
            .filter(|run| {
                run.left
                    .get(&self.at)
                    .is_some_and(|left| !left.open.is_empty())
            })
            .map(|run| run.manifest.key)
            .collect();
        for key in back {
            if moment
                .ledger
                .run(key)
                .is_some_and(|run| self.may_read(run, moment))
            {
                self.enter(key, moment);
            }
        }
    }

    /// Puts a run into the string: as it left, or from its start.
    pub(super) fn enter(&mut self, key: RunKey, moment: &Moment) {
        if self.progress.runs.contains_key(&key) {
            return;
        }
        let Some(run) = moment.ledger.run(key) else {
            return;
        };
        let (next, _) = self.cursor(run);
        let left = run.left.get(&self.at);
        let entry = RunEntry {
            next: if self.is_send() { next } else { 0 },
            last_row: left.and_then(|left| left.last_row),
            counters: left.map(|left| left.counters).unwrap_or_default(),
        };
        self.progress.runs.insert(key, entry);
        for (offset, done) in left.into_iter().flat_map(|left| &left.open) {
            let done = Positions::parse(done).unwrap_or_default();
            self.progress.open.insert(
                *offset,
                OpenChunk {
                    run: key,
                    done,
                    ..OpenChunk::default()
                },
            );
        }
    }

    pub(super) fn open_staged(&mut self, moment: &Moment) {
        if self.phase != Phase::Active {
            self.staged.clear();
            return;
        }
        while let Some(found) = self.staged.front() {
            if self
                .due_of(found)
                .is_some_and(|(from, _)| from > moment.now)
                || self.progress.open.len() >= MAX_OPEN
            {
                return;
            }
            let Some(found) = self.staged.pop_front() else {
                return;
            };
            if self.is_send() {
                self.open_send(found, moment)
            } else {
                self.open_due(found, moment)
            }
        }
    }

    fn open_send(&mut self, found: Found, moment: &Moment) {
        let may = moment
            .ledger
            .run(found.run)
            .is_some_and(|run| self.may_read(run, moment));
        if !may {
            return;
        }
        self.enter(found.run, moment);
        let Some(entry) = self.progress.runs.get_mut(&found.run) else {
            return;
        };
        if entry.next != found.from {
            return;
        }
        entry.next = found.next;
        self.turn = self.turn.wrapping_add(1);
        let Some((offset, chunk)) = found.chunk else {
            return;
        };
        let above = entry.last_row;
        let is_seen = |row: u64| above.is_some_and(|last| row <= last);
        if is_seen(chunk.head.last_row) {
            return;
        }
        entry.last_row = Some(chunk.head.last_row);
        let seen = chunk
            .messages
            .iter()
            .enumerate()
            .filter(|(_, message)| is_seen(message.line.row));
        let done: Positions = seen.map(|(position, _)| position).collect();
        self.insert(offset, found.run, done, chunk, found.appended_at);
    }

    /// A tier's record counts when its move number is above the last seen from its source.
    fn open_due(&mut self, found: Found, moment: &Moment) {
        if found.from != self.progress.next {
            return;
        }
        self.progress.next = found.next;
        let Some((offset, chunk)) = found.chunk else {
            return;
        };
        let Some((source, number)) = chunk.head.moved_from else {
            return;
        };
        let seen = self.progress.seen.entry(source).or_default();
        if number <= *seen {
            return;
        }
        *seen = number;
        self.enter(chunk.head.key, moment);
        self.insert(
            offset,
            chunk.head.key,
            Positions::default(),
            chunk,
            found.appended_at,
        );
    }

    fn insert(
        &mut self,
        offset: Offset,
        run: RunKey,
        done: Positions,
        chunk: Rc<Chunk>,
        appended_at: SystemTime,
    ) {
        self.progress.open.insert(
            offset,
            OpenChunk {
                run,
                done,
                ..OpenChunk::default()
            },
        );
        let due = self.due(&chunk, appended_at);
        self.chunks.insert(offset, Opened::new(chunk, due));
    }

    fn due_of(&self, found: &Found) -> Option<(SystemTime, SystemTime)> {
        let (_, chunk) = found.chunk.as_ref()?;
        self.due(chunk, found.appended_at)
    }

    /// A tier's chunk is due after the tier's delay; a full one is spread over the jitter both ways, a small one
    /// need not be spread.
    fn due(&self, chunk: &Chunk, appended_at: SystemTime) -> Option<(SystemTime, SystemTime)> {
        let Topic::Retry(delay) = self.at.topic else {
            return None;
        };
        let fill = chunk.messages.len() as f64 / crate::domain::chunk::MAX_ROWS as f64;
        let spread = delay.mul_f64((self.rules.jitter * fill).clamp(0.0, 1.0));
        Some((appended_at + delay - spread, appended_at + delay + spread))
    }

    fn due_at(&self, opened: &Opened, position: usize) -> Option<SystemTime> {
        let (from, to) = opened.due?;
        let width = to.duration_since(from).unwrap_or(Duration::ZERO);
        // Steps of the golden ratio spread any number of positions evenly.
        let share = (position as f64 * 0.618_033_988_75).fract();
        Some(from + width.mul_f64(share))
    }

    /// With every place taken and more of the tier overdue, spreading would only hold it up.
    pub(super) fn is_due(&self, opened: &Opened, position: usize, now: SystemTime) -> bool {
        let behind = self.progress.open.len() >= MAX_OPEN;
        self.due_at(opened, position)
            .is_none_or(|at| at <= now || behind)
    }
}
