//! The stocks of slots: of the whole queue, of each relay and of each site with a rate.

use super::Lanes;
use crate::engine::limits::pace::{NextSlots, Pace};
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

impl Lanes {
    /// Takes slots for `claimable` messages. Returns when asking again makes sense; `None`: only after something else
    /// has changed.
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
            let (want, waiting) = match which {
                PaceOf::All => (wanted, waiting),
                PaceOf::Relay(_) => (wanted.min(MOST_OF_A_LANE), waiting),
                // Only for messages that wait: other workers may have messages for this site.
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
            // A message that waits although there are slots waits for something else.
            let stock = pace.stock(now);
            let lacks = stock < want && stock <= waiting;
            let ask_at = pace.ask_at(now, horizon).filter(|_| lacks);
            match which {
                PaceOf::All => next.all = ask_at,
                PaceOf::Relay(_) => next.relays.push(ask_at),
                PaceOf::Site(_) if waiting > 0 => next.sites.push(ask_at),
                PaceOf::Site(_) => {}
            }
        }
        self.put_back(paces);
        self.wake();
        next.first(self.setup.relays.len())
    }

    fn waiting_for(&self, site: &str) -> usize {
        let inner = self.inner.borrow();
        let of_site = inner
            .waiting
            .iter()
            .filter(|in_flight| in_flight.site == site);
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
