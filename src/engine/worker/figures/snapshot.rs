//! What an observer sees of a worker at one moment.

use super::{Histogram, OTHER};
use crate::domain::event::EventType;
use crate::domain::outcome::{Class, Reason};
use crate::domain::rate::Rate;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

/// A worker that can be looked at between any two of its steps.
pub trait Watched {
    fn snapshot(&self) -> Snapshot;
}

#[derive(Debug, Clone)]
pub struct Snapshot {
    pub sent: Vec<SentSeries>,
    pub outcomes: Vec<OutcomeSeries>,
    pub replies: Vec<LastReply>,
    /// From when a message was due to the reply that accepted it.
    pub latency: Histogram,
    /// Cycles of the journal that had something to do.
    pub cycles: Histogram,
    pub lanes: LanesState,
    pub vitals: Vitals,
}

/// Events of one campaign, relay and outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentSeries {
    pub campaign: String,
    /// Empty where no relay had the message.
    pub relay: String,
    pub outcome: EventType,
    pub count: u64,
}

/// Events by what the relay said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeSeries {
    /// Empty where no relay had the message.
    pub relay: String,
    pub site: String,
    pub outcome: EventType,
    pub class: Option<Class>,
    pub reason: Option<Reason>,
    pub count: u64,
}

/// What a relay said last of a site's mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastReply {
    pub relay: String,
    pub site: String,
    pub reply: String,
    pub at: SystemTime,
}

/// How the journal does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vitals {
    /// Claimed messages that are not done in a commit.
    pub claimed: usize,
    /// K: the most that may be claimed.
    pub max_claimed: usize,
    pub owned_partitions: usize,
    /// Of the owned ones those that are not worked on, because of a damage.
    pub stopped_partitions: usize,
    /// Since the last cycle ended.
    pub idle_for: Duration,
    pub is_stopping: bool,
}

#[derive(Debug, Clone, Default)]
pub struct LanesState {
    /// Of all workers together.
    pub limit: Option<Rate>,
    /// What this worker may use of it. `None`: nothing.
    pub share: Option<Rate>,
    pub relays: Vec<RelayState>,
    pub sites: BTreeMap<String, SiteState>,
    /// Messages that are with a relay now, by relay and site.
    pub lanes: Vec<LaneState>,
    /// Relay and site, where the site is paused over this relay.
    pub paused_lanes: BTreeSet<(String, String)>,
    /// The rates of relay and site that were learned from deferrals.
    pub learned_rates: BTreeMap<(String, String), Rate>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RelayState {
    pub name: String,
    /// What this worker may use of the relay's rate. `None`: nothing.
    pub share: Option<Rate>,
    pub open_connections: usize,
    pub attempts: u64,
    pub is_paused: bool,
}

/// Of one site, or of several together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SiteState {
    /// Claimed messages that have not begun.
    pub waiting: usize,
    /// Messages of open chunks that are not claimed.
    pub unclaimed: usize,
    /// How many of the sites are paused over every relay that takes mail.
    pub paused: usize,
    /// Unclaimed messages of the paused ones.
    pub parked: usize,
    /// The site has a rate of its own.
    pub has_rate: bool,
    /// What this worker may use of the site's rate. `None`: nothing, where it has one.
    pub share: Option<Rate>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneState {
    pub relay: String,
    pub site: String,
    pub messages: usize,
}

impl LanesState {
    /// The same with all sites together that are not shown. A site with a rate of its own always is, because the
    /// settings bound how many there are.
    pub fn bounded(self, is_shown: impl Fn(&str) -> bool) -> LanesState {
        let mut sites: BTreeMap<String, SiteState> = BTreeMap::new();
        for (name, state) in self.sites {
            let own = state.has_rate || is_shown(&name);
            let name = if own { name } else { OTHER.to_string() };
            let together = sites.entry(name).or_default();
            together.waiting += state.waiting;
            together.unclaimed += state.unclaimed;
            together.paused += state.paused;
            together.parked += state.parked;
            together.has_rate = state.has_rate;
            together.share = state.share;
        }
        let mut lanes: BTreeMap<(String, String), usize> = BTreeMap::new();
        for lane in self.lanes {
            let own = sites.contains_key(&lane.site);
            let site = if own { lane.site } else { OTHER.to_string() };
            *lanes.entry((lane.relay, site)).or_default() += lane.messages;
        }
        let lanes = lanes
            .into_iter()
            .map(|((relay, site), messages)| LaneState {
                relay,
                site,
                messages,
            });
        let mut paused_lanes = self.paused_lanes;
        paused_lanes.retain(|(_, site)| sites.contains_key(site));
        let mut learned_rates = self.learned_rates;
        learned_rates.retain(|(_, site), _| sites.contains_key(site));
        LanesState {
            lanes: lanes.collect(),
            sites,
            paused_lanes,
            learned_rates,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(waiting: usize, paused: usize, share: Option<Rate>) -> SiteState {
        SiteState {
            waiting,
            paused,
            parked: 4 * paused,
            has_rate: share.is_some(),
            share,
            ..SiteState::default()
        }
    }

    fn lane(site: &str, messages: usize) -> LaneState {
        LaneState {
            relay: "a".to_string(),
            site: site.to_string(),
            messages,
        }
    }

    #[test]
    fn small_sites_are_counted_together() {
        let rate = Some(Rate::per_minute(30));
        let without_share = SiteState {
            has_rate: true,
            ..site(1, 0, None)
        };
        let sites = [
            ("large.example", site(5, 1, None)),
            ("one.example", site(1, 1, None)),
            ("two.example", site(2, 1, None)),
            ("limited.example", site(0, 0, rate)),
            ("waits.example", without_share.clone()),
        ];
        let state = LanesState {
            sites: sites.map(|(name, state)| (name.to_string(), state)).into(),
            lanes: vec![
                lane("large.example", 3),
                lane("one.example", 1),
                lane("two.example", 1),
            ],
            ..LanesState::default()
        };
        let bounded = state.bounded(|name| name == "large.example");
        assert_eq!(bounded.sites.len(), 4);
        assert_eq!(bounded.sites[OTHER], site(3, 2, None));
        assert_eq!(bounded.sites["limited.example"], site(0, 0, rate));
        assert_eq!(bounded.sites["waits.example"], without_share);
        assert_eq!(bounded.lanes, [lane("large.example", 3), lane(OTHER, 2)]);
    }
}
