//! What relays and sites take now: breakers, messages at once, rates.

use super::{Blocked, InFlight, Inner, Lanes, MAX_SITES, SiteState};
use crate::domain::address;
use crate::domain::rate::Rate;
use crate::engine::breaker::{Breaker, Permit};
use crate::engine::limits::pace::Pace;
use crate::engine::limits::shares::ShareSchedule;
use crate::engine::worker::settings::Setup;
use std::time::Duration;

impl Lanes {
    /// Mail to this domain is held back: its site's breaker is open and no probe is due.
    pub fn is_closed(&self, address: &str) -> bool {
        let now = self.setup.clock.since_boot();
        let site = address::site_of(address);
        let inner = self.inner.borrow();
        inner
            .sites
            .get(site)
            .is_some_and(|state| state.breaker.is_holding(now))
    }

    /// Counts one more message for the address's site in this cycle, if its limits allow one.
    pub fn reserve(&self, address: &str) -> bool {
        let room = self.site_room(address);
        if room == usize::MAX {
            return true;
        }
        if room > 0 {
            let site = address::site_of(address).to_string();
            *self.inner.borrow_mut().reserved.entry(site).or_default() += 1;
        }
        room > 0
    }

    /// A new cycle starts to claim.
    pub fn begin_reserving(&self) {
        self.inner.borrow_mut().reserved.clear();
    }

    pub(super) fn site_room(&self, address: &str) -> usize {
        let site = address::site_of(address);
        let Some(limit) = self.setup.sites.get(site) else {
            return usize::MAX;
        };
        let inner = self.inner.borrow();
        if inner.site_is_closed(site, self.setup.clock.since_boot()) {
            return 0;
        }
        let waiting = inner
            .waiting
            .iter()
            .filter(|in_flight| in_flight.site == site)
            .count();
        let with_relay = inner.sites.get(site).map_or(0, |state| state.with_relay);
        let reserved = inner.reserved.get(site).copied().unwrap_or(0);
        limit
            .connections
            .saturating_sub(waiting + with_relay + reserved)
    }
}

impl Inner {
    /// The relay's breaker, its share by weight, its rate and the queue's.
    pub(super) fn may_take(
        &mut self,
        relay: usize,
        has_probe: bool,
        now: Duration,
    ) -> Result<(), Blocked> {
        let state = self.relays.get_mut(relay).ok_or(Blocked::Closing)?;
        if !has_probe
            && state.breaker.is_open()
            && let Permit::Wait(until) = state.breaker.may_try(now)
        {
            return Err(Blocked::Until(until));
        }
        if !self.is_turn_of(relay) {
            return Err(Blocked::Empty);
        }
        let Some(state) = self.relays.get_mut(relay) else {
            return Err(Blocked::Closing);
        };
        let opens = [state.pace.opens(now), self.pace.opens(now)];
        match opens {
            [Some(relay), Some(all)] if relay.max(all) <= now => Ok(()),
            [Some(relay), Some(all)] => Err(Blocked::Until(relay.max(all))),
            _ => Err(Blocked::Empty),
        }
    }

    /// Relays share the work by weight. One that is held or has no free connection is not waited for.
    fn is_turn_of(&self, relay: usize) -> bool {
        let Some(me) = self.relays.get(relay) else {
            return false;
        };
        let others = self.relays.iter().enumerate().filter(|(index, other)| {
            *index != relay && !other.breaker.is_open() && other.with_relay < other.connections
        });
        let mut others = others.map(|(_, other)| other);
        // me.taken / me.weight <= other.taken / other.weight + 1
        others.all(|other| me.taken * other.weight <= (other.taken + other.weight) * me.weight)
    }

    /// A relay that was unavailable does not catch up.
    pub(super) fn even_out_shares(&mut self) {
        for relay in &mut self.relays {
            relay.taken = 0;
        }
    }

    /// The claim holds: the partition is owned, and its last commit is young enough.
    pub(super) fn holds(&self, in_flight: &InFlight, now: Duration) -> bool {
        let valid = self.valid.get(&in_flight.open.at);
        valid.is_some_and(|(token, until)| *token == in_flight.token && now < *until)
    }

    /// The first waiting message whose site takes mail now.
    pub(super) fn next_for_site(&mut self, setup: &Setup, now: Duration) -> Result<usize, Blocked> {
        let mut until: Option<Duration> = None;
        for index in 0..self.waiting.len() {
            let Some(site) = self
                .waiting
                .get(index)
                .map(|in_flight| in_flight.site.clone())
            else {
                break;
            };
            match self.site_opens(setup, &site, now) {
                Some(at) if at <= now => return Ok(index),
                Some(at) => until = Some(until.map_or(at, |earlier| earlier.min(at))),
                None => {}
            }
        }
        Err(until.map_or(Blocked::Empty, Blocked::Until))
    }

    /// When a site takes its next message; `None`: when one of its messages comes back.
    pub(super) fn site_opens(
        &mut self,
        setup: &Setup,
        site: &str,
        now: Duration,
    ) -> Option<Duration> {
        let state = self.site(setup, site, now);
        if state.breaker.is_open()
            && let Permit::Wait(until) = state.breaker.may_try(now)
        {
            return Some(until);
        }
        let limit = setup
            .sites
            .get(site)
            .map_or(usize::MAX, |limit| limit.connections);
        if state.with_relay >= limit {
            return None;
        }
        match &mut state.pace {
            Some(pace) => pace.opens(now),
            None => Some(now),
        }
    }

    pub(super) fn site(&mut self, setup: &Setup, site: &str, now: Duration) -> &mut SiteState {
        if self.sites.len() > MAX_SITES && !self.sites.contains_key(site) {
            self.sites
                .retain(|_, s| s.with_relay > 0 || s.breaker.is_open() || s.pace.is_some());
        }
        let schedule = self.schedule.as_ref();
        self.sites.entry(site.to_string()).or_insert_with(|| {
            let limit = setup.sites.get(site);
            SiteState {
                breaker: Breaker::new(format!("site `{site}`")),
                pace: limit.map(|limit| site_pace(setup, (site, limit.rate), schedule, now)),
                with_relay: 0,
            }
        })
    }

    pub(super) fn use_slots(&mut self, relay: usize, site: &str, now: Duration) {
        self.pace.take(now);
        if let Some(state) = self.relays.get_mut(relay) {
            state.pace.take(now);
            state.taken += 1;
            state.with_relay += 1;
        }
        if let Some(state) = self.sites.get_mut(site) {
            if let Some(pace) = &mut state.pace {
                pace.take(now);
            }
            state.with_relay += 1;
        }
    }
}

fn site_pace(
    setup: &Setup,
    (site, limit): (&str, Rate),
    schedule: Option<&ShareSchedule>,
    now: Duration,
) -> Pace {
    let mut pace = Pace::new(setup.queue.as_ref(), format!("site/{site}"), limit, 1);
    if let Some(schedule) = schedule {
        pace.set_share(schedule.share(now, limit, 1), now);
    }
    pace
}
