//! What relays and sites take now: breakers, messages at once, rates.

use super::hold_times::HoldTime;
use super::relay_share::{self, Candidate};
use super::site_breakers::SiteBreakers;
use super::{
    Blocked, FEWEST_SITES, InFlight, Inner, Lanes, MAX_LANES, MAX_SITES, RelayState, SiteState,
};
use crate::domain::outcome::Attempt;
use crate::domain::rate::Rate;
use crate::engine::limits::pace::Pace;
use crate::engine::limits::shares::ShareSchedule;
use crate::engine::worker::settings::Setup;
use std::collections::BTreeSet;
use std::time::Duration;

/// A relay with messages that has answered nothing for so long is taken for stopped.
const SILENT: Duration = Duration::from_secs(2);

/// A relay over which all sites are paused for so long is away. Connections would else come and go with the sites that
/// happen to have claimed messages.
const REFUSED: Duration = Duration::from_secs(5);

impl Lanes {
    /// Mail to this site is held back: it is paused over every relay that takes mail, and no probe is due.
    pub fn is_closed(&self, site: &str) -> bool {
        let now = self.setup.clock.since_boot();
        let inner = self.inner.borrow();
        let state = inner.sites.get(site);
        state.is_some_and(|state| inner.probes(state, now) == 0)
    }

    /// Looks at what each site holds, once a cycle.
    pub fn review_sites(&self) {
        let now = self.setup.clock.since_boot();
        let mut inner = self.inner.borrow_mut();
        inner.leave_out_silent_relays(now);
        inner.note_refused_relays(now);
        let (mut slow, mut busy, mut partly_paused) = (0, 0, 0);
        for state in inner.sites.values() {
            let claimed = state.claimed();
            if state.breakers.is_any_open() {
                partly_paused += claimed;
            }
            busy += usize::from(claimed > 0);
            if inner.hold_times.is_slow(&state.hold_time, now) {
                slow += claimed;
            }
        }
        (inner.slow, inner.busy_sites, inner.partly_paused) = (slow, busy, partly_paused);
        let with_relay = inner.begun.len();
        inner.hold_times.review(with_relay, now);
    }

    /// The site has answered before, and is not slow.
    pub(super) fn answers_quickly(&self, site: &str) -> bool {
        let now = self.setup.clock.since_boot();
        let inner = self.inner.borrow();
        let state = inner.sites.get(site);
        state.is_some_and(|state| {
            state.hold_time.has_answered() && !inner.hold_times.is_slow(&state.hold_time, now)
        })
    }
}

impl RelayState {
    /// Its connections carry no mail now.
    pub(super) fn is_away(&self, now: Duration) -> bool {
        let is_refused = self
            .refused_since
            .is_some_and(|since| now.saturating_sub(since) >= REFUSED);
        self.breaker.is_open() || is_refused || self.is_silent(now)
    }

    /// It has messages, and has answered none of any site for a while.
    pub(super) fn is_silent(&self, now: Duration) -> bool {
        self.with_relay > 0 && now.saturating_sub(self.answered_at) >= SILENT
    }
}

impl SiteState {
    /// Messages that wait or are with a relay that answers.
    pub(super) fn claimed(&self) -> usize {
        self.waiting + self.with_answering_relay()
    }

    fn with_answering_relay(&self) -> usize {
        self.with_relay.saturating_sub(self.stuck)
    }
}

impl Inner {
    /// Of all relays.
    pub(super) fn connections(&self) -> usize {
        self.relays.iter().map(|relay| relay.connections).sum()
    }

    /// A relay that answers nobody says nothing of the sites whose messages it has. They would look slow, and get nothing
    /// by the other relays either.
    fn leave_out_silent_relays(&mut self, now: Duration) {
        let silent: Vec<bool> = self
            .relays
            .iter()
            .map(|relay| relay.is_silent(now))
            .collect();
        for state in self.sites.values_mut() {
            state.stuck = 0;
        }
        if !silent.contains(&true) || !silent.contains(&false) {
            return;
        }
        for (ticket, (relay, in_flight)) in &self.begun {
            let is_stuck = silent.get(*relay).is_some_and(|is_silent| *is_silent);
            if let Some(state) = self.sites.get_mut(&in_flight.site).filter(|_| is_stuck) {
                state.stuck += 1;
                state.hold_time.forget(*ticket);
            }
        }
    }

    /// How many messages of the site may be with relays at once, so that other waiting messages have a connection.
    fn most_with_relay(&self, site: &str, has_others: bool, now: Duration) -> usize {
        let Some(state) = self.sites.get(site) else {
            return usize::MAX;
        };
        let connections = self.connections();
        let most = self
            .hold_times
            .most(&state.hold_time, connections, has_others, now);
        most.unwrap_or(usize::MAX)
    }

    /// A claimed message of the site has begun, or was taken back.
    pub(super) fn waits_no_more(&mut self, site: &str) {
        if let Some(state) = self.sites.get_mut(site) {
            state.waiting = state.waiting.saturating_sub(1);
        }
    }

    /// A message of the site has come back from its relay.
    pub(super) fn hold_ended(&mut self, site: &str, ticket: u64, attempt: &Attempt, now: Duration) {
        let Some(state) = self.sites.get_mut(site) else {
            return;
        };
        state.with_relay = state.with_relay.saturating_sub(1);
        if matches!(attempt, Attempt::BrokenOff { .. } | Attempt::NotSent { .. }) {
            state.hold_time.forget(ticket);
        } else if let Some(hold) = state.hold_time.end(ticket, now) {
            self.hold_times.answered(hold);
        }
    }

    /// The relay's breaker, its share by weight, its rate and the queue's.
    pub(super) fn may_take(
        &mut self,
        relay: usize,
        has_probe: bool,
        now: Duration,
    ) -> Result<(), Blocked> {
        let state = self.relays.get_mut(relay).ok_or(Blocked::Closing)?;
        if let Some(until) = state.breaker.held_until(now)
            && !has_probe
        {
            return Err(Blocked::Until(until));
        }
        if state.quota_left() == 0 {
            return Err(Blocked::Empty);
        }
        let is_probe = has_probe || state.breaker.is_open();
        let opens = [state.pace.opens(now), self.pace.opens(now)];
        match opens {
            [Some(relay), Some(all)] if relay.max(all) <= now => {}
            [Some(relay), Some(all)] => return Err(Blocked::Until(relay.max(all))),
            _ => return Err(Blocked::Empty),
        }
        if is_probe || self.relays.len() == 1 {
            return Ok(());
        }
        match relay_share::choose(&self.candidates(relay, now)) {
            Some(chosen) if chosen == relay => Ok(()),
            chosen => Err(Blocked::OthersTurn(chosen)),
        }
    }

    /// A message begins. Where a breaker is open it is a probe, and counts as one only now: a message that had to wait
    /// for a slot would have used up the probe.
    pub(super) fn use_probes(&mut self, relay: usize, has_probe: bool, site: &str, now: Duration) {
        if let Some(state) = self.relays.get_mut(relay).filter(|_| !has_probe) {
            state.breaker.begin(now);
        }
        if let Some(state) = self.sites.get_mut(site) {
            state.breakers.begin(relay, now);
        }
    }

    /// A relay that takes no mail for any site that has some is lent out like one that is paused.
    fn note_refused_relays(&mut self, now: Duration) {
        let count = self.relays.len();
        let mut open = vec![0; count];
        let mut busy = 0;
        for state in self.sites.values().filter(|state| state.claimed() > 0) {
            busy += 1;
            for relay in state.breakers.open_relays() {
                if let Some(open) = open.get_mut(relay) {
                    *open += 1;
                }
            }
        }
        for (relay, open) in self.relays.iter_mut().zip(open) {
            // While nothing is claimed nothing is learned.
            if busy > 0 {
                let since = relay.refused_since.unwrap_or(now);
                relay.refused_since = (open == busy).then_some(since);
            }
        }
    }

    /// The relays that take mail. All of them if none does, because then each is probed.
    pub(super) fn working_relays(&self) -> impl Iterator<Item = usize> {
        let are_all_held = self.are_all_held();
        let relays = self.relays.iter().enumerate();
        relays
            .filter(move |(_, relay)| are_all_held || !relay.is_held())
            .map(|(index, _)| index)
    }

    /// The site is paused over every relay that takes mail.
    pub(super) fn is_site_paused(&self, site: &SiteState) -> bool {
        site.breakers.is_any_open() && site.breakers.are_open(self.working_relays())
    }

    /// Sites that get nothing now, because no probe is due over any relay.
    pub(super) fn held_sites(&self, now: Duration) -> BTreeSet<String> {
        let sites = self.sites.iter();
        let held = sites.filter(|(_, state)| self.probes(state, now) == 0);
        held.map(|(site, _)| site.clone()).collect()
    }

    /// The relays that may take a message now. One that has nothing to take asks only for itself.
    fn candidates(&mut self, asking: usize, now: Duration) -> Vec<Option<Candidate>> {
        let candidate = |(index, relay): (usize, &mut RelayState)| {
            let opens = relay.pace.opens(now);
            // One that has only probes to send would hold the others up while it sends one.
            let takes_mail = relay.refused_since.is_none() && relay.no_message_until <= now;
            let has_messages = index == asking || takes_mail;
            let is_open = relay.open > 0 && !relay.breaker.is_open() && has_messages;
            let learned = relay.breaker.learned_rate();
            let rates = relay.pace.share().into_iter().chain(learned);
            let per_second = rates.map(|rate| rate.per_second()).reduce(f64::min);
            let may_begin = relay.breaker.held_until(now).is_none();
            let is_open = is_open && may_begin && relay.quota_left() > 0;
            (is_open && opens.is_some_and(|at| at <= now)).then(|| Candidate {
                weight: relay.weight,
                given: relay.taken,
                free: relay.open.saturating_sub(relay.with_relay),
                speed: Candidate::speed(relay.connections, relay.hold_time.hold(now), per_second),
            })
        };
        self.relays.iter_mut().enumerate().map(candidate).collect()
    }

    /// A relay that was unavailable does not catch up.
    pub(super) fn even_out_shares(&mut self) {
        for relay in &mut self.relays {
            relay.taken = 0;
        }
    }

    /// The claim holds: the partition is owned, and its last commit is young enough.
    pub(super) fn holds(&self, in_flight: &InFlight, now: Duration) -> bool {
        let valid = self.valid.get(&in_flight.open.at);
        valid.is_some_and(|(token, until)| *token == in_flight.token && now < *until)
    }

    /// The relay found a message that it may take when it asked last, or has not asked since one may have come.
    pub(super) fn has_messages(&self, relay: usize, now: Duration) -> bool {
        let state = self.relays.get(relay);
        state.is_some_and(|state| state.no_message_until <= now)
    }

    /// The first waiting message whose site takes mail now over this relay.
    pub(super) fn next_for_site(
        &mut self,
        setup: &Setup,
        relay: usize,
        now: Duration,
    ) -> Result<usize, Blocked> {
        let found = self.first_that_may_go(setup, relay, now);
        let no_message_until = match &found {
            Err(Blocked::Until(until)) => *until,
            _ => Duration::ZERO,
        };
        if let Some(state) = self.relays.get_mut(relay) {
            state.no_message_until = no_message_until;
        }
        found
    }

    fn first_that_may_go(
        &mut self,
        setup: &Setup,
        relay: usize,
        now: Duration,
    ) -> Result<usize, Blocked> {
        // Taken out, because the sites change while the messages are looked at.
        let waiting = std::mem::take(&mut self.waiting);
        let mut until: Option<Duration> = None;
        let mut may_go = waiting.iter().map(|in_flight| {
            let site = &in_flight.site;
            let has_others = waiting.iter().any(|other| other.site != *site);
            let opens = self.site_opens(setup, (relay, site), has_others, now);
            until = until.into_iter().chain(opens).min();
            opens.is_some_and(|at| at <= now)
        });
        let found = may_go.position(|may_go| may_go);
        self.waiting = waiting;
        found.ok_or(until.map_or(Blocked::Empty, Blocked::Until))
    }

    /// When a site takes its next message over this relay; `None`: when one of its messages comes back.
    fn site_opens(
        &mut self,
        setup: &Setup,
        (relay, site): (usize, &str),
        has_others: bool,
        now: Duration,
    ) -> Option<Duration> {
        let most = self.most_with_relay(site, has_others, now);
        let state = self.site(setup, site, now);
        if let Some(until) = state.breakers.held_until(relay, now) {
            return Some(until);
        }
        let limit = state.limit.map_or(usize::MAX, |limit| limit.connections);
        if state.with_relay >= limit || state.with_answering_relay() >= most {
            return None;
        }
        match &mut state.pace {
            Some(pace) => pace.opens(now),
            None => Some(now),
        }
    }

    pub(super) fn site(&mut self, setup: &Setup, site: &str, now: Duration) -> &mut SiteState {
        let most = (MAX_LANES / self.relays.len().max(1)).clamp(FEWEST_SITES, MAX_SITES);
        if self.sites.len() > most && !self.sites.contains_key(site) {
            self.sites
                .retain(|_, s| s.claimed() > 0 || s.breakers.is_any_in_use() || s.pace.is_some());
        }
        let schedule = self.schedule.as_ref();
        self.sites.entry(site.to_string()).or_insert_with(|| {
            let limit = setup.sites.get(site);
            SiteState {
                breakers: SiteBreakers::default(),
                limit: limit.copied(),
                pace: limit.map(|limit| site_pace(setup, (site, limit.rate), schedule, now)),
                waiting: 0,
                with_relay: 0,
                stuck: 0,
                hold_time: HoldTime::default(),
                greylists_until: Duration::ZERO,
                takes_first_tries_until: Duration::ZERO,
            }
        })
    }

    pub(super) fn use_slots(&mut self, relay: usize, site: &str, now: Duration) {
        self.pace.take(now);
        if let Some(state) = self.relays.get_mut(relay) {
            state.pace.take(now);
            if let Some(allowance) = &mut state.allowance {
                allowance.take();
            }
            state.taken += 1;
            if state.with_relay == 0 {
                state.answered_at = now;
            }
            state.with_relay += 1;
        }
        if let Some(state) = self.sites.get_mut(site) {
            if let Some(pace) = &mut state.pace {
                pace.take(now);
            }
            state.with_relay += 1;
        }
    }
}

fn site_pace(
    setup: &Setup,
    (site, limit): (&str, Rate),
    schedule: Option<&ShareSchedule>,
    now: Duration,
) -> Pace {
    let mut pace = Pace::new(setup.queue.as_ref(), format!("site/{site}"), limit, 1);
    if let Some(schedule) = schedule {
        pace.set_share(schedule.share(now, limit, 1), now);
    }
    pace
}
