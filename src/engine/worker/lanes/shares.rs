//! This worker's share of every limit, where workers share them out: the rate's, each relay's and each site's in the
//! same proportion.

use super::{Inner, Lanes};
use crate::engine::limits::shares::ShareSchedule;
use crate::engine::worker::settings::Notice;
use std::time::Duration;

impl Lanes {
    /// Sets what may be used from now on. Messages that wait for a slot that will not come are returned unused.
    pub fn set_shares(&self, schedule: &ShareSchedule) {
        let now = self.setup.clock.since_boot();
        let mut inner = self.inner.borrow_mut();
        let before = inner.pace.share();
        inner.schedule = Some(schedule.clone());
        let (limit, burst) = inner.limit;
        inner.pace.set_share(schedule.share(now, limit, burst), now);
        for (relay, lane) in inner.relays.iter_mut().zip(&self.setup.relays) {
            relay.pace.set_share(schedule.share(now, lane.rate, 1), now);
        }
        for (site, limit) in &self.setup.sites {
            let share = schedule.share(now, limit.rate, 1);
            if let Some(pace) = &mut inner.site(&self.setup, site, now).pace {
                pace.set_share(share, now);
            }
        }
        let after = inner.pace.share();
        let (is_stuck, closed) = (inner.has_no_share(now), inner.closed_sites(now));
        drop(inner);
        self.take_back_if(
            |in_flight| is_stuck || closed.contains(&in_flight.site),
            "no share of the rate",
        );
        if before != after {
            tracing::info!(?limit, share = ?after, "share of the rate");
            let share = after;
            self.observer.notice(Notice::Share { limit, share });
        }
        self.tell_waiting(schedule);
        self.wake();
    }

    /// Tells the operator once that a limit allows fewer messages than there are workers, and this one waits.
    fn tell_waiting(&self, schedule: &ShareSchedule) {
        let Some(place) = schedule.place() else {
            return;
        };
        let all = ("the rate".to_string(), self.inner.borrow().limit.0);
        let relays = self.setup.relays.iter();
        let relays = relays.map(|lane| (format!("relay `{}`", lane.relay.name()), lane.rate));
        let sites = self.setup.sites.iter();
        let sites = sites.map(|(site, limit)| (format!("site `{site}`"), limit.rate));
        for (of, limit) in std::iter::once(all).chain(relays).chain(sites) {
            let waits = &mut self.inner.borrow_mut().waits;
            if place.share(limit, 1).is_some() {
                waits.remove(&of);
            } else if waits.insert(of.clone()) {
                let workers = place.workers();
                self.observer.notice(Notice::NoShare { of, limit, workers });
            }
        }
    }
}

impl Inner {
    /// No message may begin: nothing of the rate, or of any relay, is this worker's.
    pub(super) fn has_no_share(&self, now: Duration) -> bool {
        self.pace.is_closed(now) || self.relays.iter().all(|relay| relay.pace.is_closed(now))
    }

    pub(super) fn site_is_closed(&self, site: &str, now: Duration) -> bool {
        let pace = self.sites.get(site).and_then(|state| state.pace.as_ref());
        pace.is_some_and(|pace| pace.is_closed(now))
    }

    fn closed_sites(&self, now: Duration) -> Vec<String> {
        let sites = self.sites.keys();
        sites
            .filter(|site| self.site_is_closed(site, now))
            .cloned()
            .collect()
    }
}
