//! Daily quotas of relays: what this worker has reserved of each, and when mail may go on where all are used up.

use super::{Inner, Lanes};
use crate::domain::reservation::Reservation;
use crate::engine::limits::allowance::Ask;
use crate::engine::worker::records::timestamp;
use crate::engine::worker::settings::Notice;
use crate::protocol::Reservations;
use std::time::SystemTime;

/// A reservation to be written, and the relay that it is for.
pub struct ToReserve {
    relay: usize,
    begins: SystemTime,
    pub reservation: Reservation,
}

impl Lanes {
    /// What is to be reserved for so many messages beside those that wait.
    pub fn to_reserve(&self, known: &Reservations, claimable: usize) -> Vec<ToReserve> {
        let now = self.setup.clock.now();
        let mut inner = self.inner.borrow_mut();
        inner.roll_quotas(now);
        let messages = (claimable + inner.waiting.len()) as u64;
        let mut wanted = Vec::new();
        for (relay, state) in inner.relays.iter_mut().enumerate() {
            let allowance = state.allowance.as_mut();
            let ask = allowance.and_then(|allowance| allowance.wants(known, messages));
            wanted.extend(ask.map(|ask| self.reservation(relay, ask)));
        }
        wanted
    }

    fn reservation(&self, relay: usize, ask: Ask) -> ToReserve {
        let begins = ask.begins;
        let draw = fastrand::u64(..);
        ToReserve {
            relay,
            begins,
            reservation: ask.reservation(timestamp(begins), draw, &self.setup.name),
        }
    }

    /// The log has been read to its end after a reservation was written.
    pub fn reserved(&self, known: &Reservations, written: &ToReserve) {
        let mut inner = self.inner.borrow_mut();
        let state = inner.relays.get_mut(written.relay);
        if let Some(allowance) = state.and_then(|state| state.allowance.as_mut()) {
            allowance.granted(known, (written.begins, written.reservation.draw));
        }
        drop(inner);
        self.wake();
    }

    /// Tells the operator of each relay once a day that its quota is used up.
    pub fn tell_used_up(&self) {
        let mut told = Vec::new();
        let mut inner = self.inner.borrow_mut();
        for (state, lane) in inner.relays.iter_mut().zip(&self.setup.relays) {
            if let Some(until) = state.allowance.as_mut().and_then(|one| one.tell()) {
                let relay = lane.relay.name().to_string();
                told.push(Notice::QuotaUsedUp { relay, until });
            }
        }
        drop(inner);
        told.into_iter()
            .for_each(|notice| self.observer.notice(notice));
    }

    /// When the first relay takes mail again, where the quotas of all are used up.
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
}

impl super::RelayState {
    /// `usize::MAX` without a quota.
    pub(super) fn quota_left(&self) -> usize {
        let left = self.allowance.as_ref().map_or(u64::MAX, |one| one.left());
        usize::try_from(left).unwrap_or(usize::MAX)
    }
}
