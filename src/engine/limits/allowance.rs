//! What this worker may still hand over to a relay with a daily quota: reservations from the campaign topic, used up
//! message by message.

use crate::domain::reservation::Reservation;
use crate::engine::limits::quota::Quota;
use crate::engine::timestamp::timestamp;
use crate::protocol::Reservations;
use std::time::SystemTime;

#[derive(Debug)]
pub struct Allowance {
    quota: Quota,
    begins: SystemTime,
    ends: SystemTime,
    /// Of the day, reserved by this worker and not used.
    left: u64,
    day: Day,
    /// The operator was told that the day is used up.
    told: bool,
}

/// What the log said of the day at the last look.
#[derive(Debug)]
enum Day {
    Unknown,
    Free,
    Limited {
        limit: u64,
        warm_up_day: u32,
        held: Option<Held>,
    },
}

/// Why nothing more can be reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// All of the day is reserved, by this worker or others.
    UsedUp { until: SystemTime },
    /// A worker has reserved of a later day already, so this day gets nothing more. One of the clocks is wrong.
    NewerDay { begins: SystemTime },
}

impl Held {
    fn until(self) -> SystemTime {
        match self {
            Held::UsedUp { until } => until,
            Held::NewerDay { begins } => begins,
        }
    }
}

impl Allowance {
    pub fn new(quota: Quota, now: SystemTime) -> Allowance {
        let (begins, ends) = quota.day_of(now);
        Allowance {
            quota,
            begins,
            ends,
            left: 0,
            day: Day::Unknown,
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
        match self.day {
            Day::Free => u64::MAX,
            Day::Unknown | Day::Limited { .. } => self.left,
        }
    }

    pub fn take(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// When messages may begin again, where none may now and nothing can be reserved.
    pub fn used_up_until(&self) -> Option<SystemTime> {
        self.held().map(Held::until)
    }

    fn held(&self) -> Option<Held> {
        match self.day {
            Day::Limited { held, .. } => held.filter(|_| self.left == 0),
            Day::Unknown | Day::Free => None,
        }
    }

    /// Looks at what the log says of the day.
    pub fn look(&mut self, known: &Reservations) {
        let relay = &self.quota.relay;
        let warm_up_day = known.warm_up_day(relay, self.begins);
        let Some(limit) = self.quota.limit(warm_up_day) else {
            self.day = Day::Free;
            return;
        };
        let held = match known.reserved(relay, self.begins) {
            Ok(reserved) if reserved < limit => None,
            Ok(_) => Some(Held::UsedUp { until: self.ends }),
            Err(begins) => Some(Held::NewerDay { begins }),
        };
        self.day = Day::Limited {
            limit,
            warm_up_day,
            held,
        };
    }

    /// The reservation for so many messages, as of the last look. `None`: none is needed, or there is nothing to be had.
    /// With what is left it is no more than a block, because all of that is lost with a killed worker.
    pub fn wants(&self, messages: u64, (draw, by): (u64, &str)) -> Option<Reservation> {
        let Day::Limited {
            limit,
            warm_up_day,
            held: None,
        } = self.day
        else {
            return None;
        };
        let block = Quota::block(limit);
        let missing = messages.min(block).saturating_sub(self.left);
        let is_low = self.left == 0 || self.left < block / 2;
        (missing > 0 && is_low).then(|| Reservation {
            relay: self.quota.relay.clone(),
            day: timestamp(self.begins),
            warm_up_day: self.quota.warm_up.map(|_| warm_up_day),
            limit,
            messages: missing,
            draw,
            by: by.to_string(),
        })
    }

    /// The log has been read to its end: takes what the reservation with this number got, if it is of this day.
    pub fn granted(&mut self, known: &Reservations, draw: u64) {
        let got = known.granted(&self.quota.relay, self.begins, draw);
        self.left += got.unwrap_or(0);
    }

    /// Why the relay takes nothing, once a day.
    pub fn tell(&mut self) -> Option<Held> {
        let held = self.held().filter(|_| !self.told)?;
        self.told = true;
        Some(held)
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
        allowance.look(log);
        if let Some(reservation) = allowance.wants(messages, (draw, "w")) {
            log.apply(reservation, allowance.begins);
            allowance.granted(log, draw);
        }
        allowance.look(log);
    }

    fn quota(daily: u64) -> Quota {
        Quota {
            relay: "mx".into(),
            daily: Some(daily),
            warm_up: None,
            day: Duration::from_secs(60),
        }
    }

    #[test]
    fn two_workers_never_have_more_than_the_quota() {
        let quota = quota(3);
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
        let held = Held::UsedUp { until: at(60) };
        assert_eq!((one.tell(), one.tell()), (Some(held), None));
        // What the other has left is void on the next day.
        two.roll(at(60));
        assert_eq!(two.left(), 0);
        reserve(&mut two, &mut log, 5, 22);
        assert_eq!(two.left(), 1);
        reserve(&mut one, &mut log, 5, 23);
        assert_eq!(one.left(), 0, "its clock is behind");
    }

    #[test]
    fn a_newer_day_of_another_worker_is_no_quota_that_is_used_up() {
        let mut log = Reservations::default();
        let mut behind = Allowance::new(quota(3), at(0));
        let mut ahead = Allowance::new(quota(3), at(130));
        reserve(&mut ahead, &mut log, 1, 1);
        reserve(&mut behind, &mut log, 1, 2);
        assert_eq!(behind.tell(), Some(Held::NewerDay { begins: at(120) }));
        assert_eq!(behind.used_up_until(), Some(at(120)));
        behind.roll(at(120));
        reserve(&mut behind, &mut log, 1, 3);
        assert_eq!((behind.left(), behind.tell()), (1, None));
    }

    #[test]
    fn a_worker_never_has_more_than_a_block() {
        let mut log = Reservations::default();
        let mut allowance = Allowance::new(quota(10_000), at(0));
        reserve(&mut allowance, &mut log, 1_000, 1);
        assert_eq!(allowance.left(), 100);
        (0..51).for_each(|_| allowance.take());
        assert_eq!(allowance.left(), 49);
        reserve(&mut allowance, &mut log, 1_000, 2);
        assert_eq!(allowance.left(), 100);
    }
}
