//! The stocks of slots: of the whole queue, of each relay and of each site with a rate.

use super::{Inner, Lanes};
use crate::engine::limits::pace::{NextSlots, Pace};
use crate::engine::worker::settings::Notice;
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
    /// Takes slots of sites with a rate for messages that could be claimed (`sendable`, by site) or wait beside them. Other workers
    /// may have messages for the same sites, so slots are taken only for messages. Returns when asking again makes sense.
    pub async fn fill_sites(
        &self,
        sendable: &BTreeMap<String, usize>,
        horizon: Duration,
    ) -> Option<Duration> {
        let now = self.setup.clock.since_boot();
        let wants = self.inner.borrow().wanted_slots(sendable);
        let horizon = self.horizon_of_sites(&wants, horizon);
        let mut next: Option<Duration> = None;
        let mut asks = Vec::new();
        for (site, want) in wants {
            let mut inner = self.inner.borrow_mut();
            let Some(pace) = &mut inner.site(&self.setup, &site, now).pace else {
                continue;
            };
            match pace.ask_at(now, horizon) {
                _ if pace.stock(now) >= want => {}
                Some(at) if at <= now => {
                    let pace = std::mem::replace(pace, Pace::none());
                    asks.push((want, (PaceOf::Site(site), pace)));
                }
                later => next = next.into_iter().chain(later).min(),
            }
        }
        let mut paces = Vec::new();
        for (want, (site, mut pace)) in asks {
            self.fill(&mut pace, want, now, horizon).await;
            let ask_at = pace.ask_at(now, horizon);
            let ask_at = ask_at.filter(|_| pace.stock(now) < want);
            next = next.into_iter().chain(ask_at).min();
            paces.push((site, pace));
        }
        self.put_back(paces);
        next
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
        // The stocks are taken out while the queue is asked, because nothing may be borrowed across an await.
        // Connections see none in the meantime, and wait.
        let mut paces = self.limited_paces();
        let mut next = NextSlots::default();
        for (which, pace) in &mut paces {
            let want = match which {
                PaceOf::All => wanted,
                PaceOf::Relay(_) | PaceOf::Site(_) => wanted.min(MOST_SLOTS),
            };
            self.fill(pace, want, now, horizon).await;
            // A message that waits although there are slots waits for something else.
            let stock = pace.stock(now);
            let lacks = stock < want && stock <= waiting;
            let ask_at = pace.ask_at(now, horizon).filter(|_| lacks);
            match which {
                PaceOf::All => next.all = ask_at,
                PaceOf::Relay(_) | PaceOf::Site(_) => next.relays.push(ask_at),
            }
        }
        self.put_back(paces);
        self.wake();
        next.first(self.setup.relays.len())
    }

    async fn fill(&self, pace: &mut Pace, want: usize, now: Duration, horizon: Duration) {
        let queue = self.setup.queue.as_ref();
        if let Err(error) = pace.fill(queue, want, now, horizon).await {
            let notice = Notice::QueueTrouble(error.to_string());
            self.observer.notice(notice);
        }
    }

    /// Of the whole queue and of the relays.
    fn limited_paces(&self) -> Vec<(PaceOf, Pace)> {
        let mut inner = self.inner.borrow_mut();
        let mut paces = Vec::new();
        if !inner.pace.is_unlimited() {
            paces.push((
                PaceOf::All,
                std::mem::replace(&mut inner.pace, Pace::none()),
            ));
        }
        for (index, relay) in inner.relays.iter_mut().enumerate() {
            if !relay.pace.is_unlimited() {
                paces.push((
                    PaceOf::Relay(index),
                    std::mem::replace(&mut relay.pace, Pace::none()),
                ));
            }
        }
        paces
    }

    fn put_back(&self, paces: Vec<(PaceOf, Pace)>) {
        let mut inner = self.inner.borrow_mut();
        for (which, pace) in paces {
            match which {
                PaceOf::All => inner.pace = pace,
                PaceOf::Relay(index) => {
                    if let Some(relay) = inner.relays.get_mut(index) {
                        relay.pace = pace;
                    }
                }
                PaceOf::Site(name) => {
                    if let Some(site) = inner.sites.get_mut(&name) {
                        site.pace = Some(pace);
                    }
                }
            }
        }
    }
}

impl Inner {
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
