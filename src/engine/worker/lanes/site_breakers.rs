//! The breakers of one site: one for each relay that carries mail to it, because a site that refuses what comes from one
//! relay may take it from another.

use crate::domain::rate::Rate;
use crate::engine::breaker::{Breaker, Notice, Signal};
use std::collections::BTreeMap;
use std::time::Duration;

/// The breakers of one site, by index of the relay.
#[derive(Debug, Default)]
pub struct SiteBreakers {
    by_relay: BTreeMap<usize, Breaker>,
}

impl SiteBreakers {
    /// Takes a signal of a message that went over the relay. `what`: the lane, for notices.
    pub fn report(
        &mut self,
        relay: usize,
        what: impl FnOnce() -> String,
        now: Duration,
        signal: Signal,
    ) -> Option<Notice> {
        let breaker = self.by_relay.entry(relay);
        let breaker = breaker.or_insert_with(|| Breaker::new(what()));
        breaker.report(now, signal)
    }

    pub fn is_open(&self, relay: usize) -> bool {
        self.by_relay.get(&relay).is_some_and(Breaker::is_open)
    }

    pub fn is_any_open(&self) -> bool {
        self.by_relay.values().any(Breaker::is_open)
    }

    /// The relays over which the site is paused.
    pub fn open_relays(&self) -> impl Iterator<Item = usize> {
        let open = self
            .by_relay
            .iter()
            .filter(|(_, breaker)| breaker.is_open());
        open.map(|(relay, _)| *relay)
    }

    /// When the next message over this relay may begin, as a probe or at the learned rate. `None`: now.
    pub fn held_until(&self, relay: usize, now: Duration) -> Option<Duration> {
        self.by_relay.get(&relay)?.held_until(now)
    }

    /// A message begins over this relay.
    pub fn begin(&mut self, relay: usize, now: Duration) {
        if let Some(breaker) = self.by_relay.get_mut(&relay) {
            breaker.begin(now);
        }
    }

    /// How many messages may be claimed and wait for their turn over these relays.
    pub fn ahead(&self, relays: impl Iterator<Item = usize>) -> usize {
        let ahead = |relay| self.by_relay.get(&relay).map_or(usize::MAX, Breaker::ahead);
        relays.map(ahead).fold(0, usize::saturating_add)
    }

    /// The rate that was learned over this relay.
    pub fn learned_rate(&self, relay: usize) -> Option<Rate> {
        self.by_relay.get(&relay)?.learned_rate()
    }

    /// Something is known of the site that is worth keeping.
    pub fn is_any_in_use(&self) -> bool {
        let mut breakers = self.by_relay.values();
        breakers.any(|breaker| breaker.is_open() || breaker.learned_rate().is_some())
    }

    /// The site is paused over each of these relays.
    pub fn are_open(&self, mut relays: impl Iterator<Item = usize>) -> bool {
        !self.by_relay.is_empty() && relays.all(|relay| self.is_open(relay))
    }

    /// How many messages may go over these relays, each with what it carries where it has no trouble with the site.
    pub fn allowed(
        &self,
        relays: impl Iterator<Item = (usize, usize)>,
        now: Duration,
    ) -> impl Iterator<Item = usize> {
        relays.map(move |(relay, carries)| {
            let breaker = self.by_relay.get(&relay);
            breaker.map_or(carries, |breaker| breaker.probes(now).min(carries))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn deferred(breakers: &mut SiteBreakers, relay: usize, times: usize) -> Option<Notice> {
        let reports = (0..times).filter_map(|_| {
            let signal = Signal::Deferred("451 later".to_string());
            breakers.report(relay, || format!("over {relay}"), SECOND, signal)
        });
        reports.last()
    }

    /// Over two relays that carry nine each.
    fn allowed(breakers: &SiteBreakers, now: Duration) -> usize {
        breakers.allowed([(0, 9), (1, 9)].into_iter(), now).sum()
    }

    #[test]
    fn a_site_is_paused_over_the_relay_that_it_defers() {
        let mut breakers = SiteBreakers::default();
        assert!(!breakers.are_open(0..2));
        assert_eq!(allowed(&breakers, SECOND), 18);
        assert!(deferred(&mut breakers, 0, 20).is_some());
        assert!(breakers.is_open(0) && !breakers.is_open(1));
        assert!(breakers.is_any_open() && !breakers.are_open(0..2));
        assert!(breakers.held_until(0, SECOND) > Some(SECOND));
        assert_eq!(breakers.held_until(1, SECOND), None);
        assert_eq!(allowed(&breakers, SECOND), 9);
        // The other relay is away.
        assert!(breakers.are_open(0..1));
        assert_eq!(
            breakers
                .allowed([(0, 9)].into_iter(), SECOND)
                .sum::<usize>(),
            0
        );
    }

    #[test]
    fn a_site_that_defers_all_relays_gets_a_probe_over_each() {
        let mut breakers = SiteBreakers::default();
        deferred(&mut breakers, 0, 20);
        deferred(&mut breakers, 1, 20);
        assert!(breakers.are_open(0..2));
        assert_eq!(allowed(&breakers, SECOND), 0);
        assert_eq!(allowed(&breakers, 3 * SECOND), 2);
        breakers.begin(0, 3 * SECOND);
        assert_eq!(allowed(&breakers, 3 * SECOND), 1);
        let works = breakers.report(0, String::new, 3 * SECOND, Signal::Fine);
        assert!(matches!(works, Some(Notice::Closed { what, .. }) if what == "over 0"));
        assert_eq!(allowed(&breakers, 3 * SECOND), 9 + 1);
    }
}
