//! What is known of every row of one run, in 8 bytes a row (80 MB for ten million), and what that adds up to. Pure.
//!
//! A row's word: round 8 bits, hop 16, owner 31 (together the rank of the final event that counts; a number that is
//! too high for its bits counts as the highest), flags 6, final 3. Final events that do not count, and in-doubt
//! events, take 16 bytes each beside the words.

use super::findings::Findings;
use crate::domain::counters::Final;
use crate::domain::ids::Row;
use crate::engine::read_model::places::PlaceKind;
use std::collections::BTreeMap;

const FINAL: u64 = 0b111;
const PENDING: u64 = 1 << 3;
const RETRYING: u64 = 1 << 4;
/// Named by a move under way: perhaps where it goes already.
const MOVING: u64 = 1 << 5;
/// The dlq has the letter of this end, or it was purged.
const LETTER: u64 = 1 << 6;
/// The letter of this end was sent again.
const REPLAYED: u64 = 1 << 7;
/// In a chunk of send that nobody has opened: it cannot have ended.
const UNREAD: u64 = 1 << 8;
const RANK_SHIFT: u32 = 9;
/// Beside the words only: an in-doubt event, final or not.
const IN_DOUBT: u64 = 1 << 3;

const PLACES: u64 = PENDING | RETRYING | MOVING | UNREAD;
/// Rank and final.
const EVENT: u64 = FINAL | !0 << RANK_SHIFT;

/// (round, hop, owner) of an event.
pub type Rank = (u32, u32, u64);

#[derive(Debug)]
pub struct Table {
    /// `campaign/run`, for findings.
    name: String,
    words: Vec<u64>,
    /// Rank and final, or in doubt, of events that do not stand in the words.
    beside: Vec<(Row, u64)>,
    /// Round and hop that moving messages have where they come from.
    moving: BTreeMap<Row, (u64, PlaceKind)>,
}

/// What a table adds up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    pub finals: [u64; 7],
    pub retrying: u64,
}

impl Table {
    /// `None`: there is no memory for so many rows.
    pub fn new(name: String, rows: u64) -> Option<Table> {
        let count = usize::try_from(rows).ok()?;
        let mut words = Vec::new();
        words.try_reserve_exact(count).ok()?;
        words.resize(count, 0);
        Some(Table {
            name,
            words,
            beside: Vec::new(),
            moving: BTreeMap::new(),
        })
    }

    fn word(&mut self, row: Row, findings: &mut Findings) -> Option<&mut u64> {
        let found = usize::try_from(row)
            .ok()
            .filter(|row| *row < self.words.len());
        if found.is_none() {
            let (name, count) = (&self.name, self.words.len());
            findings.add(format!(
                "row {row} of {name}: the run has only {count} rows"
            ));
        }
        found.and_then(|row| self.words.get_mut(row))
    }

    /// A final event. Of several the highest rank counts; the same rank and end twice is one event.
    pub fn ended(&mut self, row: Row, rank: Rank, end: Final, findings: &mut Findings) {
        if end == Final::InDoubt {
            self.beside.push((row, packed(rank) | IN_DOUBT));
        }
        let new = packed(rank) | code(end);
        let Some(word) = self.word(row, findings) else {
            return;
        };
        let old = *word;
        let is_higher = old & FINAL == 0 || new >> RANK_SHIFT > old >> RANK_SHIFT;
        let other = if is_higher {
            *word = new | (old & PLACES);
            old & EVENT
        } else {
            new
        };
        if other & FINAL != 0 && other != *word & EVENT {
            self.beside.push((row, other));
        }
    }

    /// An in-doubt event after which the message is sent again.
    pub fn doubted(&mut self, row: Row, rank: Rank) {
        self.beside.push((row, packed(rank) | IN_DOUBT));
    }

    /// A place in the queue.
    pub fn queued(&mut self, row: Row, kind: PlaceKind, findings: &mut Findings) {
        let Some(word) = self.word(row, findings) else {
            return;
        };
        let is_twice = *word & (PENDING | RETRYING) != 0;
        *word |= match kind {
            PlaceKind::Pending => PENDING,
            PlaceKind::Retrying => RETRYING,
        };
        if is_twice {
            findings.add(format!("row {row} of {} is queued twice", self.name));
        }
    }

    /// The place is in a chunk of send that nobody has opened.
    pub fn unread(&mut self, row: Row) {
        let word = usize::try_from(row)
            .ok()
            .and_then(|row| self.words.get_mut(row));
        if let Some(word) = word {
            *word |= UNREAD;
        }
    }

    /// The row has an event that was there before the chunks were looked at.
    pub fn happened(&mut self, row: Row, findings: &mut Findings) {
        let word = usize::try_from(row)
            .ok()
            .and_then(|row| self.words.get(row));
        if word.is_some_and(|word| word & UNREAD != 0) {
            let name = &self.name;
            findings.add(format!("row {row} of {name} has a final event, and will be sent: nobody has opened its chunk"));
        }
    }

    /// A place that a move under way is taking the message from.
    pub fn moving(
        &mut self,
        row: Row,
        kind: PlaceKind,
        (round, hop): (u32, u32),
        findings: &mut Findings,
    ) {
        if let Some(word) = self.word(row, findings) {
            *word |= MOVING;
            self.moving
                .insert(row, (packed((round, hop, u64::MAX)), kind));
        }
    }

    /// A letter of the dlq that is not void.
    pub fn letter(&mut self, row: Row, round: u32, in_doubt: bool, findings: &mut Findings) {
        let end = if in_doubt {
            Final::InDoubt
        } else {
            Final::Dead
        };
        let name = self.name.clone();
        let Some(word) = self.word(row, findings) else {
            return;
        };
        if *word & FINAL == code(end) && round_of(*word) == clipped(round) {
            *word |= LETTER;
        } else if *word & PLACES == 0 {
            findings.add(format!(
                "row {row} of {name} has a letter of round {round} and is not {}",
                end.name().replace('_', " ")
            ));
        }
    }

    /// A letter that was purged: it is not missed.
    pub fn purged(&mut self, row: Row, round: u32) {
        self.mark(row, round, LETTER);
    }

    /// A letter that was sent again.
    pub fn replayed(&mut self, row: Row, round: u32) {
        self.mark(row, round, REPLAYED);
    }

    fn mark(&mut self, row: Row, round: u32, flag: u64) {
        let word = usize::try_from(row)
            .ok()
            .and_then(|row| self.words.get_mut(row));
        if let Some(word) = word.filter(|word| {
            let end = **word & FINAL;
            (end == code(Final::Dead) || end == code(Final::InDoubt))
                && round_of(**word) == clipped(round)
        }) {
            *word |= flag;
        }
    }

    /// Everything was read: judges each row. Of a cancelled run the cancel itself is the event of what was not opened.
    pub fn close(mut self, is_cancelled: bool, findings: &mut Findings) -> Sums {
        self.judge_doubles(findings);
        let mut sums = Sums::default();
        for (index, word) in self.words.iter().enumerate() {
            let row = index as Row;
            match self.standing(row, *word) {
                Standing::Queued(PlaceKind::Retrying) => sums.retrying += 1,
                Standing::Queued(PlaceKind::Pending) => {}
                Standing::Ended(end) => {
                    if let Some(count) = sums.finals.get_mut(end) {
                        *count += 1;
                    }
                    let needs_letter =
                        end == Final::Dead as usize || end == Final::InDoubt as usize;
                    if needs_letter && word & LETTER == 0 {
                        let name = &self.name;
                        findings.add(format!(
                            "row {row} of {name} is dead and has no letter in the dlq"
                        ));
                    }
                }
                Standing::Nowhere(what) if !is_cancelled => {
                    findings.add(format!("row {row} of {} {what}", self.name));
                }
                Standing::Nowhere(_) => {}
            }
        }
        sums
    }

    fn standing(&self, row: Row, word: u64) -> Standing {
        if word & RETRYING != 0 {
            return Standing::Queued(PlaceKind::Retrying);
        }
        if word & PENDING != 0 {
            return Standing::Queued(PlaceKind::Pending);
        }
        if word & MOVING != 0
            && let Some((rank, kind)) = self.moving.get(&row)
            && (word & FINAL == 0 || word >> RANK_SHIFT <= rank >> RANK_SHIFT)
        {
            return Standing::Queued(*kind);
        }
        match word & FINAL {
            0 => Standing::Nowhere("has neither a final event nor a place in the queue"),
            _ if word & REPLAYED != 0 => Standing::Nowhere(
                "was sent again from the dlq, and has neither a final event of it nor a place in the queue",
            ),
            end => Standing::Ended(end as usize - 1),
        }
    }

    /// Two different ends of one rank, and deliveries after the first without an in-doubt event between.
    fn judge_doubles(&mut self, findings: &mut Findings) {
        let mut beside = std::mem::take(&mut self.beside);
        // By row, then rank; in doubt, which has the flag, comes after the ends of its rank: put before them below.
        beside.sort_unstable_by_key(|(row, word)| (*row, word >> RANK_SHIFT, word & IN_DOUBT == 0));
        beside.dedup();
        for events in beside.chunk_by(|one, other| one.0 == other.0) {
            let Some((row, _)) = events.first() else {
                continue;
            };
            let winner = usize::try_from(*row)
                .ok()
                .and_then(|row| self.words.get(row));
            let winner = winner.filter(|word| **word & FINAL != 0);
            let mut all: Vec<u64> = events.iter().map(|(_, word)| *word).collect();
            all.extend(winner.map(|word| word & EVENT));
            all.sort_by_key(|word| (word >> RANK_SHIFT, word & IN_DOUBT == 0));
            if let Some(what) = doubles(&all) {
                findings.add(format!("row {row} of {} {what}", self.name));
            }
        }
    }
}

enum Standing {
    Queued(PlaceKind),
    /// Index in [`Final::ALL`].
    Ended(usize),
    Nowhere(&'static str),
}

/// Events of one row, by rank, an in-doubt one before the ends of its rank.
fn doubles(events: &[u64]) -> Option<&'static str> {
    let ends = || events.iter().filter(|word| **word & FINAL != 0);
    for (one, other) in ends().zip(ends().skip(1)) {
        if one >> RANK_SHIFT == other >> RANK_SHIFT && one & FINAL != other & FINAL {
            return Some("has two different final events of one rank");
        }
    }
    let (mut is_delivered, mut is_doubted, mut last) = (false, false, 0);
    for word in events {
        if word & IN_DOUBT != 0 {
            is_doubted = true;
        } else if word & FINAL == code(Final::Delivered) && *word != last {
            if is_delivered && !is_doubted {
                return Some("was delivered twice without an in-doubt event before the second");
            }
            (is_delivered, is_doubted, last) = (true, false, *word);
        }
    }
    None
}

fn code(end: Final) -> u64 {
    end as u64 + 1
}

fn packed((round, hop, owner): Rank) -> u64 {
    let hop = u64::from(hop.min(u32::from(u16::MAX)));
    let owner = owner.min(u64::from(u32::MAX >> 1));
    (clipped(round) << 56) | (hop << 40) | (owner << RANK_SHIFT)
}

fn clipped(round: u32) -> u64 {
    u64::from(round.min(u32::from(u8::MAX)))
}

fn round_of(word: u64) -> u64 {
    word >> 56
}

#[cfg(test)]
mod tests;
