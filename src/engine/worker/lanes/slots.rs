//! The stocks of slots: of the whole queue, of each relay and of each site with a rate.

use super::Lanes;
use crate::engine::limits::pace::Pace;
use crate::engine::worker::settings::Notice;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
enum PaceOf {
    All,
    Relay(usize),
    Site(String),
}

/// Slots of one relay or site are not needed further ahead.
const MOST_OF_A_LANE: usize = 64;

/// When each limit has its next slot, where it lacks one.
#[derive(Default)]
struct Asks {
    all: Option<Duration>,
    relays: Vec<Option<Duration>>,
    sites: Vec<Option<Duration>>,
}

impl Asks {
    /// A message needs a slot of the rate and one of any relay; what waits for its site needs one of that.
    fn first(self, relays: usize) -> Option<Duration> {
        let is_any_free = self.relays.len() < relays || self.relays.contains(&None);
        let relay = self.relays.into_iter().flatten().min();
        // One that is free may be away or have its hands full: then the others' slots are what is waited for.
        let next = self
            .all
            .max(relay.filter(|_| !is_any_free || self.all.is_none()));
        let site = self.sites.into_iter().flatten().min();
        [next, site].into_iter().flatten().min()
    }
}

impl Lanes {
    /// Fills the stocks of slots for `claimable` messages. Returns when asking again makes sense; `None`: not before
    /// something else has changed.
    pub async fn fill_paces(&self, claimable: usize, horizon: Duration) -> Option<Duration> {
        let now = self.setup.clock.since_boot();
        let waiting = self.inner.borrow().waiting.len();
        let wanted = claimable + waiting;
        if wanted == 0 || self.inner.borrow().has_no_share(now) {
            return None;
        }
        // The stocks are taken out while the queue is asked: connections see none in the meantime, and wait.
        let mut paces = self.limited_paces();
        let mut asks = Asks::default();
        for (which, pace) in &mut paces {
            let (want, waiting) = match which {
                PaceOf::All => (wanted, waiting),
                PaceOf::Relay(_) => (wanted.min(MOST_OF_A_LANE), waiting),
                // Others may have messages for this site where this worker has none.
                PaceOf::Site(site) => {
                    let waiting = self.waiting_for(site);
                    (waiting.min(MOST_OF_A_LANE), waiting)
                }
            };
            if let Err(error) = pace
                .fill(self.setup.queue.as_ref(), want, now, horizon)
                .await
            {
                self.observer
                    .notice(Notice::QueueTrouble(error.to_string()));
            }
            // With slots left over it is not slots that are waited for.
            let stock = pace.stock(now);
            let lacks = stock < want && stock <= waiting;
            let ask_at = pace.ask_at(now, horizon).filter(|_| lacks);
            match which {
                PaceOf::All => asks.all = ask_at,
                PaceOf::Relay(_) => asks.relays.push(ask_at),
                PaceOf::Site(_) if waiting > 0 => asks.sites.push(ask_at),
                PaceOf::Site(_) => {}
            }
        }
        self.put_back(paces);
        self.wake();
        asks.first(self.setup.relays.len())
    }

    fn waiting_for(&self, site: &str) -> usize {
        let inner = self.inner.borrow();
        let of_site = inner.waiting.iter().filter(|handed| handed.site == site);
        of_site.count()
    }

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
        for (name, site) in &mut inner.sites {
            if let Some(pace) = site.pace.as_mut().filter(|pace| !pace.is_unlimited()) {
                paces.push((
                    PaceOf::Site(name.clone()),
                    std::mem::replace(pace, Pace::none()),
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
    fn the_next_slot_is_asked_for_when_a_message_could_use_it() {
        let at = |seconds| Some(Duration::from_secs(seconds));
        let first = |all, relays: &[Option<Duration>], sites: &[Option<Duration>], count| {
            let (relays, sites) = (relays.to_vec(), sites.to_vec());
            Asks { all, relays, sites }.first(count)
        };
        assert_eq!(first(None, &[], &[], 1), None);
        assert_eq!(first(at(3), &[], &[], 1), at(3));
        assert_eq!(first(at(3), &[at(5)], &[], 1), at(5));
        // The other relay has no limit, or a slot left over.
        assert_eq!(first(at(3), &[at(5)], &[], 2), at(3));
        assert_eq!(first(at(3), &[at(5), None], &[], 2), at(3));
        assert_eq!(first(None, &[at(5), at(4)], &[], 2), at(4));
        assert_eq!(first(None, &[at(5)], &[], 2), at(5));
        assert_eq!(first(None, &[at(5), None], &[], 2), at(5));
        // A slow site keeps nobody else waiting.
        assert_eq!(first(at(3), &[], &[at(60)], 1), at(3));
        assert_eq!(first(None, &[], &[at(60), at(2)], 1), at(2));
    }
}
