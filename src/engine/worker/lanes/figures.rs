//! What the lanes do now, for monitoring.

use super::{Inner, Lanes};
use crate::domain::rate::Rate;
use crate::engine::worker::figures::{LaneState, LanesState, RelayState, SiteState};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

impl Lanes {
    pub fn state(&self) -> LanesState {
        let now = self.setup.clock.since_boot();
        let inner = self.inner.borrow();
        let (limit, burst) = inner.limit;
        let relays = inner.relays.iter().zip(&self.setup.relays);
        let relays = relays.map(|(state, lane)| RelayState {
            name: lane.relay.name().to_string(),
            share: lower(
                inner.share_of(lane.rate, 1, now),
                state.breaker.learned_rate(),
            ),
            open_connections: state.open,
            attempts: state.attempts,
            is_paused: state.breaker.is_open(),
        });
        let sites = inner.sites.iter().map(|(name, state)| {
            let limit = self.setup.sites.get(name);
            let state = SiteState {
                waiting: state.waiting,
                unclaimed: 0,
                parked: 0,
                paused: usize::from(inner.is_site_paused(state)),
                has_rate: limit.is_some(),
                share: limit.and_then(|limit| inner.share_of(limit.rate, 1, now)),
            };
            (name.clone(), state)
        });
        LanesState {
            limit: Some(limit),
            share: inner.share_of(limit, burst, now),
            relays: relays.collect(),
            sites: sites.collect(),
            lanes: self.with_relays(&inner),
            paused_lanes: self.paused_lanes(&inner),
            learned_rates: self.learned_rates(&inner),
        }
    }

    fn with_relays(&self, inner: &Inner) -> Vec<LaneState> {
        let mut counts: BTreeMap<(usize, &str), usize> = BTreeMap::new();
        for (relay, in_flight) in inner.begun.values() {
            *counts.entry((*relay, &in_flight.site)).or_default() += 1;
        }
        let lanes = counts.into_iter();
        lanes
            .map(|((relay, site), messages)| LaneState {
                relay: self.relay_name(relay),
                site: site.to_string(),
                messages,
            })
            .collect()
    }

    fn paused_lanes(&self, inner: &Inner) -> BTreeSet<(String, String)> {
        let sites = inner.sites.iter();
        let paused = sites.flat_map(|(site, state)| {
            let relays = state.breakers.open_relays();
            relays.map(|relay| (self.relay_name(relay), site.clone()))
        });
        paused.collect()
    }

    fn learned_rates(&self, inner: &Inner) -> BTreeMap<(String, String), Rate> {
        let relays = 0..self.setup.relays.len();
        let lanes = inner.sites.iter().flat_map(|(site, state)| {
            let learned = |relay| Some((relay, state.breakers.learned_rate(relay)?));
            let rates = relays.clone().filter_map(learned);
            rates.map(|(relay, rate)| ((self.relay_name(relay), site.clone()), rate))
        });
        lanes.collect()
    }

    fn relay_name(&self, relay: usize) -> String {
        let lane = self.setup.relays.get(relay);
        lane.map_or_else(String::new, |lane| lane.relay.name().to_string())
    }
}

/// The share, or the learned rate where that is lower.
fn lower(share: Option<Rate>, learned: Option<Rate>) -> Option<Rate> {
    let share = share?;
    let lower = learned.filter(|learned| learned.per_second() < share.per_second());
    Some(lower.unwrap_or(share))
}

impl Inner {
    /// What this worker may use of a limit now. The stocks of slots are not asked, because they may be out for filling.
    fn share_of(&self, limit: Rate, burst: u32, now: Duration) -> Option<Rate> {
        match &self.schedule {
            None => Some(limit),
            Some(schedule) => schedule.share(now, limit, burst).0.map(|share| share.rate),
        }
    }
}
