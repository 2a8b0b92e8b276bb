//! What this worker may still hand over to a relay with a daily quota: reservations from the campaign topic, used up
//! message by message.

use crate::domain::reservation::Reservation;
use crate::engine::limits::quota::Quota;
use crate::protocol::Reservations;
use std::time::SystemTime;

#[derive(Debug)]
pub struct Allowance {
    quota: Quota,
    begins: SystemTime,
    ends: SystemTime,
    /// Of the day, reserved by this worker and not used.
    left: u64,
    /// The day has no limit.
    is_free: bool,
    /// All of the day is reserved, by this worker or others.
    is_taken: bool,
    /// The limit of the day, once the operator was told that it is used up.
    told: bool,
}

impl Allowance {
    pub fn new(quota: Quota, now: SystemTime) -> Allowance {
        let (begins, ends) = quota.day_of(now);
        Allowance {
            quota,
            begins,
            ends,
            left: 0,
            is_free: false,
            is_taken: false,
            told: false,
        }
    }

    /// What was reserved for another day is void.
    pub fn roll(&mut self, now: SystemTime) {
        if !(self.begins..self.ends).contains(&now) {
            *self = Allowance::new(self.quota.clone(), now);
        }
    }

    /// Messages that may begin; `u64::MAX` on a day without a limit.
    pub fn left(&self) -> u64 {
        match self.is_free {
            true => u64::MAX,
            false => self.left,
        }
    }

    pub fn take(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// When messages may begin again, where the day is used up.
    pub fn used_up_until(&self) -> Option<SystemTime> {
        (self.is_taken && self.left() == 0).then_some(self.ends)
    }

    /// What is to be reserved for so many messages. `None`: nothing, or there is nothing to be had.
    pub fn wants(&mut self, known: &Reservations, messages: u64) -> Option<Ask> {
        let relay = &self.quota.relay;
        let day = known.warm_up_day(relay, self.begins);
        let limit = self.quota.limit(day);
        self.is_free = limit.is_none();
        let limit = limit?;
        let reserved = known.reserved(relay, self.begins);
        self.is_taken = reserved.is_none_or(|reserved| reserved >= limit);
        let block = Quota::block(limit);
        let missing = messages.saturating_sub(self.left).min(block);
        let is_low = self.left == 0 || self.left < block / 2;
        (missing > 0 && is_low && !self.is_taken).then(|| Ask {
            relay: relay.clone(),
            begins: self.begins,
            warm_up_day: self.quota.warm_up.map(|_| day),
            limit,
            messages: missing,
        })
    }

    /// The log has been read to its end: takes what the reservation got.
    pub fn granted(&mut self, known: &Reservations, (begins, draw): (SystemTime, u64)) {
        let relay = &self.quota.relay;
        let got = known.granted(relay, self.begins, draw);
        if begins == self.begins {
            self.left += got.unwrap_or(0);
        }
    }

    /// The relay and its limit, once a day when it is used up.
    pub fn tell(&mut self) -> Option<SystemTime> {
        let until = self.used_up_until().filter(|_| !self.told)?;
        self.told = true;
        Some(until)
    }
}

/// A reservation to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    relay: String,
    pub begins: SystemTime,
    warm_up_day: Option<u32>,
    limit: u64,
    messages: u64,
}

impl Ask {
    /// `day`: when the day begins, in the form of records.
    pub fn reservation(self, day: String, draw: u64, by: &str) -> Reservation {
        Reservation {
            relay: self.relay,
            day,
            warm_up_day: self.warm_up_day,
            limit: self.limit,
            messages: self.messages,
            draw,
            by: by.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// Asks for so many messages, and takes what it gets.
    fn reserve(allowance: &mut Allowance, log: &mut Reservations, messages: u64, draw: u64) {
        if let Some(ask) = allowance.wants(log, messages) {
            let begins = ask.begins;
            log.apply(ask.reservation("day".into(), draw, "w"), begins);
            allowance.granted(log, (begins, draw));
        }
        allowance.wants(log, messages);
    }

    #[test]
    fn two_workers_never_have_more_than_the_quota() {
        let quota = Quota {
            relay: "mx".into(),
            daily: Some(3),
            warm_up: None,
            day: Duration::from_secs(60),
        };
        let mut log = Reservations::default();
        let (mut one, mut two) = (
            Allowance::new(quota.clone(), at(0)),
            Allowance::new(quota, at(0)),
        );
        for draw in 0..9 {
            let allowance = if draw % 2 == 0 { &mut one } else { &mut two };
            reserve(allowance, &mut log, 5, draw);
        }
        assert_eq!((one.left(), two.left()), (1, 1));
        one.take();
        reserve(&mut one, &mut log, 5, 20);
        assert_eq!((one.left(), one.used_up_until()), (1, None));
        one.take();
        reserve(&mut one, &mut log, 5, 21);
        assert_eq!((one.left(), one.used_up_until()), (0, Some(at(60))));
        assert_eq!((one.tell(), one.tell()), (Some(at(60)), None));
        // What the other has left is void on the next day.
        two.roll(at(60));
        assert_eq!(two.left(), 0);
        reserve(&mut two, &mut log, 5, 22);
        assert_eq!(two.left(), 1);
        reserve(&mut one, &mut log, 5, 23);
        assert_eq!(one.left(), 0, "its clock is behind");
    }
}
