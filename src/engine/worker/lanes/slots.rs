//! The stocks of slots: of the whole queue, of each relay and of each site with a rate.

use super::super::pace::Pace;
use super::super::settings::Notice;
use super::Lanes;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
enum PaceOf {
    All,
    Relay(usize),
    Site(String),
}

impl Lanes {
    /// Fills the stocks of slots for `claimable` messages. Returns when asking again makes sense.
    pub async fn fill_paces(&self, claimable: usize, horizon: Duration) -> Option<Duration> {
        let now = self.setup.clock.since_boot();
        let wanted = claimable + self.inner.borrow().waiting.len();
        if wanted == 0 {
            return None;
        }
        // The stocks are taken out while the queue is asked: connections see none in the meantime, and wait.
        let mut paces = self.limited_paces();
        let mut ask_at = None;
        for (which, pace) in &mut paces {
            let want = if *which == PaceOf::All {
                wanted
            } else {
                wanted.min(64)
            };
            if let Err(error) = pace
                .fill(self.setup.queue.as_ref(), want, now, horizon)
                .await
            {
                self.observer
                    .notice(Notice::QueueTrouble(error.to_string()));
            }
            ask_at = ask_at.max(pace.ask_at(horizon));
        }
        self.put_back(paces);
        self.wake();
        ask_at
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
