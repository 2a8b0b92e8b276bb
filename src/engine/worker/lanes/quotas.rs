//! Daily quotas of relays: what this worker has reserved of each, and when mail may go on where all are used up.

use super::{Inner, Lanes, RelayState};
use crate::domain::reservation::Reservation;
use crate::engine::limits::allowance::Held;
use crate::engine::worker::settings::Notice;
use crate::protocol::Reservations;
use std::time::SystemTime;

/// A reservation to be written, and the relay that it is for.
pub struct ToReserve {
    relay: usize,
    pub reservation: Reservation,
}

impl Lanes {
    /// Looks at what the log says of each quota.
    pub fn look_at_quotas(&self, known: &Reservations) {
        let mut inner = self.inner.borrow_mut();
        inner.roll_quotas(self.setup.clock.now());
        let relays = inner.relays.iter_mut();
        relays
            .filter_map(|state| state.allowance.as_mut())
            .for_each(|allowance| allowance.look(known));
    }

    /// What is to be reserved for so many messages beside those that wait, as of the last look.
    pub fn to_reserve(&self, claimable: usize) -> Vec<ToReserve> {
        let inner = self.inner.borrow();
        let messages = (claimable + inner.waiting.len()) as u64;
        let wanted = inner.relays.iter().enumerate();
        let wanted = wanted.filter_map(|(relay, state)| {
            let by = (fastrand::u64(..), self.setup.name.as_str());
            let reservation = state.allowance.as_ref()?.wants(messages, by)?;
            Some(ToReserve { relay, reservation })
        });
        wanted.collect()
    }

    /// The log has been read to its end after a reservation was written.
    pub fn reserved(&self, known: &Reservations, written: &ToReserve) {
        let mut inner = self.inner.borrow_mut();
        let state = inner.relays.get_mut(written.relay);
        if let Some(allowance) = state.and_then(|state| state.allowance.as_mut()) {
            allowance.granted(known, written.reservation.draw);
        }
        drop(inner);
        self.wake();
    }

    /// Tells the operator once a day of each relay that takes nothing because of its quota.
    pub fn tell_used_up(&self) {
        let mut told = Vec::new();
        let mut inner = self.inner.borrow_mut();
        for (state, lane) in inner.relays.iter_mut().zip(&self.setup.relays) {
            let relay = || lane.relay.name().to_string();
            let held = state.allowance.as_mut().and_then(|one| one.tell());
            told.extend(held.map(|held| match held {
                Held::UsedUp { until } => Notice::QuotaUsedUp {
                    relay: relay(),
                    until,
                },
                Held::NewerDay { begins } => Notice::NewerDayReserved {
                    relay: relay(),
                    day: begins,
                },
            }));
        }
        drop(inner);
        told.into_iter()
            .for_each(|notice| self.observer.notice(notice));
    }

    /// When the first relay takes mail again, where none does because of its quota.
    pub fn quotas_used_up_until(&self) -> Option<SystemTime> {
        let mut inner = self.inner.borrow_mut();
        inner.roll_quotas(self.setup.clock.now());
        inner.quotas_used_up_until()
    }
}

impl Inner {
    pub(super) fn roll_quotas(&mut self, now: SystemTime) {
        for state in &mut self.relays {
            if let Some(allowance) = &mut state.allowance {
                allowance.roll(now);
            }
        }
    }

    /// Messages that the quotas let begin, all relays together.
    pub(super) fn quota_left(&self) -> usize {
        let relays = self.relays.iter();
        let left = relays.map(|state| state.quota_left());
        left.fold(0, usize::saturating_add)
    }

    pub(super) fn quotas_used_up_until(&self) -> Option<SystemTime> {
        let relays = self.relays.iter();
        let used_up: Option<Vec<SystemTime>> = relays
            .map(|state| state.allowance.as_ref()?.used_up_until())
            .collect();
        used_up?.into_iter().min()
    }

    /// No relay takes mail now.
    pub(super) fn are_all_held(&self) -> bool {
        self.relays.iter().all(RelayState::is_held)
    }
}

impl RelayState {
    /// It takes no mail now: its breaker is open, or its quota is used up.
    pub(super) fn is_held(&self) -> bool {
        let allowance = self.allowance.as_ref();
        let is_used_up = allowance.is_some_and(|one| one.used_up_until().is_some());
        self.breaker.is_open() || is_used_up
    }

    /// `usize::MAX` without a quota.
    pub(super) fn quota_left(&self) -> usize {
        let left = self.allowance.as_ref().map_or(u64::MAX, |one| one.left());
        usize::try_from(left).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reservation::Reservation;
    use crate::engine::breaker::{Breaker, Signal};
    use crate::engine::limits::allowance::Allowance;
    use crate::engine::limits::pace::Pace;
    use crate::engine::limits::quota::{DAY, Quota};
    use crate::engine::worker::lanes::connection_limit::ConnectionLimit;
    use crate::engine::worker::lanes::hold_times::HoldTime;
    use std::time::Duration;

    fn relay(allowance: Option<Allowance>) -> RelayState {
        RelayState {
            breaker: Breaker::new("relay `mx`".to_string()),
            pace: Pace::none(),
            weight: 1,
            taken: 0,
            with_relay: 0,
            attempts: 0,
            connections: 1,
            most_connections: 1,
            open: 0,
            hold_time: HoldTime::default(),
            answered_at: Duration::ZERO,
            taken_at: None,
            limit: ConnectionLimit::new(1),
            sessions: 0,
            leaving: 0,
            allowance,
            refused_since: None,
            no_message_until: Duration::ZERO,
        }
    }

    #[test]
    fn a_relay_without_quota_is_held_like_one_that_is_paused() {
        let now = SystemTime::UNIX_EPOCH;
        let quota = Quota {
            relay: "mx".to_string(),
            daily: Some(1),
            warm_up: None,
            day: DAY,
        };
        let mut known = Reservations::default();
        let mut allowance = Allowance::new(quota, now);
        allowance.look(&known);
        let mut with_quota = relay(Some(allowance));
        assert!(!with_quota.is_held(), "nothing is reserved yet");
        let all = Reservation {
            relay: "mx".to_string(),
            day: "today".to_string(),
            warm_up_day: None,
            limit: 1,
            messages: 1,
            draw: 1,
            by: "another".to_string(),
        };
        known.apply(all, now);
        if let Some(allowance) = &mut with_quota.allowance {
            allowance.look(&known);
        }
        assert!(with_quota.is_held());
        let mut paused = relay(None);
        assert!(!paused.is_held());
        let refused = Signal::Refused("connection refused".to_string());
        paused.breaker.report(Duration::ZERO, refused);
        assert!(paused.is_held());
    }
}
