//! What the commit of a partition contains: one ASCII line that replaces the last one atomically.
//!
//! Fields are separated by `;`, each begins with its letter:
//! `mq1;o<epoch>,<owner>;n<next>;l<last move>;c<cancels>;m<number>,<target>,<run>,<uses try>;s<source>:<number>,…`
//! and then for each run `r<key>,<next>,<last row>,<counters>` and for each open chunk
//! `k<offset>,<run>,<claimed>,<moving>,<done>`. A text that is not exactly this is damage, never skipped.

use super::positions::Positions;
use crate::domain::counters::{Counters, Final};
use crate::domain::ids::{Offset, Row, RunKey};
use crate::domain::topic::{INITIAL_COMMIT, TopicPartition};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

const VERSION: &str = "mq1";

/// A partition works on at most this many runs; the others wait, oldest seal first.
pub const MAX_RUNS: usize = 8;
/// Characters of a commit for everything but the open chunks, at the most.
const HEAD_TEXT: usize = 2_300;
/// Characters for one open chunk, at the most.
const CHUNK_TEXT: usize = 300;

/// How many chunks may be open in a partition where a commit's text may have so many characters.
pub fn max_open(commit_text: usize) -> usize {
    commit_text.saturating_sub(HEAD_TEXT) / CHUNK_TEXT
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Name of the worker, `host/process/random`; separators of the text are not allowed in it.
    pub owner: String,
    /// Grows by one at every gain, also by the same worker.
    pub epoch: u64,
    /// Retry tiers have one cursor for all runs, because move numbers are compared in log order.
    pub next: Offset,
    pub runs: BTreeMap<RunKey, RunEntry>,
    pub open: BTreeMap<Offset, OpenChunk>,
    /// The last move number given out here, kept when no move is under way.
    pub last_move: u64,
    /// The owner knew every cancel below this offset of the campaign topic, so it claims nothing of those runs any more.
    pub cancels_below: Offset,
    pub moving: Option<Move>,
    /// The last move number seen from each source.
    pub seen: BTreeMap<TopicPartition, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunEntry {
    /// Where reading continues; unused in retry tiers.
    pub next: Offset,
    /// Rows up to this one have been read, so a chunk that was appended twice is skipped.
    pub last_row: Option<Row>,
    pub counters: Counters,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenChunk {
    pub run: RunKey,
    /// May be with a relay. Stays set when the message is done.
    pub claimed: Positions,
    /// Part of the decided move.
    pub moving: Positions,
    pub done: Positions,
}

impl OpenChunk {
    /// Claimed and neither done nor being moved: in doubt when the owner is lost.
    pub fn outstanding(&self) -> Positions {
        self.claimed.without(&self.done).without(&self.moving)
    }
}

/// A decided move: the messages are in the open chunks' `moving` sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    pub number: u64,
    pub target: Target,
    pub run: RunKey,
    pub uses_try: bool,
}

/// Where a message goes from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Retry(Duration),
    /// The dlq, as dead or as in doubt.
    Letter(LetterKind),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LetterKind {
    Dead,
    InDoubt,
}

impl LetterKind {
    pub fn end(self) -> Final {
        match self {
            LetterKind::Dead => Final::Dead,
            LetterKind::InDoubt => Final::InDoubt,
        }
    }
}

/// A commit text that this version cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("the commit text has version `{0}`, this mailq reads `{VERSION}`")]
    Version(String),
    #[error("the commit text is damaged at field {field} (`{text}`)")]
    Damaged { field: usize, text: String },
}

impl Progress {
    /// Claimed and not done, including the messages of a move: a kill may leave so many in doubt here.
    pub fn uncommitted(&self) -> usize {
        self.open
            .values()
            .map(|chunk| chunk.claimed.without(&chunk.done).count())
            .sum()
    }

    pub fn text(&self) -> String {
        let mut text = format!(
            "{VERSION};o{},{};n{};l{}",
            self.epoch, self.owner, self.next, self.last_move
        );
        if self.cancels_below > 0 {
            let _ = write!(text, ";c{}", self.cancels_below);
        }
        if let Some(m) = &self.moving {
            let _ = write!(
                text,
                ";m{},{},{},{}",
                m.number,
                target_text(m.target),
                m.run,
                u8::from(m.uses_try)
            );
        }
        if !self.seen.is_empty() {
            let seen: Vec<String> = self
                .seen
                .iter()
                .map(|(source, number)| format!("{source}:{number}"))
                .collect();
            let _ = write!(text, ";s{}", seen.join(","));
        }
        for (key, run) in &self.runs {
            let row = run.last_row.map_or("-".to_string(), |row| row.to_string());
            let _ = write!(
                text,
                ";r{key},{},{row},{}",
                run.next,
                counters_text(&run.counters)
            );
        }
        for (offset, chunk) in &self.open {
            let (claimed, moving, done) =
                (chunk.claimed.text(), chunk.moving.text(), chunk.done.text());
            let _ = write!(text, ";k{offset},{},{claimed},{moving},{done}", chunk.run);
        }
        text
    }

    /// Reads a commit's text. `None`: the partition has had no owner yet.
    pub fn read(text: &str) -> Result<Option<Progress>, TextError> {
        match text {
            "" | INITIAL_COMMIT => Ok(None),
            text => Progress::parse(text).map(Some),
        }
    }

    /// The text of an initial commit is an empty progress.
    pub fn parse(text: &str) -> Result<Progress, TextError> {
        if text == INITIAL_COMMIT {
            return Ok(Progress::default());
        }
        let mut fields = text.split(';');
        let version = fields.next().unwrap_or_default();
        if version != VERSION {
            return Err(TextError::Version(version.chars().take(20).collect()));
        }
        let mut progress = Progress::default();
        for (index, field) in fields.enumerate() {
            progress
                .read_field(field)
                .ok_or_else(|| TextError::Damaged {
                    field: index + 1,
                    text: field.chars().take(60).collect(),
                })?;
        }
        Ok(progress)
    }

    fn read_field(&mut self, field: &str) -> Option<()> {
        let (letter, rest) = field.split_at_checked(1)?;
        match letter {
            "o" => {
                let (epoch, owner) = rest.split_once(',')?;
                self.epoch = epoch.parse().ok()?;
                self.owner = owner.to_string();
            }
            "n" => self.next = rest.parse().ok()?,
            "l" => self.last_move = rest.parse().ok()?,
            "c" => self.cancels_below = rest.parse().ok()?,
            "m" => self.moving = Some(read_move(rest)?),
            "s" => {
                for pair in rest.split(',') {
                    let (source, number) = pair.rsplit_once(':')?;
                    self.seen.insert(source.parse().ok()?, number.parse().ok()?);
                }
            }
            "r" => {
                let [key, next, row, counters] = parts(rest)?;
                let last_row = if row == "-" {
                    None
                } else {
                    Some(row.parse().ok()?)
                };
                let entry = RunEntry {
                    next: next.parse().ok()?,
                    last_row,
                    counters: read_counters(counters)?,
                };
                self.runs.insert(key.parse().ok()?, entry);
            }
            "k" => {
                let [offset, run, claimed, moving, done] = parts(rest)?;
                let chunk = OpenChunk {
                    run: run.parse().ok()?,
                    claimed: Positions::parse(claimed)?,
                    moving: Positions::parse(moving)?,
                    done: Positions::parse(done)?,
                };
                self.open.insert(offset.parse().ok()?, chunk);
            }
            _ => return None,
        }
        Some(())
    }
}

/// Exactly `N` comma-separated parts.
fn parts<const N: usize>(text: &str) -> Option<[&str; N]> {
    text.split(',').collect::<Vec<_>>().try_into().ok()
}

fn target_text(target: Target) -> String {
    match target {
        Target::Retry(delay) => crate::domain::duration::compact(delay),
        Target::Letter(LetterKind::Dead) => "dead".to_string(),
        Target::Letter(LetterKind::InDoubt) => "in_doubt".to_string(),
    }
}

fn read_move(text: &str) -> Option<Move> {
    let [number, target, run, uses_try] = parts(text)?;
    let target = match target {
        "dead" => Target::Letter(LetterKind::Dead),
        "in_doubt" => Target::Letter(LetterKind::InDoubt),
        delay => Target::Retry(crate::domain::duration::parse(delay).ok()?),
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
    numbers
        .iter()
        .map(u64::to_string)
        .collect::<Vec<_>>()
        .join(".")
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
mod tests {
    use super::*;
    use crate::domain::topic::Topic;

    #[test]
    fn the_initial_text_is_an_empty_progress() {
        assert_eq!(Progress::parse(INITIAL_COMMIT), Ok(Progress::default()));
        assert!(Progress::parse("mq1;inix").is_err());
    }
    use proptest::prelude::*;

    fn any_positions() -> impl Strategy<Value = Positions> {
        proptest::collection::vec(0usize..500, 0..40).prop_map(|v| v.into_iter().collect())
    }

    fn any_entry() -> impl Strategy<Value = RunEntry> {
        let numbers = proptest::array::uniform7(0u64..1_000_000);
        (
            any::<u64>(),
            proptest::option::of(any::<u64>()),
            numbers,
            0u64..99,
        )
            .prop_map(|(next, last_row, finals, moved)| RunEntry {
                next,
                last_row,
                counters: Counters { finals, moved },
            })
    }

    fn any_move() -> impl Strategy<Value = Move> {
        let target = prop_oneof![
            (1u64..10_000_000).prop_map(|ms| Target::Retry(Duration::from_millis(ms))),
            Just(Target::Letter(LetterKind::Dead)),
            Just(Target::Letter(LetterKind::InDoubt)),
        ];
        (any::<u64>(), target, any::<u64>(), any::<bool>()).prop_map(
            |(number, target, run, uses_try)| Move {
                number,
                target,
                run: RunKey(run),
                uses_try,
            },
        )
    }

    fn any_progress() -> impl Strategy<Value = Progress> {
        let chunk = (
            any::<u64>(),
            any_positions(),
            any_positions(),
            any_positions(),
        )
            .prop_map(|(run, claimed, moving, done)| OpenChunk {
                run: RunKey(run),
                claimed,
                moving,
                done,
            });
        (
            (
                "[a-z0-9./:-]{1,40}",
                any::<u64>(),
                any::<u64>(),
                any::<u64>(),
                any::<u64>(),
            ),
            proptest::collection::btree_map(
                any::<u64>().prop_map(RunKey),
                any_entry(),
                0..=MAX_RUNS,
            ),
            proptest::collection::btree_map(any::<u64>(), chunk, 0..=4usize),
            proptest::option::of(any_move()),
            proptest::collection::btree_map(0u32..200, any::<u64>(), 0..5),
        )
            .prop_map(
                |((owner, epoch, next, last_move, cancels_below), runs, open, moving, seen)| {
                    Progress {
                        owner,
                        epoch,
                        next,
                        runs,
                        open,
                        last_move,
                        cancels_below,
                        moving,
                        seen: seen
                            .into_iter()
                            .map(|(p, n)| (TopicPartition::new(Topic::Send, p), n))
                            .collect(),
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn round_trip(progress in any_progress()) {
            let text = progress.text();
            prop_assert!(text.is_ascii());
            prop_assert_eq!(Progress::parse(&text), Ok(progress));
        }

        #[test]
        fn hostile_text_never_panics(text in "(mq1;)?[ -~é]{0,200}") {
            let _ = Progress::parse(&text);
        }
    }

    #[test]
    fn the_longest_text_fits_a_commit() {
        let full = Positions::first(500);
        let counters = Counters {
            finals: [9_999_999; 7],
            moved: 9_999_999,
        };
        let entry = RunEntry {
            next: 99_999_999,
            last_row: Some(99_999_999),
            counters,
        };
        let chunk = OpenChunk {
            run: RunKey(u64::MAX),
            claimed: full.clone(),
            moving: full.clone(),
            done: full,
        };
        let tiers = [60u64, 120, 240, 1800].map(|s| Topic::Retry(Duration::from_secs(s)));
        let progress = Progress {
            owner: "a-rather-long-host-name.example.org/1234567/8f3a".into(),
            runs: (0..MAX_RUNS as u64).map(|n| (RunKey(n), entry)).collect(),
            open: (0..max_open(3_500) as u64)
                .map(|n| (99_999_990 + n, chunk.clone()))
                .collect(),
            moving: Some(Move {
                number: 9_999_999,
                target: Target::Letter(LetterKind::InDoubt),
                run: RunKey(1),
                uses_try: true,
            }),
            cancels_below: 99_999_999,
            seen: tiers
                .into_iter()
                .map(|t| (TopicPartition::new(t, 11), 9_999_999))
                .collect(),
            ..Progress::default()
        };
        assert_eq!(progress.open.len(), 4);
        assert_eq!(max_open(156_000), 512);
        assert!(progress.text().len() <= 3_500, "{}", progress.text().len());
    }

    #[test]
    fn damage_and_versions_are_told_apart() {
        assert_eq!(
            Progress::parse("mq2;o1,x"),
            Err(TextError::Version("mq2".into()))
        );
        assert!(matches!(
            Progress::parse("mq1;o1"),
            Err(TextError::Damaged { field: 1, .. })
        ));
        assert!(matches!(
            Progress::parse("mq1;o1,x;"),
            Err(TextError::Damaged { field: 2, .. })
        ));
        assert!(matches!(
            Progress::parse("mq1;o1,x;k1,2,,,"),
            Err(TextError::Damaged { .. })
        ));
    }
}
