//! What is reserved of each relay's daily quota: a fold of the reservations in log order. Every process folds the same
//! log, so all agree on who got what, and no two get the same.

use crate::domain::reservation::Reservation;
use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

/// The newest day of each relay.
#[derive(Debug, Clone, Default)]
pub struct Reservations {
    relays: BTreeMap<String, Day>,
    /// Keys of reservations for days before.
    outdated: BTreeSet<String>,
}

#[derive(Debug, Clone)]
struct Day {
    begins: SystemTime,
    warm_up_day: Option<u32>,
    reserved: u64,
    /// By the random number of the reservation.
    granted: BTreeMap<u64, u64>,
    keys: Vec<String>,
}

impl Day {
    fn new(begins: SystemTime, warm_up_day: Option<u32>) -> Day {
        Day {
            begins,
            warm_up_day,
            reserved: 0,
            granted: BTreeMap::new(),
            keys: Vec::new(),
        }
    }
}

impl Reservations {
    /// `begins`: when the day of the reservation begins.
    pub fn apply(&mut self, new: Reservation, begins: SystemTime) {
        let key = new.key();
        let known = self.relays.get(&new.relay);
        if known.is_some_and(|known| known.begins > begins) {
            // A worker whose clock is behind. The newer day counts, so this one gets nothing.
            self.outdated.insert(key);
            return;
        }
        let is_new_day = known.is_none_or(|known| known.begins < begins);
        let day = self
            .relays
            .entry(new.relay)
            .or_insert_with(|| Day::new(begins, None));
        if is_new_day {
            self.outdated.extend(day.keys.drain(..));
            *day = Day::new(begins, new.warm_up_day);
        }
        if day.granted.contains_key(&new.draw) {
            return;
        }
        let granted = new.messages.min(new.limit.saturating_sub(day.reserved));
        day.reserved += granted;
        day.granted.insert(new.draw, granted);
        day.keys.push(key);
    }

    /// A record was deleted.
    pub fn deleted(&mut self, key: &str) {
        self.outdated.remove(key);
    }

    /// Keys of records that nobody needs any more.
    pub fn outdated(&self) -> impl Iterator<Item = &str> {
        self.outdated.iter().map(String::as_str)
    }

    /// Messages of the relay's day that are reserved. Errors: when a newer day begins that has reservations.
    pub fn reserved(&self, relay: &str, begins: SystemTime) -> Result<u64, SystemTime> {
        match self.relays.get(relay) {
            Some(known) if known.begins > begins => Err(known.begins),
            Some(known) if known.begins == begins => Ok(known.reserved),
            _ => Ok(0),
        }
    }

    /// How many messages a reservation got. `None`: it was not read, or a newer day has begun.
    pub fn granted(&self, relay: &str, begins: SystemTime, draw: u64) -> Option<u64> {
        let known = self
            .relays
            .get(relay)
            .filter(|known| known.begins == begins)?;
        known.granted.get(&draw).copied()
    }

    /// Which day of its warm-up a relay has, from 0. Days on which nothing was reserved do not count.
    pub fn warm_up_day(&self, relay: &str, begins: SystemTime) -> u32 {
        let known = self.relays.get(relay);
        let last = known.and_then(|known| Some((known.begins, known.warm_up_day?)));
        match last {
            Some((before, day)) if before < begins => day.saturating_add(1),
            Some((_, day)) => day,
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn day(number: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 * number)
    }

    fn reservation(number: u64, messages: u64, draw: u64) -> Reservation {
        Reservation {
            relay: "mx".into(),
            day: format!("day {number}"),
            warm_up_day: None,
            limit: 10,
            messages,
            draw,
            by: "w".into(),
        }
    }

    #[test]
    fn the_limit_is_shared_out_in_log_order() {
        let mut all = Reservations::default();
        for (messages, draw, granted) in [(4, 1, 4), (4, 2, 4), (4, 3, 2), (4, 4, 0)] {
            all.apply(reservation(1, messages, draw), day(1));
            assert_eq!(all.granted("mx", day(1), draw), Some(granted));
        }
        // Read again.
        all.apply(reservation(1, 4, 1), day(1));
        assert_eq!(all.reserved("mx", day(1)), Ok(10));
        assert_eq!(all.granted("mx", day(1), 9), None);
        assert_eq!(all.reserved("other", day(1)), Ok(0));
        // A higher limit of a changed setting.
        let more = Reservation {
            limit: 12,
            ..reservation(1, 4, 5)
        };
        all.apply(more, day(1));
        assert_eq!(all.granted("mx", day(1), 5), Some(2));
    }

    #[test]
    fn a_new_day_begins_anew_and_an_old_one_gets_nothing() {
        let mut all = Reservations::default();
        all.apply(reservation(1, 10, 1), day(1));
        assert_eq!(all.outdated().count(), 0);
        all.apply(reservation(2, 3, 2), day(2));
        all.apply(reservation(1, 3, 3), day(1));
        assert_eq!(all.reserved("mx", day(2)), Ok(3));
        assert_eq!(all.reserved("mx", day(1)), Err(day(2)));
        assert_eq!(all.granted("mx", day(1), 3), None);
        let outdated: Vec<&str> = all.outdated().collect();
        assert_eq!(outdated, ["reservation/day 1/1", "reservation/day 1/3"]);
        all.deleted("reservation/day 1/1");
        assert_eq!(all.outdated().count(), 1);
    }

    #[test]
    fn the_warm_up_counts_days_with_mail() {
        let mut all = Reservations::default();
        assert_eq!(all.warm_up_day("mx", day(1)), 0);
        let first = Reservation {
            warm_up_day: Some(0),
            ..reservation(1, 1, 1)
        };
        all.apply(first, day(1));
        assert_eq!(all.warm_up_day("mx", day(1)), 0);
        assert_eq!(all.warm_up_day("mx", day(9)), 1);
        // Without a warm-up the days before it do not count.
        all.apply(reservation(9, 1, 2), day(9));
        assert_eq!(all.warm_up_day("mx", day(10)), 0);
    }
}
