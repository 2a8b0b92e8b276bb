//! The stocks of slots: of the whole queue, of each relay and of each site with a rate.

use super::{Inner, Lanes};
use crate::engine::limits::pace::{NextSlots, Pace};
use crate::engine::worker::settings::Notice;
use crate::queue::SlotRequest;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
enum PaceOf {
    All,
    Relay(usize),
    Site(String),
}

/// Slots of one relay or site are not needed further ahead.
pub const MOST_SLOTS: usize = 64;

/// A commit takes about so long at least.
const SHORTEST_HORIZON: Duration = Duration::from_millis(10);

/// How far ahead slots of sites are taken that have this rate together. Claimed messages wait for their slots, and half of
/// the most that may be claimed is kept for those that are with relays. A thousand sites of two messages a second have
/// 120 slots in 60 ms, which is more than K at its default.
fn shorter(horizon: Duration, per_second: f64, most_claimed: usize) -> Duration {
    let seconds = most_claimed as f64 / 2.0 / per_second;
    let most = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    horizon.min(most.max(SHORTEST_HORIZON))
}

impl Lanes {
    /// Takes slots of sites with a rate for messages that could be claimed (`sendable`, by site) or wait beside them.
    /// Other workers may have messages for the same sites, so slots are taken only for messages. Returns when asking
    /// again makes sense.
    pub async fn fill_sites(
        &self,
        sendable: &BTreeMap<String, usize>,
        horizon: Duration,
    ) -> Option<Duration> {
        let now = self.setup.clock.since_boot();
        let wants = self.inner.borrow().wanted_slots(sendable);
        let horizon = self.horizon_of_sites(&wants, horizon);
        let is_ready = self.has_idle_connection();
        let mut requests = Vec::new();
        for (site, want) in &wants {
            let mut inner = self.inner.borrow_mut();
            let state = inner.site(&self.setup, site, now);
            let could_go = is_ready && state.waiting > 0 && !state.breakers.is_any_open();
            let pace = state.pace.as_mut();
            let request = pace.and_then(|pace| pace.request((*want, could_go), now, horizon));
            requests.extend(request.map(|request| (PaceOf::Site(site.clone()), request)));
        }
        self.take_slots(requests).await;
        let mut inner = self.inner.borrow_mut();
        let next = wants.into_iter().filter_map(|(site, want)| {
            let pace = inner.sites.get_mut(&site)?.pace.as_mut()?;
            let ask_at = pace.ask_at(now, horizon)?;
            (pace.stock(now) < want).then_some(ask_at)
        });
        next.min()
    }

    /// A relay that takes mail has a connection that waits for a message.
    fn has_idle_connection(&self) -> bool {
        let inner = self.inner.borrow();
        let mut relays = inner.relays.iter().zip(&self.connection_queues);
        relays.any(|(relay, queue)| !relay.is_held() && queue.connected_waiting.get() > 0)
    }

    /// For the sites that have mail.
    fn horizon_of_sites(&self, wants: &BTreeMap<String, usize>, horizon: Duration) -> Duration {
        let limits = wants.keys().filter_map(|site| self.setup.sites.get(site));
        let limits = limits.map(|limit| limit.rate.per_second());
        let per_second = limits.filter(|rate| rate.is_finite()).sum();
        shorter(horizon, per_second, self.setup.max_uncommitted)
    }

    /// Takes slots of the queue's limit and of relays' for `claimable` messages. Returns when asking again makes sense;
    /// `None`: only after something else has changed.
    pub async fn fill_paces(&self, claimable: usize, horizon: Duration) -> Option<Duration> {
        let now = self.setup.clock.since_boot();
        let waiting = self.inner.borrow().waiting.len();
        let wanted = claimable + waiting;
        if wanted == 0 || self.inner.borrow().has_no_share(now) {
            return None;
        }
        let most = [PaceOf::All].into_iter().map(|all| (all, wanted));
        let relays = (0..self.setup.relays.len()).map(PaceOf::Relay);
        let wants: Vec<(PaceOf, usize)> = most
            .chain(relays.map(|relay| (relay, wanted.min(MOST_SLOTS))))
            .collect();
        let could_go = waiting > 0 && self.has_idle_connection();
        let mut requests = Vec::new();
        for (which, want) in &wants {
            let mut inner = self.inner.borrow_mut();
            let pace = inner.pace_of(which);
            let request = pace.and_then(|pace| pace.request((*want, could_go), now, horizon));
            requests.extend(request.map(|request| (which.clone(), request)));
        }
        self.take_slots(requests).await;
        let mut next = NextSlots::default();
        for (which, want) in wants {
            let mut inner = self.inner.borrow_mut();
            let Some(pace) = inner.pace_of(&which).filter(|pace| !pace.is_unlimited()) else {
                continue;
            };
            // A message that waits although there are slots waits for something else.
            let stock = pace.stock(now);
            let lacks = stock < want && stock <= waiting;
            let ask_at = pace.ask_at(now, horizon).filter(|_| lacks);
            match which {
                PaceOf::All => next.all = ask_at,
                PaceOf::Relay(_) | PaceOf::Site(_) => next.relays.push(ask_at),
            }
        }
        self.wake();
        next.first(self.setup.relays.len())
    }

    /// Asks the queue for slots, of all these limits at once.
    async fn take_slots(&self, requests: Vec<(PaceOf, SlotRequest)>) {
        let Some(buckets) = self.setup.queue.buckets().filter(|_| !requests.is_empty()) else {
            return;
        };
        let (paces, requests): (Vec<PaceOf>, Vec<SlotRequest>) = requests.into_iter().unzip();
        match buckets.take_slots(requests).await {
            Ok(taken) => {
                let mut inner = self.inner.borrow_mut();
                for (which, slots) in paces.iter().zip(taken) {
                    if let Some(pace) = inner.pace_of(which) {
                        pace.receive(slots);
                    }
                }
            }
            Err(error) => {
                let notice = Notice::QueueTrouble(error.to_string());
                self.observer.notice(notice);
            }
        }
    }
}

impl Inner {
    fn pace_of(&mut self, which: &PaceOf) -> Option<&mut Pace> {
        match which {
            PaceOf::All => Some(&mut self.pace),
            PaceOf::Relay(relay) => self.relays.get_mut(*relay).map(|state| &mut state.pace),
            PaceOf::Site(site) => self.sites.get_mut(site)?.pace.as_mut(),
        }
    }

    /// How many slots each site with a rate should have.
    fn wanted_slots(&self, sendable: &BTreeMap<String, usize>) -> BTreeMap<String, usize> {
        let mut wants = sendable.clone();
        for (site, state) in &self.sites {
            if state.waiting > 0 && state.pace.is_some() {
                *wants.entry(site.clone()).or_default() += state.waiting;
            }
        }
        wants
            .values_mut()
            .for_each(|want| *want = MOST_SLOTS.min(*want));
        wants
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_of_many_sites_are_taken_later() {
        let millis = Duration::from_millis;
        for (per_second, most_claimed, horizon) in [
            (0.0, 64, 60),
            (10.0, 64, 60),
            (2_000.0, 64, 16),
            (2_000.0, 1_024, 60),
            (50_000.0, 64, 10),
        ] {
            let shorter = shorter(millis(60), per_second, most_claimed);
            assert_eq!(shorter, millis(horizon), "{per_second}");
        }
        assert_eq!(shorter(millis(5), 50_000.0, 64), millis(5));
    }
}
