//! Everything that is known of one recipient, and the rules that say what it comes to. Pure.

use super::fact::{Detail, EventFact, Fact, Rank, RecipientKey};
use super::places::PlaceKind;
use crate::domain::counters::Final;
use crate::domain::event::EventType;
use std::io;

/// The facts of one recipient in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    pub key: RecipientKey,
    bytes: Vec<u8>,
    /// Where the bytes of each fact end.
    ends: Vec<usize>,
}

/// What became of a recipient, as far as the facts say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecipientState {
    Queued(PlaceKind),
    Ended(Final),
    /// Its letter was sent again, and nothing is known of it after that.
    Replayed,
    Unknown,
}

/// A letter of the dlq that the events do not account for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StrayLetter {
    pub round: u32,
    pub in_doubt: bool,
}

impl History {
    pub fn begin(&mut self, key: RecipientKey) {
        self.key = key;
        self.bytes.clear();
        self.ends.clear();
    }

    /// Adds a fact's bytes. Errors: they are none.
    pub fn add(&mut self, entry: &[u8]) -> io::Result<()> {
        if Fact::decode(entry).is_none() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.bytes.extend_from_slice(entry);
        self.ends.push(self.bytes.len());
        Ok(())
    }

    pub fn facts(&self) -> impl Iterator<Item = Fact<'_>> {
        let starts = std::iter::once(&0).chain(&self.ends);
        let entries = starts.zip(&self.ends);
        // All of them were read once by `add`.
        entries.filter_map(|(start, end)| Fact::decode(self.bytes.get(*start..*end)?))
    }

    /// Events by rank. The same event is often written twice, because an append of unknown result is repeated.
    pub fn events(&self) -> impl Iterator<Item = EventFact<'_>> {
        let mut last = None;
        self.all_events().filter(move |event| {
            let this = Some((event.rank, event.kind, event.is_final));
            std::mem::replace(&mut last, this) != this
        })
    }

    fn all_events(&self) -> impl Iterator<Item = EventFact<'_>> {
        self.facts().filter_map(|fact| match fact {
            Fact::Event(event) => Some(event),
            _ => None,
        })
    }

    /// The final events by rank, and what each ends the message with.
    pub fn ends(&self) -> impl Iterator<Item = (EventFact<'_>, Final)> {
        let finals = self.events().filter(|event| event.is_final);
        finals.filter_map(|event| Some((event, event.kind.end()?)))
    }

    /// The final event that counts: of several the one with the highest rank.
    pub fn end(&self) -> Option<(Rank, Final)> {
        self.ends().last().map(|(event, end)| (event.rank, end))
    }

    /// A place in the queue counts before any final event: the event was written, and what it says is not committed.
    pub fn state(&self) -> RecipientState {
        let end = self.end();
        let (mut queued, mut moving) = (None, None);
        for fact in self.facts() {
            match fact {
                Fact::Queued { kind, .. } => queued = queued.max(Some(kind)),
                Fact::Moving {
                    kind, round, hop, ..
                } => moving = Some(((round, hop), kind)),
                _ => {}
            }
        }
        // Where a move goes to, the message has a higher hop.
        let is_behind = |place| end.is_none_or(|(rank, _)| (rank.round, rank.hop) <= place);
        let moving = moving.filter(|(place, _)| is_behind(*place));
        let place = queued.or(moving.map(|(_, kind)| kind));
        match (place, end) {
            (Some(kind), _) => RecipientState::Queued(kind),
            (None, Some((rank, end))) if needs_letter(end) && self.is_replayed(rank.round) => {
                RecipientState::Replayed
            }
            (None, Some((_, end))) => RecipientState::Ended(end),
            (None, None) => RecipientState::Unknown,
        }
    }

    fn is_replayed(&self, ended: u32) -> bool {
        self.facts().any(
            |fact| matches!(fact, Fact::Named { round, replay: Some(_), .. } if round >= ended),
        )
    }

    pub fn is_queued_twice(&self) -> bool {
        let places = |fact: &Fact| matches!(fact, Fact::Queued { .. });
        self.facts().filter(places).count() > 1
    }

    /// A final event was there before the places were read, and the message is in a chunk that nobody has opened.
    pub fn ended_before_it_was_read(&self) -> bool {
        let is_unread = |fact| {
            matches!(
                fact,
                Fact::Queued {
                    is_unread: true,
                    ..
                }
            )
        };
        let mut finals = self.all_events().filter(|event| event.is_final);
        finals.any(|event| event.is_earlier) && self.facts().any(is_unread)
    }

    /// What events of one message cannot say together.
    pub fn contradiction(&self) -> Option<&'static str> {
        let mut before: Option<(Rank, Final)> = None;
        let (mut is_delivered, mut is_doubted) = (false, false);
        for event in self.events() {
            is_doubted |= event.kind == EventType::InDoubt;
            let Some(end) = event.kind.end().filter(|_| event.is_final) else {
                continue;
            };
            if before.is_some_and(|(rank, other)| rank == event.rank && other != end) {
                return Some("has two different final events of one rank");
            }
            before = Some((event.rank, end));
            if end == Final::Delivered {
                if is_delivered && !is_doubted {
                    return Some("was delivered twice without an in-doubt event before the second");
                }
                (is_delivered, is_doubted) = (true, false);
            }
        }
        None
    }

    /// A relay took it, or nobody knows whether one did.
    pub fn may_be_delivered(&self) -> bool {
        let may =
            |event: EventFact| matches!(event.kind, EventType::Delivered | EventType::InDoubt);
        self.all_events().any(may)
    }

    /// Whether the dlq has the letter of this end, or a purge names it.
    pub fn has_letter(&self, rank: Rank, end: Final) -> bool {
        self.facts().any(|fact| match fact {
            Fact::Letter { round, in_doubt } => round == rank.round && ends_as(in_doubt) == end,
            Fact::Named { round, replay, .. } => round == rank.round && replay.is_none(),
            _ => false,
        })
    }

    /// Letters that are in the dlq, are not named by a replay or purge, and belong to no end of this recipient.
    pub fn stray_letters(&self) -> impl Iterator<Item = StrayLetter> {
        let end = self.end();
        let is_placed = self
            .facts()
            .any(|fact| matches!(fact, Fact::Queued { .. } | Fact::Moving { .. }));
        let mut void = None;
        self.facts().filter_map(move |fact| match fact {
            Fact::Named { round, .. } => {
                void = Some(round);
                None
            }
            Fact::Letter { round, in_doubt } => {
                let is_its_end =
                    end.is_some_and(|(rank, end)| rank.round == round && end == ends_as(in_doubt));
                let is_stray = !is_placed && !is_its_end && void != Some(round);
                is_stray.then_some(StrayLetter { round, in_doubt })
            }
            _ => None,
        })
    }

    /// Attempts that were made: each has one event.
    pub fn attempts(&self) -> usize {
        self.events()
            .filter(|event| event.kind.is_attempt())
            .count()
    }

    /// The address that events and places have; empty where nothing was asked or nothing is known.
    pub fn address(&self) -> &str {
        let mut found = self.facts().filter_map(|fact| match fact {
            Fact::Queued { address, .. } | Fact::Moving { address, .. } => Some(address),
            Fact::Event(EventFact {
                detail: Detail::Text { address, .. },
                ..
            }) => Some(address),
            _ => None,
        });
        found.next().unwrap_or_default()
    }

    /// Reply and time of the event of the highest rank.
    pub fn last_reply(&self) -> (Option<&str>, Option<&str>) {
        let last = self.events().last();
        match last.map(|event| event.detail) {
            Some(Detail::Text { reply, when, .. }) => (reply, Some(when)),
            _ => (None, None),
        }
    }
}

/// What a letter ends a message as.
pub fn ends_as(in_doubt: bool) -> Final {
    match in_doubt {
        true => Final::InDoubt,
        false => Final::Dead,
    }
}

/// Such an end has a letter in the dlq.
pub fn needs_letter(end: Final) -> bool {
    matches!(end, Final::Dead | Final::InDoubt)
}

#[cfg(test)]
impl History {
    /// In the order of their bytes, whatever the order here.
    pub fn of(facts: &[Fact<'_>]) -> History {
        let mut entries: Vec<Vec<u8>> = Vec::new();
        for fact in facts {
            let mut entry = Vec::new();
            fact.encode(RecipientKey::default(), &mut entry);
            entries.push(entry);
        }
        entries.sort();
        let mut history = History::default();
        for entry in &entries {
            history.add(entry).unwrap();
        }
        history
    }
}

#[cfg(test)]
mod tests;
