//! Figures of this process for monitoring: what became of messages, how long they took, what each relay and site does.
//! Nothing is decided from them.
//!
//! - [`Figures`] the counters, which the journal feeds; no text is made for a message whose names are known
//! - `largest` bounds the names that get counters of their own
//! - [`Histogram`] durations by upper bounds
//! - [`Snapshot`] what an observer gets when it asks, through [`Watched`]

mod histogram;
mod largest;
mod snapshot;

pub use histogram::Histogram;
pub use largest::OTHER;
pub use snapshot::{
    LaneState, LanesState, LastReply, OutcomeSeries, RelayState, SentSeries, SiteState, Snapshot,
    Vitals, Watched,
};

use crate::domain::event::{EventDetails, EventType};
use crate::domain::outcome::{Class, Reason};
use largest::Largest;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// Sites, and campaigns, with counters of their own. The rest is counted together as [`OTHER`].
pub const MOST_NAMES: usize = 100;
/// Upper bounds in seconds, from a relay that answers at once to a retry of the next day.
const LATENCY_BOUNDS: &[f64] = &[
    0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 14_400.0,
    86_400.0,
];
/// Upper bounds in seconds, from a commit of SQLite on a fast disk to a broker that is away.
const CYCLE_BOUNDS: &[f64] = &[
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
];

type Name = Option<usize>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sent {
    campaign: Name,
    relay: Name,
    outcome: EventType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Answered {
    relay: Name,
    site: Name,
    outcome: EventType,
    class: Option<Class>,
    reason: Option<Reason>,
}

#[derive(Debug)]
pub struct Figures {
    relays: Vec<String>,
    campaigns: Largest,
    sites: Largest,
    sent: BTreeMap<Sent, u64>,
    answered: BTreeMap<Answered, u64>,
    latency: Histogram,
    cycles: Histogram,
    /// The last one of each relay and site.
    replies: BTreeMap<(Name, Name), (Rc<EventDetails>, SystemTime)>,
}

impl Figures {
    pub fn new(relays: Vec<String>) -> Figures {
        Figures {
            relays,
            campaigns: Largest::new(MOST_NAMES),
            sites: Largest::new(MOST_NAMES),
            sent: BTreeMap::new(),
            answered: BTreeMap::new(),
            latency: Histogram::new(LATENCY_BOUNDS),
            cycles: Histogram::new(CYCLE_BOUNDS),
            replies: BTreeMap::new(),
        }
    }

    /// Counts an event that is durable.
    pub fn count(
        &mut self,
        (campaign, site): (&str, &str),
        outcome: EventType,
        details: &Rc<EventDetails>,
        now: SystemTime,
    ) {
        let relay = details.relay.as_deref();
        let relay = relay.and_then(|name| self.relays.iter().position(|known| known == name));
        let sent = Sent {
            campaign: self.campaigns.count(campaign),
            relay,
            outcome,
        };
        *self.sent.entry(sent).or_default() += 1;
        let site = self.sites.count(site);
        if details.reply.is_some() {
            self.replies.insert((relay, site), (details.clone(), now));
        }
        let answered = Answered {
            relay,
            site,
            outcome,
            class: details.class,
            reason: details.reason,
        };
        *self.answered.entry(answered).or_default() += 1;
    }

    /// From when a message was due to the relay's reply that accepted it.
    pub fn delivered_after(&mut self, latency: Duration) {
        self.latency.observe(latency);
    }

    /// A cycle of the journal that had something to do.
    pub fn cycle_took(&mut self, time: Duration) {
        self.cycles.observe(time);
    }

    /// The counters, after the names with counters of their own were chosen anew.
    pub fn snapshot(&mut self, lanes: LanesState, vitals: Vitals) -> Snapshot {
        let ended = self.campaigns.review();
        self.sent
            .retain(|series, _| !series.campaign.is_some_and(|name| ended.contains(&name)));
        let ended = self.sites.review();
        self.answered
            .retain(|series, _| !series.site.is_some_and(|name| ended.contains(&name)));
        self.replies
            .retain(|(_, site), _| !site.is_some_and(|name| ended.contains(&name)));
        let sent = self.sent.iter().map(|(series, count)| SentSeries {
            campaign: self.campaigns.name(series.campaign),
            relay: self.relay(series.relay),
            outcome: series.outcome,
            count: *count,
        });
        let answered = self.answered.iter().map(|(series, count)| OutcomeSeries {
            relay: self.relay(series.relay),
            site: self.sites.name(series.site),
            outcome: series.outcome,
            class: series.class,
            reason: series.reason,
            count: *count,
        });
        Snapshot {
            sent: sent.collect(),
            outcomes: answered.collect(),
            replies: self.last_replies(),
            latency: self.latency.clone(),
            cycles: self.cycles.clone(),
            lanes: lanes.bounded(|site| self.sites.is_shown(site)),
            vitals,
        }
    }

    fn last_replies(&self) -> Vec<LastReply> {
        let replies = self.replies.iter();
        replies
            .map(|((relay, site), (details, at))| LastReply {
                relay: self.relay(*relay),
                site: self.sites.name(*site),
                reply: details.reply.clone().unwrap_or_default(),
                at: *at,
            })
            .collect()
    }

    /// Empty where no relay had the message.
    fn relay(&self, index: Name) -> String {
        let name = index.and_then(|index| self.relays.get(index));
        name.cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(relay: &str, class: Option<Class>) -> Rc<EventDetails> {
        Rc::new(EventDetails {
            relay: Some(relay.to_string()),
            class,
            reply: Some(format!("250 from {relay}")),
            ..EventDetails::default()
        })
    }

    fn snapshot(figures: &mut Figures) -> Snapshot {
        figures.snapshot(LanesState::default(), Vitals::default())
    }

    #[test]
    fn counts_by_campaign_and_by_what_the_relay_said() {
        let mut figures = Figures::new(vec!["first".to_string(), "second".to_string()]);
        let at = ("spring", "gmail.com");
        let now = SystemTime::UNIX_EPOCH;
        figures.count(at, EventType::Delivered, &by("second", None), now);
        figures.count(at, EventType::Delivered, &by("second", None), now);
        figures.count(at, EventType::Bounced, &by("first", Some(Class::Hard)), now);
        figures.count(at, EventType::Suppressed, &Rc::default(), now);
        let seen = snapshot(&mut figures);
        let sent = seen.sent.iter().map(|one| {
            let relay = one.relay.as_str();
            (one.campaign.as_str(), relay, one.outcome, one.count)
        });
        let mut sent: Vec<_> = sent.collect();
        sent.sort();
        assert_eq!(
            sent,
            [
                ("spring", "", EventType::Suppressed, 1),
                ("spring", "first", EventType::Bounced, 1),
                ("spring", "second", EventType::Delivered, 2),
            ]
        );
        let bounced = seen.outcomes.iter().find(|one| one.class.is_some());
        let bounced = bounced.unwrap();
        assert_eq!((bounced.site.as_str(), bounced.count), ("gmail.com", 1));
        let replies = seen.replies.iter();
        let replies: Vec<&str> = replies.map(|last| last.reply.as_str()).collect();
        assert_eq!(replies, ["250 from first", "250 from second"]);
    }

    #[test]
    fn further_sites_are_counted_together() {
        let mut figures = Figures::new(Vec::new());
        for number in 0..MOST_NAMES + 50 {
            let site = format!("{number}.example");
            let times = if number == MOST_NAMES { 3 } else { 1 };
            for _ in 0..times {
                let details = Rc::default();
                figures.count(
                    ("a", &site),
                    EventType::Delivered,
                    &details,
                    SystemTime::now(),
                );
            }
        }
        let seen = snapshot(&mut figures);
        // One was taken away from the smallest name, and the large one has not been counted since.
        assert_eq!(seen.outcomes.len(), MOST_NAMES);
        let total: u64 = seen.outcomes.iter().map(|one| one.count).sum();
        assert_eq!(total, MOST_NAMES as u64 - 1 + 52);
        let large = format!("{MOST_NAMES}.example");
        let details = Rc::default();
        figures.count(
            ("a", &large),
            EventType::Delivered,
            &details,
            SystemTime::now(),
        );
        let seen = snapshot(&mut figures);
        assert_eq!(seen.outcomes.len(), MOST_NAMES + 1);
        assert!(
            seen.outcomes
                .iter()
                .any(|one| one.site == large && one.count == 1)
        );
    }
}
