//! How long messages hold a connection, by site, and how many connections each site may hold for that. A site that is
//! slow to answer would otherwise hold all of them after a while, whatever its part of the mail is. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

/// A site is slow when its messages hold a connection so many times as long as the others' do.
const SLOW: f64 = 4.0;
/// HoldTimes shorter than this are never slow: nobody waits for them.
const SHORT: Duration = Duration::from_millis(20);
/// A site that has not answered yet holds at most one connection in so many.
const UNPROVEN: usize = 8;
/// Slow sites together hold at most one connection in so many while others want them.
const SLOW_TOGETHER: usize = 4;
/// Beside other sites a site leaves one connection in so many free: if it stops answering, the others go on.
const RESERVE: usize = 8;
/// How often the number for slow sites is looked at.
const REVIEW: Duration = Duration::from_secs(1);
/// One new hold counts so much in a site's mean, and in that of all.
const SITE_WEIGHT: f64 = 1.0 / 8.0;
const ALL_WEIGHT: f64 = 1.0 / 64.0;

/// Messages of one site that are with a relay, and how long the answered ones took.
#[derive(Debug, Default)]
pub struct HoldTime {
    mean: Option<f64>,
    begun: BTreeMap<u64, Duration>,
}

impl HoldTime {
    pub fn begin(&mut self, ticket: u64, now: Duration) {
        self.begun.insert(ticket, now);
    }

    /// Returns how long the message has held its connection.
    pub fn end(&mut self, ticket: u64, now: Duration) -> Option<Duration> {
        let begun = self.begun.remove(&ticket)?;
        let hold = now.saturating_sub(begun);
        let mean = self.mean.get_or_insert(hold.as_secs_f64());
        *mean += (hold.as_secs_f64() - *mean) * SITE_WEIGHT;
        Some(hold)
    }

    /// The mean, or the age of the oldest message; zero if nothing is known.
    pub fn hold(&self, now: Duration) -> Duration {
        Duration::from_secs_f64(self.seconds(now).unwrap_or_default())
    }

    pub fn has_answered(&self) -> bool {
        self.mean.is_some()
    }

    /// It was not answered.
    pub fn forget(&mut self, ticket: u64) {
        self.begun.remove(&ticket);
    }

    /// The mean, or the age of the oldest message with a relay if that is more. `None`: nothing is known.
    fn seconds(&self, now: Duration) -> Option<f64> {
        let oldest = self.begun.values().next();
        let age = oldest.map(|begun| now.saturating_sub(*begun).as_secs_f64());
        match (self.mean, age) {
            (Some(mean), Some(age)) => Some(mean.max(age)),
            (mean, age) => mean.or(age),
        }
    }
}

/// What all sites together show.
#[derive(Debug)]
pub struct HoldTimes {
    /// Connections of all relays.
    connections: usize,
    /// Mean hold of all answered messages.
    mean: Option<f64>,
    /// Slow sites may hold so many times as much, because the others leave connections idle.
    allowance: f64,
    reviewed_at: Duration,
}

impl HoldTimes {
    pub fn new(connections: usize) -> HoldTimes {
        HoldTimes {
            connections: connections.max(1),
            mean: None,
            allowance: 1.0,
            reviewed_at: Duration::ZERO,
        }
    }

    pub fn answered(&mut self, hold: Duration) {
        let mean = self.mean.get_or_insert(hold.as_secs_f64());
        *mean += (hold.as_secs_f64() - *mean) * ALL_WEIGHT;
    }

    /// Lets slow sites have more while connections are idle, and less as soon as they are wanted. `busy`: connections
    /// with a message.
    pub fn review(&mut self, busy: usize, now: Duration) {
        if now < self.reviewed_at + REVIEW {
            return;
        }
        self.reviewed_at = now;
        let most = self.connections as f64;
        self.allowance = match busy * 2 < self.connections {
            true => (self.allowance * 2.0).min(most),
            false => (self.allowance / 2.0).max(1.0),
        };
    }

    /// Whether messages of the site hold connections much longer than others do.
    pub fn is_slow(&self, site: &HoldTime, now: Duration) -> bool {
        let hold = site.seconds(now);
        self.mean
            .zip(hold)
            .is_some_and(|(mean, hold)| hold > SHORT.as_secs_f64().max(mean * SLOW))
    }

    /// How many of `places` one site may have. `None`: all. `has_others`: other sites have mail too.
    pub fn most(
        &self,
        site: &HoldTime,
        places: usize,
        has_others: bool,
        now: Duration,
    ) -> Option<usize> {
        // Nothing can be compared before somebody has answered.
        let mean = self.mean?;
        if self.is_slow(site, now) {
            let hold = site.seconds(now)?;
            let part = (mean * SLOW / hold * self.allowance).min(1.0);
            return Some(((places as f64 * part) as usize).max(1));
        }
        if site.mean.is_none() && places > UNPROVEN {
            return Some(places.div_ceil(UNPROVEN));
        }
        has_others.then(|| places - places / RESERVE)
    }

    /// How many messages of all slow sites may be with relays.
    pub fn most_of_slow(&self) -> usize {
        let usual = self.connections as f64 / SLOW_TOGETHER as f64;
        let most = (usual * self.allowance) as usize;
        most.clamp(1, (self.connections / 2).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn answered(hold: Duration) -> HoldTime {
        let mut site = HoldTime::default();
        for ticket in 0..20 {
            site.begin(ticket, NOW - hold);
            site.end(ticket, NOW);
        }
        site
    }

    fn holds(mean: Duration) -> HoldTimes {
        let mut holds = HoldTimes::new(50);
        holds.answered(mean);
        holds
    }

    fn most(holds: &HoldTimes, site: &HoldTime) -> Option<usize> {
        holds.most(site, 50, false, NOW)
    }

    #[test]
    fn a_site_that_is_as_quick_as_the_others_is_not_limited() {
        let holds = holds(Duration::from_millis(30));
        let site = answered(Duration::from_millis(100));
        assert_eq!(most(&holds, &site), None);
        // Beside others it leaves some places free.
        assert_eq!(holds.most(&site, 50, true, NOW), Some(44));
        assert_eq!(holds.most(&site, 7, true, NOW), Some(7));
        // Nobody waits for it, though it is slower than the others.
        let quick = super::tests::holds(Duration::from_millis(1));
        assert_eq!(most(&quick, &answered(Duration::from_millis(10))), None);
    }

    #[test]
    fn a_slow_site_holds_as_much_time_as_the_others_and_at_least_one_connection() {
        let holds = holds(Duration::from_millis(10));
        let of = |millis| most(&holds, &answered(Duration::from_millis(millis)));
        assert_eq!(of(80), Some(25));
        assert_eq!(of(400), Some(5));
        assert_eq!(of(20_000), Some(1));
    }

    #[test]
    fn a_site_that_stops_answering_is_slow_by_the_age_of_its_messages() {
        let holds = holds(Duration::from_millis(1));
        let mut site = answered(Duration::from_millis(1));
        assert_eq!(most(&holds, &site), None);
        site.begin(99, NOW - Duration::from_millis(100));
        assert_eq!(most(&holds, &site), Some(2));
        site.end(99, NOW);
        let mut silent = HoldTime::default();
        silent.begin(1, NOW - Duration::from_secs(5));
        assert!(holds.is_slow(&silent, NOW));
    }

    #[test]
    fn a_site_that_has_not_answered_yet_has_few_places() {
        let holds = holds(Duration::from_millis(1));
        let site = HoldTime::default();
        assert_eq!(most(&holds, &site), Some(7));
        assert_eq!(holds.most(&site, 2, false, NOW), None);
        // Before anybody has answered, nothing is known of the others either.
        assert_eq!(most(&HoldTimes::new(50), &site), None);
    }

    #[test]
    fn slow_sites_get_more_while_connections_are_idle_and_less_when_they_are_wanted() {
        let mut holds = holds(Duration::from_millis(1));
        let slow = answered(Duration::from_secs(2));
        assert_eq!((most(&holds, &slow), holds.most_of_slow()), (Some(1), 12));
        for second in 1..=9 {
            holds.review(3, NOW + REVIEW * second);
        }
        assert_eq!((most(&holds, &slow), holds.most_of_slow()), (Some(5), 25));
        holds.review(50, NOW + REVIEW * 10);
        assert_eq!(most(&holds, &slow), Some(2));
    }
}
