//! The stocks of slots: of the whole queue, of each relay and of each site with a rate.

use super::Lanes;
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
    /// Takes slots of sites with a rate for messages that could be claimed (`sendable`, by site) or are. Other workers
    /// may have messages for the same sites, so slots are taken only for messages. Returns when asking again makes sense.
    pub async fn fill_sites(
        &self,
        sendable: &BTreeMap<String, usize>,
        horizon: Duration,
    ) -> Option<Duration> {
        let now = self.setup.clock.since_boot();
        let (mut paces, mut wants) = (Vec::new(), Vec::new());
        {
            let mut inner = self.inner.borrow_mut();
            for site in self.setup.sites.keys() {
                let state = inner.site(&self.setup, site, now);
                let claimable = sendable.get(site).copied().unwrap_or(0);
                let want = (state.waiting + claimable).min(MOST_SLOTS);
                let pace = state.pace.as_mut();
                let Some(pace) = pace.filter(|pace| want > 0 && !pace.is_unlimited()) else {
                    continue;
                };
                let pace = std::mem::replace(pace, Pace::none());
                paces.push((PaceOf::Site(site.clone()), pace));
                wants.push(want);
            }
        }
        let per_second = paces.iter().filter_map(|(_, pace)| pace.share());
        let per_second = per_second.map(|rate| rate.per_second()).sum();
        let horizon = shorter(horizon, per_second, self.setup.max_uncommitted);
        let mut next: Option<Duration> = None;
        for ((_, pace), want) in paces.iter_mut().zip(wants) {
            self.fill(pace, want, now, horizon).await;
            let ask_at = pace.ask_at(now, horizon);
            let ask_at = ask_at.filter(|_| pace.stock(now) < want);
            next = next.into_iter().chain(ask_at).min();
        }
        self.put_back(paces);
        next
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
