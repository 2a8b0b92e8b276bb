//! The rate that a relay or site allows without saying so, learned from when it takes mail and when it defers it. Pure.
//!
//! A limit of 100 messages in 10 s looks like this: 100 messages are taken at once, then all are deferred, and 10 s later
//! mail is taken again. Paused and probed alone, such a limit is met in bursts, and each burst ends with deferrals. So two
//! such rounds in a row give a rate, whatever the words are. It is raised in steps while it is used and nothing is
//! deferred. It is lowered at a deferral.

use std::time::Duration;

/// A round in which more time than this went by before mail was deferred, and also more than its pause, shows no limit: it
/// is an outage.
const LONGEST_TAKING: Duration = Duration::from_secs(60);
/// A limit over a longer time is not learned: what looks like one is more often an outage, and would slow mail for hours.
const LONGEST_WINDOW: Duration = Duration::from_secs(600);
/// Answers that come so close together say nothing of the order in which the messages were judged: at RCPT a message is
/// deferred before one that began earlier is taken at its final dot.
const MIXED_AFTER: Duration = Duration::from_secs(1);
/// The rate is raised this often, or as often as a round lasts, and less often each time that a raise was too much.
const RAISE_AFTER: Duration = Duration::from_secs(5);
const LONGEST_RAISE_AFTER: Duration = Duration::from_secs(600);
/// A raise needs so many messages since the last change, and so much of the rate in use, because an idle lane learns
/// nothing.
const FEWEST_TAKEN: u64 = 10;
const IN_USE: f64 = 0.7;
/// The first raise after a deferral. Each raise that holds doubles the next, up to the largest.
const FIRST_STEP: f64 = 0.05;
const LARGEST_STEP: f64 = 1.0;
/// What a deferral costs that did not follow a raise.
const LOWERED: f64 = 0.8;
/// Messages that were begun before the rate was lowered may be deferred for so long after that.
const SETTLE: Duration = Duration::from_secs(2);
/// An operator is told of changes of a tenth, because the rate goes up and down by less all the time.
const NEWS: f64 = 0.1;
/// A rate that was raised so far since the last deferral limits nothing.
const FORGOTTEN: f64 = 10.0;
/// Messages for so long may be claimed ahead of their turn, so that no connection waits for a commit.
const AHEAD: f64 = 0.25;

#[derive(Debug, Clone, Default)]
pub struct LearnedRate {
    round: Round,
    /// Of the last round.
    seen: Option<Seen>,
    limit: Option<Limit>,
}

/// From when mail is taken again to when it is taken again after the next pause.
#[derive(Debug, Clone, Default)]
struct Round {
    since: Option<Duration>,
    paused_at: Option<Duration>,
    /// Of the last one: mail is taken again at some time between this and the probe that shows it.
    failed_probe_at: Option<Duration>,
    taken: u64,
    /// Of the first deferral since a message was taken after one.
    deferring_since: Option<Duration>,
    /// How often a message was taken after others had been deferred for a while.
    returns: u64,
}

/// A limit, as one round shows it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    per_second: f64,
    /// How long the limit needed to let mail pass again.
    window: Duration,
}

#[derive(Debug, Clone)]
struct Limit {
    per_second: f64,
    /// It is not lowered further without another two rounds.
    floor: f64,
    /// Since the last deferral.
    lowest: f64,
    /// What the operator was told last.
    told: f64,
    /// Before the last raise, until a deferral.
    before_raise: Option<f64>,
    step: f64,
    /// A raise shows after this whether it was too much.
    window: Duration,
    raise_after: Duration,
    changed_at: Duration,
    lowered_at: Option<Duration>,
    taken_since: u64,
    next_at: Duration,
}

impl LearnedRate {
    /// Messages a second.
    pub fn per_second(&self) -> Option<f64> {
        self.limit.as_ref().map(|limit| limit.per_second)
    }

    /// When the next message may begin. `None`: no rate is known.
    pub fn opens(&self) -> Option<Duration> {
        self.limit.as_ref().map(|limit| limit.next_at)
    }

    /// How many messages may be claimed and wait for their turn.
    pub fn ahead(&self) -> usize {
        let limit = self.limit.as_ref();
        limit.map_or(usize::MAX, |limit| {
            (limit.per_second * AHEAD).ceil() as usize
        })
    }

    /// A message begins.
    pub fn begin(&mut self, now: Duration) {
        if let Some(limit) = &mut self.limit {
            let interval = Duration::try_from_secs_f64(1.0 / limit.per_second);
            let interval = interval.unwrap_or(LONGEST_WINDOW);
            // One that begins late does not put off all that follow.
            limit.next_at = limit.next_at.max(now.saturating_sub(interval)) + interval;
        }
    }

    /// A message was taken. `true`: the rate has limited nothing for long and is forgotten.
    pub fn taken(&mut self, now: Duration) -> bool {
        self.round.since.get_or_insert(now);
        self.round.taken += 1;
        let deferring = self.round.deferring_since;
        if deferring.is_some_and(|since| now.saturating_sub(since) > MIXED_AFTER) {
            self.round.returns += 1;
            self.round.deferring_since = None;
        }
        let Some(limit) = &mut self.limit else {
            return false;
        };
        limit.raise_if_due(now);
        let is_needless = limit.per_second >= limit.lowest * FORGOTTEN;
        if is_needless {
            *self = LearnedRate::default();
        }
        is_needless
    }

    /// A message that began before the pause was taken.
    pub fn taken_late(&mut self) {
        self.round.taken += 1;
    }

    /// A message was deferred. Returns the rate if it is another one now than the operator was told.
    pub fn deferred(&mut self, now: Duration) -> Option<f64> {
        self.round.deferring_since.get_or_insert(now);
        let limit = self.limit.as_mut()?;
        limit.lower(now);
        limit.news()
    }

    /// A probe was deferred.
    pub fn still_deferred(&mut self, now: Duration) {
        self.round.failed_probe_at = Some(now);
    }

    /// Mail is held back from now on, because it was deferred.
    pub fn paused(&mut self, now: Duration) {
        self.round.paused_at = Some(now);
        if let Some(limit) = &mut self.limit {
            limit.lower(now);
        }
    }

    /// Mail is taken again. Returns the rate if it is learned now.
    pub fn resumed(&mut self, now: Duration) -> Option<f64> {
        let next = Round {
            since: Some(now),
            ..Round::default()
        };
        let seen = std::mem::replace(&mut self.round, next).seen(now);
        let before = std::mem::replace(&mut self.seen, seen);
        if let Some(limit) = &mut self.limit {
            limit.next_at = now;
            // Deferrals lower it as long as they can.
            if limit.per_second > limit.floor {
                return None;
            }
        }
        let (before, seen) = before.zip(seen)?;
        let per_second = before.per_second.max(seen.per_second);
        if self.per_second().is_some_and(|known| per_second >= known) {
            return None;
        }
        self.limit = Some(Limit::new(per_second, seen.window, now));
        Some(per_second)
    }
}

impl Round {
    /// What the round shows, if it looks like a limit: mail was taken, and then it was not.
    fn seen(&self, now: Duration) -> Option<Seen> {
        let (since, paused_at) = (self.since?, self.paused_at?);
        let pause = now.saturating_sub(paused_at);
        let is_short = paused_at.saturating_sub(since) <= LONGEST_TAKING.max(pause);
        let is_mixed = self.returns > 1 + self.taken / 10;
        let ended_at = self.failed_probe_at.map_or(now, |at| (at + now) / 2);
        let window = ended_at.saturating_sub(since);
        let is_window = !window.is_zero() && window <= LONGEST_WINDOW;
        let is_limit = self.taken > 1 && is_short && !is_mixed && is_window;
        is_limit.then(|| Seen {
            per_second: self.taken as f64 / window.as_secs_f64(),
            window,
        })
    }
}

impl Limit {
    fn new(per_second: f64, window: Duration, now: Duration) -> Limit {
        let window = window.max(RAISE_AFTER);
        Limit {
            per_second,
            floor: per_second / 2.0,
            lowest: per_second,
            told: per_second,
            before_raise: None,
            step: FIRST_STEP,
            window,
            raise_after: window,
            changed_at: now,
            lowered_at: None,
            taken_since: 0,
            next_at: now,
        }
    }

    fn raise_if_due(&mut self, now: Duration) {
        self.taken_since += 1;
        let since = now.saturating_sub(self.changed_at);
        let used = self.taken_since as f64 / (self.per_second * since.as_secs_f64());
        if since < self.raise_after || self.taken_since < FEWEST_TAKEN {
            return;
        }
        if used >= IN_USE {
            if self.before_raise.is_some() {
                // The last raise has held, so the limit is another one than before.
                self.raise_after = self.window;
            }
            self.before_raise = Some(self.per_second);
            self.per_second *= 1.0 + self.step;
            self.step = (self.step * 2.0).min(LARGEST_STEP);
        }
        (self.changed_at, self.taken_since) = (now, 0);
    }

    fn lower(&mut self, now: Duration) {
        let is_settling = self
            .lowered_at
            .is_some_and(|at| now.saturating_sub(at) < SETTLE);
        if is_settling {
            return;
        }
        let before_raise = self.before_raise.take();
        if before_raise.is_some() {
            self.raise_after = (self.raise_after * 2).min(LONGEST_RAISE_AFTER);
        }
        let lower = before_raise.unwrap_or(self.per_second * LOWERED);
        self.per_second = lower.max(self.floor).min(self.per_second);
        (self.lowest, self.step) = (self.per_second, FIRST_STEP);
        (self.changed_at, self.taken_since) = (now, 0);
        self.lowered_at = Some(now);
    }

    /// The rate, if it is another one than the operator was told.
    fn news(&mut self) -> Option<f64> {
        let is_news = (self.per_second / self.told - 1.0).abs() >= NEWS;
        is_news.then(|| {
            self.told = self.per_second;
            self.told
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::breaker::{Breaker, Permit, Signal};

    /// A server that takes so many messages in each window, counted from its first message, and defers the rest.
    struct Server {
        most: u32,
        window: Duration,
        began_at: Option<Duration>,
        count: u32,
    }

    impl Server {
        fn new(most: u32, seconds: u64) -> Server {
            Server {
                most,
                window: Duration::from_secs(seconds),
                began_at: None,
                count: 0,
            }
        }

        fn takes(&mut self, now: Duration) -> bool {
            if self.began_at.is_none_or(|at| now >= at + self.window) {
                (self.began_at, self.count) = (Some(now), 0);
            }
            self.count += 1;
            self.count <= self.most
        }
    }

    const STEP: Duration = Duration::from_millis(5);

    /// Sends as the breaker lets it for so long. Returns how many messages were taken and deferred in the last minute.
    fn last_minute(server: &mut Server, breaker: &mut Breaker, seconds: u64) -> (u32, u32) {
        let (mut taken, mut deferred) = (0, 0);
        let end = Duration::from_secs(seconds);
        let mut now = Duration::ZERO;
        while now < end {
            now += STEP;
            if breaker.held_until(now).is_some() {
                continue;
            }
            breaker.begin(now);
            let is_counted = now + Duration::from_secs(60) > end;
            let signal = match server.takes(now) {
                true => Signal::Fine,
                false => Signal::Deferred("451 4.7.1 too much mail".to_string()),
            };
            match (is_counted, &signal) {
                (false, _) => {}
                (true, Signal::Fine) => taken += 1,
                (true, _) => deferred += 1,
            }
            breaker.report(now, signal);
        }
        (taken, deferred)
    }

    #[test]
    fn a_limit_that_nobody_told_is_used_after_a_minute() {
        for (most, window) in [(100, 10), (1_000, 10), (600, 60), (30, 5), (20, 1)] {
            let mut server = Server::new(most, window);
            let (taken, deferred) = last_minute(&mut server, &mut Breaker::new("site"), 180);
            let allowed = most * 60 / window as u32;
            let used = f64::from(taken) / f64::from(allowed);
            assert!(used >= 0.9, "{most} in {window} s: {used}");
            let share = f64::from(deferred) / f64::from(allowed);
            assert!(share < 0.03, "{most} in {window} s: {deferred} deferred");
        }
    }

    #[test]
    fn a_higher_limit_is_found_and_in_the_end_none() {
        let mut breaker = Breaker::new("site");
        let mut server = Server::new(100, 10);
        last_minute(&mut server, &mut breaker, 120);
        assert!(breaker.learned_rate().is_some());
        let mut learned = breaker.learned.clone();
        let mut now = Duration::from_secs(120);
        let until = now + Duration::from_secs(300);
        let mut is_forgotten = false;
        while !is_forgotten && now < until {
            now = now.max(learned.opens().unwrap());
            learned.begin(now);
            is_forgotten = learned.taken(now);
        }
        assert!(is_forgotten && learned.per_second().is_none());
    }

    #[test]
    fn an_outage_and_deferrals_at_random_show_no_limit() {
        let seconds = Duration::from_secs;
        let mut outage = LearnedRate::default();
        for hour in 0..3 {
            let began = seconds(hour * 3_600);
            (0..10_000).for_each(|n| assert!(!outage.taken(began + seconds(n / 4))));
            outage.paused(began + seconds(2_500));
            assert_eq!(outage.resumed(began + seconds(3_100)), None);
        }
        let mut mixed = LearnedRate::default();
        for round in 0..10 {
            for n in 0..20 {
                let now = seconds(round * 30 + n);
                match n % 2 {
                    0 => assert!(!mixed.taken(now)),
                    _ => assert_eq!(mixed.deferred(now), None),
                }
            }
            mixed.paused(seconds(round * 30 + 20));
            assert_eq!(mixed.resumed(seconds(round * 30 + 25)), None);
        }
    }

    #[test]
    fn one_deferral_in_many_lowers_the_rate_to_the_half_at_most() {
        let seconds = Duration::from_secs;
        let mut learned = LearnedRate::default();
        for round in 0..2 {
            (0..100).for_each(|_| assert!(!learned.taken(seconds(round * 10))));
            learned.paused(seconds(round * 10));
            learned.resumed(seconds((round + 1) * 10));
        }
        assert_eq!(learned.per_second(), Some(10.0));
        for n in 0..100 {
            learned.deferred(seconds(20 + 3 * n));
        }
        assert_eq!(learned.per_second(), Some(5.0));
    }

    #[test]
    fn a_server_that_comes_and_goes_has_no_limit() {
        let mut breaker = Breaker::new("relay");
        for minute in 0..10 {
            let now = Duration::from_secs(60 * minute);
            (0..100).for_each(|_| {
                breaker.report(now, Signal::Fine);
            });
            breaker.report(now, Signal::Refused("Connection refused".to_string()));
            let back = now + Duration::from_secs(30);
            assert_eq!(breaker.may_try(back), Permit::Probe);
            breaker.report(back, Signal::Fine);
            assert_eq!(breaker.learned_rate(), None, "minute {minute}");
        }
    }

    #[test]
    fn one_recipient_who_is_deferred_slows_nobody() {
        let mut breaker = Breaker::new("site");
        last_minute(&mut Server::new(100, 10), &mut breaker, 120);
        let learned = breaker.learned_rate();
        assert!(learned.is_some());
        for second in 121..126 {
            let later = Signal::DeferredOne("451 4.2.1 mailbox busy".to_string());
            assert_eq!(breaker.report(Duration::from_secs(second), later), None);
        }
        assert_eq!(breaker.learned_rate(), learned);
    }

    #[test]
    fn a_probe_is_not_held_by_the_rate() {
        let mut breaker = Breaker::new("site");
        last_minute(&mut Server::new(100, 10), &mut breaker, 120);
        let now = Duration::from_secs(121);
        breaker.report(now, Signal::Refused("421 closing".to_string()));
        assert_eq!(breaker.may_try(now + Duration::from_secs(5)), Permit::Probe);
    }
}
