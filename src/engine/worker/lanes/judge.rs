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
            Some(site) => {
                let what = || self.lane_name(relay, site);
                let state = inner.sites.get_mut(site);
                state.and_then(|state| state.breakers.report(relay, what, now, signal))
            }
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
        if !self.is_of_an_old_deferral(index, answer, &signal)
            && !self.is_greylisting(index, answer, &signal)
        {
            self.signal(index, Some(&answer.in_flight.site), signal);
        }
    }

    /// Whether one recipient is deferred again. It says nothing about the others, unless it was the probe.
    fn is_of_an_old_deferral(&self, relay: usize, answer: &Answer, signal: &Signal) -> bool {
        let inner = self.inner.borrow();
        let state = inner.sites.get(&answer.in_flight.site);
        let is_open = state.is_some_and(|state| state.breakers.is_open(relay));
        matches!(signal, Signal::DeferredOne(_)) && !is_first(answer) && !is_open
    }

    /// Whether the site only makes first tries wait: it took this message at its second try while first ones failed, or
    /// has done so lately. A site that has taken first tries has a limit or is in trouble, and takes some again.
    fn is_greylisting(&self, relay: usize, answer: &Answer, signal: &Signal) -> bool {
        let now = self.setup.clock.since_boot();
        let mut inner = self.inner.borrow_mut();
        let Some(site) = inner.sites.get_mut(&answer.in_flight.site) else {
            return false;
        };
        let is_taken = matches!(answer.attempt, Attempt::Delivered(_));
        if is_taken && is_first(answer) {
            site.takes_first_tries_until = now + GREYLISTING;
            site.greylists_until = Duration::ZERO;
        }
        let takes_first_tries = now < site.takes_first_tries_until;
        if is_taken && site.breakers.is_open(relay) && !takes_first_tries {
            site.greylists_until = now + GREYLISTING;
        }
        let is_deferred = matches!(signal, Signal::Deferred(_) | Signal::DeferredOne(_));
        is_deferred && is_first(answer) && now < site.greylists_until
    }

    /// The relay has taken a message since then.
    pub fn has_taken_since(&self, relay: Option<&str>, since: Duration) -> bool {
        let inner = self.inner.borrow();
        let state = self
            .relay_index(relay)
            .and_then(|index| inner.relays.get(index));
        state.is_some_and(|state| state.taken_at > Some(since))
    }

    /// The site is paused over this relay.
    pub fn is_paused(&self, relay: Option<&str>, site: &str) -> bool {
        let inner = self.inner.borrow();
        let relay = self.relay_index(relay);
        let lane = relay.zip(inner.sites.get(site));
        lane.is_some_and(|(relay, state)| state.breakers.is_open(relay))
    }

    /// For notices. The relay is named where there are several.
    fn lane_name(&self, relay: usize, site: &str) -> String {
        let lane = self.setup.relays.get(relay);
        match lane.filter(|_| self.setup.relays.len() > 1) {
            Some(lane) => format!("site `{site}` via relay `{}`", lane.relay.name()),
            None => format!("site `{site}`"),
        }
    }

    fn relay_index(&self, name: Option<&str>) -> Option<usize> {
        let name = name?;
        self.setup
            .relays
            .iter()
            .position(|lane| lane.relay.name() == name)
    }
}

/// The message has not been tried before.
fn is_first(answer: &Answer) -> bool {
    let line = &answer.in_flight.open.message.line;
    line.tries == 0 && line.hop == 0
}
