//! The text of a commit: one ASCII line that replaces the last one atomically.
//!
//! `mq2;e<epoch>,<owner>;n<next>;l<last move>`, and then what there is of these: `;c<cancels>`, `;m<number>,<target>,
//! <run>,<uses try>` for the move under way, `;s<source>:<number>,…` for the last moves seen, `;r<key>,<next>,<last row>,
//! <counters>` for each run, `;b<epoch>.<number>.<digest>` for the base, `;x<step>,…` for chunks of the base that are not
//! open any more, and `;k<step>,<run>,<claimed>,<moving>,<done>` for each open chunk that is not as the base has it.
//! Chunks are sorted by offset; a step is the distance from the one before, the first from 0. `<run>` counts the `r` of
//! this text from 0.
//!
//! A commit holds few characters, and hundreds of chunks are open where many sites are limited. So the state of the open
//! chunks is written to the campaign topic now and then, as a base: a text of any length without `b`. A text that is not
//! exactly this is damaged; no part of it is skipped.

use super::positions::Positions;
use super::progress::{BaseId, LetterKind, Move, OpenChunk, Progress, RunEntry, Target};
use crate::domain::counters::Counters;
use crate::domain::duration;
use crate::domain::ids::{Offset, RunKey};
use crate::domain::records::Base;
use crate::domain::topic::{INITIAL_COMMIT, TopicPartition};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;

const VERSION: &str = "mq2";
/// It has every open chunk, and names runs by their keys.
const FIRST_VERSION: &str = "mq1";

/// A text that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error(
        "the commit text has version `{0}`, this mailq reads `{FIRST_VERSION}` and `{VERSION}`"
    )]
    Version(String),
    #[error("the commit text is damaged at field {field} (`{text}`)")]
    Damaged { field: usize, text: String },
    #[error("the campaign topic has no base `{0}`, which the commit text refers to")]
    NoBase(BaseId),
}

/// Where bases are found: the campaign topic, read at least to when the text was committed.
pub trait Bases {
    fn base(&self, id: BaseId) -> Option<Rc<Progress>>;
}

/// For texts that have no base.
impl Bases for () {
    fn base(&self, _: BaseId) -> Option<Rc<Progress>> {
        None
    }
}

/// The base that a text refers to. `None`: it refers to none, or cannot be read.
pub fn base_of(text: &str) -> Option<BaseId> {
    let mut fields = text.strip_prefix(VERSION)?.split(';');
    fields.find_map(|field| BaseId::parse(field.strip_prefix('b')?))
}

impl Progress {
    /// Everything, of whatever length.
    pub fn text(&self) -> String {
        let mut text = self.head();
        self.write_chunks(&mut text, &Progress::default());
        text
    }

    /// The same, with what differs from a base instead of all open chunks.
    pub fn text_from(&self, id: BaseId, base: &Progress) -> String {
        let mut text = self.head();
        text += &Progress::base_field(id);
        self.write_chunks(&mut text, base);
        text
    }

    /// This state as a base for the commits of a partition.
    pub fn as_base(&self, at: TopicPartition, number: u64) -> (BaseId, Base) {
        let text = self.text();
        let id = BaseId::new(self.epoch, number, &text);
        let base = Base {
            at: at.to_string(),
            id: id.to_string(),
            text,
        };
        (id, base)
    }

    /// The field that names a base.
    pub(super) fn base_field(id: BaseId) -> String {
        format!(";b{id}")
    }

    /// What stands before the open chunks.
    pub(super) fn head(&self) -> String {
        let mut text = format!(
            "{VERSION};e{},{};n{};l{}",
            self.epoch, self.owner, self.next, self.last_move
        );
        // Writing to a string cannot fail, here and below.
        if self.cancels_below > 0 {
            let _ = write!(text, ";c{}", self.cancels_below);
        }
        if let Some(decided) = &self.moving {
            let (number, target) = (decided.number, target_text(decided.target));
            let uses_try = u8::from(decided.uses_try);
            let _ = write!(text, ";m{number},{target},{},{uses_try}", decided.run);
        }
        if !self.seen.is_empty() {
            let seen = self.seen.iter();
            let seen: Vec<String> = seen
                .map(|(from, number)| format!("{from}:{number}"))
                .collect();
            let _ = write!(text, ";s{}", seen.join(","));
        }
        for (key, run) in &self.runs {
            let row = run.last_row.map_or("-".to_string(), |row| row.to_string());
            let counters = counters_text(&run.counters);
            let _ = write!(text, ";r{key},{},{row},{counters}", run.next);
        }
        text
    }

    fn write_chunks(&self, text: &mut String, base: &Progress) {
        let gone = base
            .open
            .keys()
            .filter(|offset| !self.open.contains_key(offset));
        let gone: Vec<String> = steps(gone.copied()).map(|step| step.to_string()).collect();
        if !gone.is_empty() {
            let _ = write!(text, ";x{}", gone.join(","));
        }
        let changed = self.open.iter();
        let changed: Vec<(&Offset, &OpenChunk)> = changed
            .filter(|(offset, chunk)| base.open.get(offset) != Some(chunk))
            .collect();
        let runs: BTreeMap<RunKey, usize> = self
            .runs
            .keys()
            .enumerate()
            .map(|(place, key)| (*key, place))
            .collect();
        let offsets = changed.iter().map(|(offset, _)| **offset);
        for (step, (_, chunk)) in steps(offsets).zip(&changed) {
            let sets = [&chunk.claimed, &chunk.moving, &chunk.done].map(Positions::text);
            let [claimed, moving, done] = sets;
            // A chunk without its run is found by `check_progress` before anything is committed.
            let run = runs
                .get(&chunk.run)
                .map_or("-".to_string(), usize::to_string);
            let _ = write!(text, ";k{step},{run},{claimed},{moving},{done}");
        }
    }

    /// Reads a commit's text. `None`: the partition has had no owner yet.
    pub fn read(text: &str, bases: &dyn Bases) -> Result<Option<Progress>, TextError> {
        match text {
            "" | INITIAL_COMMIT => Ok(None),
            text => Progress::parse(text, bases).map(Some),
        }
    }

    /// The initial text is an empty progress.
    pub fn parse(text: &str, bases: &dyn Bases) -> Result<Progress, TextError> {
        if text == INITIAL_COMMIT {
            return Ok(Progress::default());
        }
        let mut fields = text.split(';').enumerate();
        let (_, version) = fields.next().unwrap_or((0, ""));
        let is_first = match version {
            VERSION => false,
            FIRST_VERSION => true,
            other => return Err(TextError::Version(other.chars().take(20).collect())),
        };
        let mut reading = Reading {
            is_first,
            ..Reading::default()
        };
        for (field, text) in fields {
            reading
                .field(text, bases)?
                .ok_or_else(|| TextError::Damaged {
                    field,
                    text: text.chars().take(60).collect(),
                })?;
        }
        Ok(reading.progress)
    }

    /// Reads a text without its base: of the open chunks only those that the text itself has.
    pub fn without_base(text: &str) -> Result<Option<Progress>, TextError> {
        struct Empty;
        impl Bases for Empty {
            fn base(&self, _: BaseId) -> Option<Rc<Progress>> {
                Some(Rc::default())
            }
        }
        Progress::read(text, &Empty)
    }

    /// The epoch in a text. `None`: the partition has had no owner yet.
    pub fn epoch_of(text: &str) -> Result<Option<u64>, TextError> {
        Ok(Progress::without_base(text)?.map(|progress| progress.epoch))
    }
}

/// Distances between ascending offsets, the first from 0.
fn steps(offsets: impl Iterator<Item = Offset>) -> impl Iterator<Item = u64> {
    let mut last = 0;
    offsets.map(move |offset| {
        let step = offset - last;
        last = offset;
        step
    })
}

/// A text on the way to a progress.
#[derive(Default)]
struct Reading {
    is_first: bool,
    progress: Progress,
    runs: Vec<RunKey>,
    /// Offset of the last `k`.
    last: Offset,
}

impl Reading {
    /// `None`: the field is damaged.
    fn field(&mut self, field: &str, bases: &dyn Bases) -> Result<Option<()>, TextError> {
        match field.strip_prefix('b').filter(|_| !self.is_first) {
            None => Ok(self.plain(field)),
            Some(id) => {
                let Some(id) = BaseId::parse(id) else {
                    return Ok(None);
                };
                let base = bases.base(id).ok_or(TextError::NoBase(id))?;
                self.progress.open = base.open.clone();
                Ok(Some(()))
            }
        }
    }

    fn plain(&mut self, field: &str) -> Option<()> {
        let progress = &mut self.progress;
        let (letter, rest) = field.split_at_checked(1)?;
        match letter {
            "e" | "o" if (letter == "o") == self.is_first => {
                let (epoch, owner) = rest.split_once(',')?;
                progress.epoch = epoch.parse().ok()?;
                progress.owner = owner.to_string();
            }
            "n" => progress.next = rest.parse().ok()?,
            "l" => progress.last_move = rest.parse().ok()?,
            "c" => progress.cancels_below = rest.parse().ok()?,
            "m" => progress.moving = Some(read_move(rest)?),
            "s" => {
                for pair in rest.split(',') {
                    let (source, number) = pair.rsplit_once(':')?;
                    progress
                        .seen
                        .insert(source.parse().ok()?, number.parse().ok()?);
                }
            }
            "r" => {
                let [key, next, row, counters] = parts(rest)?;
                let last_row = match row {
                    "-" => None,
                    row => Some(row.parse().ok()?),
                };
                let entry = RunEntry {
                    next: next.parse().ok()?,
                    last_row,
                    counters: read_counters(counters)?,
                };
                let key = key.parse().ok()?;
                self.runs.push(key);
                progress.runs.insert(key, entry);
            }
            "x" if !self.is_first => self.remove(rest)?,
            "k" => self.chunk(rest)?,
            _ => return None,
        }
        Some(())
    }

    fn remove(&mut self, steps: &str) -> Option<()> {
        let mut offset: Offset = 0;
        for step in steps.split(',') {
            offset = offset.checked_add(step.parse().ok()?)?;
            self.progress.open.remove(&offset);
        }
        Some(())
    }

    fn chunk(&mut self, text: &str) -> Option<()> {
        let [place, run, claimed, moving, done] = parts(text)?;
        let place: u64 = place.parse().ok()?;
        let (offset, run) = match self.is_first {
            true => {
                let run = run.parse().ok()?;
                (place, *self.runs.iter().find(|known| **known == run)?)
            }
            false => {
                let run = *self.runs.get(run.parse::<usize>().ok()?)?;
                (self.last.checked_add(place)?, run)
            }
        };
        self.last = offset;
        let chunk = OpenChunk {
            run,
            claimed: Positions::parse(claimed)?,
            moving: Positions::parse(moving)?,
            done: Positions::parse(done)?,
        };
        self.progress.open.insert(offset, chunk);
        Some(())
    }
}

/// Exactly `N` comma-separated parts.
fn parts<const N: usize>(text: &str) -> Option<[&str; N]> {
    text.split(',').collect::<Vec<_>>().try_into().ok()
}

fn target_text(target: Target) -> String {
    match target {
        Target::Retry(delay) => duration::compact(delay),
        Target::Letter(LetterKind::Dead) => "dead".to_string(),
        Target::Letter(LetterKind::InDoubt) => "in_doubt".to_string(),
    }
}

fn read_move(text: &str) -> Option<Move> {
    let [number, target, run, uses_try] = parts(text)?;
    let target = match target {
        "dead" => Target::Letter(LetterKind::Dead),
        "in_doubt" => Target::Letter(LetterKind::InDoubt),
        delay => Target::Retry(duration::parse(delay).ok()?),
    };
    let uses_try = match uses_try {
        "0" => false,
        "1" => true,
        _ => return None,
    };
    Some(Move {
        number: number.parse().ok()?,
        target,
        run: run.parse().ok()?,
        uses_try,
    })
}

/// `moved.delivered.bounced…`, trailing zeros left out.
fn counters_text(counters: &Counters) -> String {
    let mut numbers: Vec<u64> = std::iter::once(counters.moved)
        .chain(counters.finals)
        .collect();
    while numbers.len() > 1 && numbers.last() == Some(&0) {
        numbers.pop();
    }
    let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
    numbers.join(".")
}

fn read_counters(text: &str) -> Option<Counters> {
    let mut numbers = text.split('.').map(|number| number.parse::<u64>().ok());
    let mut counters = Counters {
        moved: numbers.next()??,
        ..Counters::default()
    };
    for (index, number) in numbers.enumerate() {
        *counters.finals.get_mut(index)? = number?;
    }
    Some(counters)
}

#[cfg(test)]
mod tests;
