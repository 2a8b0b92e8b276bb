//! How many more messages of a site may be claimed in this cycle.

use super::hold_times::HoldTime;
use super::{Inner, Lanes, SiteState};
use crate::engine::limits::pace::Pace;
use crate::engine::worker::settings::Setup;
use std::time::Duration;

impl Lanes {
    /// Counts one more message for the site in this cycle, if its limits allow one.
    pub fn reserve(&self, site: &str) -> bool {
        let room = self.site_room(site);
        if room == usize::MAX {
            return true;
        }
        if room > 0 {
            let mut inner = self.inner.borrow_mut();
            *inner.reserved.entry(site.to_string()).or_default() += 1;
        }
        room > 0
    }

    /// A new cycle starts to claim.
    pub fn begin_reserving(&self) {
        self.inner.borrow_mut().reserved.clear();
    }

    /// How many more messages the site takes in this cycle.
    pub fn site_room(&self, site: &str) -> usize {
        let now = self.setup.clock.since_boot();
        let flow = self.room_within_limits(site, Pace::stock);
        if flow == 0 {
            return 0;
        }
        let inner = self.inner.borrow();
        let unknown = HoldTime::default();
        let state = inner.sites.get(site);
        let hold_time = state.map_or(&unknown, |state| &state.hold_time);
        let reserved = inner.reserved.get(site).copied().unwrap_or(0);
        let claimed = state.map_or(0, SiteState::claimed) + reserved;
        let has_others = inner.busy_sites > usize::from(claimed > 0);
        let most = inner
            .hold_times
            .most(hold_time, inner.places(&self.setup), has_others, now);
        most.map_or(flow, |most| flow.min(most.saturating_sub(claimed)))
    }

    /// How many more messages may go now by the site's limits, its breaker and how slow it is alone: zero while its mail
    /// has to wait for the site itself, not for other mail. A slot that begins later does not count: with a thousand sites
    /// of two messages a second, the slots of the first sixty would keep the worker from reading the others' mail.
    pub fn site_flow(&self, site: &str) -> usize {
        self.room_within_limits(site, Pace::begun)
    }

    /// `slots`: how many of the site's slots count.
    fn room_within_limits(
        &self,
        site: &str,
        slots: impl Fn(&mut Pace, Duration) -> usize,
    ) -> usize {
        let now = self.setup.clock.since_boot();
        let mut inner = self.inner.borrow_mut();
        if !inner.sites.contains_key(site) {
            if !self.setup.sites.contains_key(site) {
                return usize::MAX;
            }
            inner.site(&self.setup, site, now);
        }
        let reserved = inner.reserved.get(site).copied().unwrap_or(0);
        // The slots first, because most of a thousand limited sites have none.
        let room = match inner.sites.get_mut(site) {
            Some(state) => state.room_of_slots(reserved, |pace| slots(pace, now)),
            None => usize::MAX,
        };
        match inner.sites.get(site).filter(|_| room > 0) {
            Some(state) => room.min(inner.room_of_others(&self.setup, state, reserved, now)),
            None => room,
        }
    }
}

impl SiteState {
    fn room_of_slots(&mut self, reserved: usize, slots: impl Fn(&mut Pace) -> usize) -> usize {
        let Some(pace) = &mut self.pace else {
            return usize::MAX;
        };
        let slots = slots(pace);
        match slots {
            usize::MAX => usize::MAX,
            _ => slots.saturating_sub(self.waiting + reserved),
        }
    }
}

impl Inner {
    /// Messages that may be claimed at once by what the connections need.
    fn places(&self, setup: &Setup) -> usize {
        setup.max_uncommitted.min(2 * self.connections())
    }

    /// How many more messages may go by the site's breakers, by how slow it is, and by its limit of messages at once.
    fn room_of_others(
        &self,
        setup: &Setup,
        state: &SiteState,
        reserved: usize,
        now: Duration,
    ) -> usize {
        let claimed = state.claimed() + reserved;
        let places = self.places(setup);
        let mut room = self.room_of_slow(state, places, reserved, now);
        let probes = self.probes(state, now);
        if probes < usize::MAX {
            room = room.min(probes.saturating_sub(claimed));
        }
        let ahead = state.breakers.ahead(self.working_relays());
        if ahead < usize::MAX {
            room = room.min(ahead.saturating_sub(state.waiting + reserved));
        }
        if let Some(limit) = state.limit {
            // One waits for each that is with a relay, so that no connection waits for the next commit.
            let all = claimed + state.stuck;
            room = room.min(limit.connections.saturating_mul(2).saturating_sub(all));
        }
        room
    }

    /// How many more messages of a slow site may be claimed; `usize::MAX` if it is not slow.
    fn room_of_slow(
        &self,
        state: &SiteState,
        places: usize,
        reserved: usize,
        now: Duration,
    ) -> usize {
        if !self.hold_times.is_slow(&state.hold_time, now) {
            return usize::MAX;
        }
        let claimed = state.claimed() + reserved;
        let most = self.hold_times.most(&state.hold_time, places, false, now);
        let room = most.unwrap_or(usize::MAX).saturating_sub(claimed);
        match claimed {
            // One of a site that has none may always go: it shows whether the site is still slow.
            0 => room,
            _ => {
                let together = self.hold_times.most_of_slow();
                room.min(together.saturating_sub(self.slow + reserved))
            }
        }
    }

    /// How many messages may wait for their turn at the learned rates of the relays.
    pub(super) fn ahead_of_relays(&self) -> usize {
        let relays = self
            .working_relays()
            .filter_map(|index| self.relays.get(index));
        let ahead = relays.map(|relay| relay.breaker.ahead());
        ahead.fold(0, usize::saturating_add)
    }

    /// How many messages the breakers let go to the site now; `usize::MAX` if they are closed. What is paused over a relay
    /// goes over the others: no more of it is claimed than these have connections for, all such sites together, because
    /// a slow relay would else fill K with it.
    pub(super) fn probes(&self, site: &SiteState, now: Duration) -> usize {
        if !site.breakers.is_any_open() {
            return usize::MAX;
        }
        let beside = self.partly_paused.saturating_sub(site.claimed());
        let carries = |relay: usize| {
            let state = self.relays.get(relay).filter(|state| !state.is_silent(now));
            let carries = state.map_or(0, |state| 2 * state.connections);
            (relay, carries.saturating_sub(beside).max(1))
        };
        let each = site
            .breakers
            .allowed(self.working_relays().map(carries), now);
        match self.are_all_held() {
            // The one message that is claimed then must be one that every relay may probe with.
            true => each.min().unwrap_or(0),
            false => each.fold(0, usize::saturating_add),
        }
    }
}
