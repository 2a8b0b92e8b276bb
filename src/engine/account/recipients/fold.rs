//! What the entries of one recipient come to. Pure.

use super::listing::RecipientRow;
use super::shelves::{Entry, Kind};
use crate::domain::counters::Final;
use crate::domain::event::EventType;
use crate::domain::ids::Row;

type Rank = (u32, u32, u64);

#[derive(Debug, Clone, Default)]
pub(super) struct Fold {
    address: String,
    place: Option<&'static str>,
    moving: Option<Rank>,
    end: Option<(Rank, Final)>,
    /// The event of the highest rank, with its reply and time.
    last: Option<(Rank, Option<String>, Option<String>)>,
    /// Of events that tell of an attempt; the same one twice is one.
    attempts: Vec<(Rank, EventType)>,
}

impl Fold {
    pub fn add(&mut self, entry: Entry) {
        self.address = entry.address;
        match entry.kind {
            Kind::Pending => {
                self.place.get_or_insert("pending");
            }
            Kind::Retrying => self.place = Some("retrying"),
            Kind::Moving => self.moving = Some(entry.rank),
            Kind::Event(kind) => {
                let rank = entry.rank;
                if let Some(end) = kind.end().filter(|_| entry.is_final)
                    && self.end.is_none_or(|(known, _)| rank > known)
                {
                    self.end = Some((rank, end));
                }
                if self.last.as_ref().is_none_or(|(known, ..)| rank >= *known) {
                    self.last = Some((rank, entry.reply, entry.when));
                }
                if is_attempt(kind) && !self.attempts.contains(&(rank, kind)) {
                    self.attempts.push((rank, kind));
                }
            }
        }
    }

    /// `replayed`: the highest round of a letter of it that was sent again.
    pub fn close(self, row: Row, is_cancelled: bool, replayed: Option<u32>) -> RecipientRow {
        let rest = if is_cancelled { "cancelled" } else { "pending" };
        let end = self.end.filter(|((round, ..), end)| {
            let is_letter = matches!(end, Final::Dead | Final::InDoubt);
            !(is_letter && replayed.is_some_and(|replayed| *round <= replayed))
        });
        let is_moving = self.moving.is_some_and(|moving| {
            end.is_none_or(|(rank, _)| (rank.0, rank.1) <= (moving.0, moving.1))
        });
        let state = match (self.place, end) {
            (Some(_), _) if is_cancelled => rest,
            (Some(place), _) => place,
            (None, Some((_, end))) if !is_moving => end.name(),
            (None, _) => rest,
        };
        let (reply, when) = self
            .last
            .map_or((None, None), |(_, reply, when)| (reply, when));
        RecipientRow {
            row,
            address: self.address,
            state,
            reply,
            when,
            attempts: u32::try_from(self.attempts.len()).unwrap_or(u32::MAX),
        }
    }
}

fn is_attempt(kind: EventType) -> bool {
    matches!(
        kind,
        EventType::Delivered
            | EventType::Deferred
            | EventType::Bounced
            | EventType::Dead
            | EventType::InDoubt
    )
}
