//! What attempts say of their relay and site.

use super::{Answer, Lanes};
use crate::domain::outcome::Attempt;
use crate::engine::breaker::{Signal, signals};
use crate::engine::policy::Trouble;
use crate::engine::worker::settings::Notice;
use std::time::Duration;

/// A site that makes first tries wait is known to do so for this long.
const GREYLISTING: Duration = Duration::from_secs(60 * 60);

impl Lanes {
    /// Feeds a breaker, and tells the operator when its state changes.
    pub(super) fn signal(&self, relay: usize, site: Option<&str>, signal: Signal) {
        let now = self.setup.clock.since_boot();
        let mut inner = self.inner.borrow_mut();
        let notice = match site {
            None => inner
                .relays
                .get_mut(relay)
                .and_then(|state| state.breaker.report(now, signal)),
            Some(site) => inner
                .sites
                .get_mut(site)
                .and_then(|state| state.breaker.report(now, signal)),
        };
        if notice.is_some() {
            inner.even_out_shares();
        }
        drop(inner);
        if let Some(notice) = notice {
            self.wake();
            self.observer.notice(Notice::Breaker(notice));
        }
    }

    /// Reports an attempt to the breakers of its relay and site.
    pub fn judge(&self, answer: &Answer, trouble: Trouble) {
        let Some(index) = self.relay_index(answer.relay.as_deref()) else {
            return;
        };
        if let Attempt::Delivered(_) = answer.attempt
            && let Some(state) = self.inner.borrow_mut().relays.get_mut(index)
        {
            state.taken_at = Some(self.setup.clock.since_boot());
        }
        let (relay, site) = signals(&answer.attempt, trouble);
        if let Some(signal) = relay {
            self.signal(index, None, signal);
        }
        let Some(signal) = site else {
            return;
        };
        if !self.is_greylisting(answer, &signal) {
            self.signal(index, Some(&answer.in_flight.site), signal);
        }
    }

    /// Whether the site only makes first tries wait: it took this message at its second try while first ones failed, or
    /// has done so lately.
    fn is_greylisting(&self, answer: &Answer, signal: &Signal) -> bool {
        let now = self.setup.clock.since_boot();
        let line = &answer.in_flight.open.message.line;
        let is_first = line.tries == 0 && line.hop == 0;
        let mut inner = self.inner.borrow_mut();
        let Some(site) = inner.sites.get_mut(&answer.in_flight.site) else {
            return false;
        };
        let is_taken = matches!(answer.attempt, Attempt::Delivered(_));
        if is_taken && !is_first && site.breaker.is_open() {
            site.greylists_until = now + GREYLISTING;
        }
        is_first && now < site.greylists_until && matches!(signal, Signal::Deferred(_))
    }

    /// The relay has taken a message since then.
    pub fn has_taken_since(&self, relay: Option<&str>, since: Duration) -> bool {
        let inner = self.inner.borrow();
        let state = self
            .relay_index(relay)
            .and_then(|index| inner.relays.get(index));
        state.is_some_and(|state| state.taken_at > Some(since))
    }

    /// The site is paused for its own trouble.
    pub fn is_paused(&self, site: &str) -> bool {
        let inner = self.inner.borrow();
        let state = inner.sites.get(site);
        state.is_some_and(|state| state.breaker.is_open())
    }

    fn relay_index(&self, name: Option<&str>) -> Option<usize> {
        let name = name?;
        self.setup
            .relays
            .iter()
            .position(|lane| lane.relay.name() == name)
    }
}
