//! The lanes of each worker as rows for people: a worker publishes its own where the backend has a place for them, and
//! `status --lanes` reads them all.

use super::breaker;
use super::timestamp::timestamp;
use super::worker::figures::{LanesState, SiteState, Snapshot};
use crate::domain::rate::Rate;
use crate::queue::{Queue, QueueError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// The rate that is used is the mean over about this time.
const USED_OVER: Duration = Duration::from_secs(10);

/// One relay and site of one worker. What waits is the site's: any relay may take it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LaneRow {
    /// Empty while no relay has had a message of the site.
    pub relay: String,
    pub site: String,
    /// Messages that have been read and wait for their turn.
    pub waiting: usize,
    /// Messages that have been read and are held back, because a breaker is open.
    pub parked: usize,
    /// What this worker may send, by the rates of the queue, the relay and the site; `unlimited`, or `0/s` without a share.
    pub rate_allowed: String,
    /// Messages per second.
    pub rate_used: f64,
    /// Messages that are with the relay now.
    pub connections: usize,
    pub breaker: BreakerState,
    pub last_reply: Option<String>,
    /// RFC 3339, UTC.
    pub last_reply_at: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    Closed,
    RelayOpen,
    SiteOpen,
}

/// The lanes of one running worker.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkerLanes {
    pub worker: String,
    pub lanes: Vec<LaneRow>,
    /// Why there are none: another version of mailq has written them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

type Lane = (String, String);

/// Makes the rows of this worker from one snapshot after the other.
#[derive(Default)]
pub struct LaneRows {
    /// Messages of each lane that had an outcome, as of some earlier moments (boot time).
    earlier: VecDeque<(Duration, BTreeMap<Lane, u64>)>,
}

impl LaneRows {
    pub fn rows(&mut self, snapshot: &Snapshot, now: Duration) -> Vec<LaneRow> {
        let mut counts: BTreeMap<Lane, u64> = BTreeMap::new();
        for one in snapshot.outcomes.iter().filter(|one| !one.relay.is_empty()) {
            let lane = (one.relay.clone(), one.site.clone());
            *counts.entry(lane).or_default() += one.count;
        }
        let lanes = lanes(snapshot, &counts);
        let rows = lanes.into_iter().map(|lane| {
            let used = self.used(&lane, counts.get(&lane).copied().unwrap_or(0), now);
            row(snapshot, lane, used)
        });
        let rows = rows.collect();
        self.earlier.push_back((now, counts));
        while self.earlier.len() > 2
            && self
                .earlier
                .get(1)
                .is_some_and(|(at, _)| *at + USED_OVER < now)
        {
            self.earlier.pop_front();
        }
        rows
    }

    fn used(&self, lane: &Lane, count: u64, now: Duration) -> f64 {
        let Some((at, before)) = self.earlier.front() else {
            return 0.0;
        };
        let before = before.get(lane).copied().unwrap_or(0);
        let seconds = now.saturating_sub(*at).as_secs_f64();
        match seconds > 0.0 {
            true => count.saturating_sub(before) as f64 / seconds,
            false => 0.0,
        }
    }
}

/// Every lane that had a message, and sites whose mail no relay has had yet.
fn lanes(snapshot: &Snapshot, counts: &BTreeMap<Lane, u64>) -> BTreeSet<Lane> {
    let busy = snapshot.lanes.lanes.iter();
    let busy = busy.map(|lane| (lane.relay.clone(), lane.site.clone()));
    let mut found: BTreeSet<Lane> = counts.keys().cloned().chain(busy).collect();
    let known: BTreeSet<String> = found.iter().map(|(_, site)| site.clone()).collect();
    let waiting = snapshot.lanes.sites.iter();
    let waiting = waiting
        .filter(|(name, state)| !known.contains(*name) && state.waiting + state.unclaimed > 0);
    found.extend(waiting.map(|(name, _)| (String::new(), name.clone())));
    found
}

fn row(snapshot: &Snapshot, (relay, site): Lane, rate_used: f64) -> LaneRow {
    let none = SiteState::default();
    let state = snapshot.lanes.sites.get(&site).unwrap_or(&none);
    let breaker = breaker_of(&snapshot.lanes, (&relay, &site), state);
    let parked = match breaker {
        BreakerState::RelayOpen => state.unclaimed,
        BreakerState::SiteOpen | BreakerState::Closed => state.parked,
    };
    let with_relay = snapshot.lanes.lanes.iter();
    let with_relay = with_relay.filter(|lane| lane.relay == relay && lane.site == site);
    let mut replies = snapshot.replies.iter();
    let last = replies.find(|last| last.relay == relay && last.site == site);
    LaneRow {
        waiting: state.waiting + state.unclaimed.saturating_sub(parked),
        parked,
        rate_allowed: allowed(&snapshot.lanes, (&relay, &site), state),
        rate_used,
        connections: with_relay.map(|lane| lane.messages).sum(),
        breaker,
        last_reply: last.map(|last| breaker::printable(&last.reply)),
        last_reply_at: last.map(|last| timestamp(last.at)),
        relay,
        site,
    }
}

/// Of several sites together it is open where nothing else is left for them.
fn breaker_of(lanes: &LanesState, (relay, site): (&str, &str), state: &SiteState) -> BreakerState {
    let is_paused = |name: &str| {
        let mut relays = lanes.relays.iter();
        relays.any(|relay| relay.name == name && relay.is_paused)
    };
    let lane = (relay.to_string(), site.to_string());
    match is_paused(relay) {
        true => BreakerState::RelayOpen,
        false if lanes.paused_lanes.contains(&lane) => BreakerState::SiteOpen,
        false if state.parked > 0 && state.parked == state.unclaimed => BreakerState::SiteOpen,
        false => BreakerState::Closed,
    }
}

/// The lowest of the limits that hold for the lane.
fn allowed(lanes: &LanesState, (relay, site): (&str, &str), state: &SiteState) -> String {
    let of_relay = lanes.relays.iter().find(|one| one.name == relay);
    let mut limits = vec![lanes.share];
    limits.extend(of_relay.map(|relay| relay.share));
    limits.extend(state.has_rate.then_some(state.share));
    let lane = (relay.to_string(), site.to_string());
    limits.extend(lanes.learned_rates.get(&lane).map(|rate| Some(*rate)));
    let lowest = limits.into_iter().reduce(|lowest, limit| {
        let per_second = |rate: Option<Rate>| rate.map_or(0.0, |rate| rate.per_second());
        match per_second(limit) < per_second(lowest) {
            true => limit,
            false => lowest,
        }
    });
    match lowest.flatten() {
        Some(rate) => rate.to_string(),
        None => "0/s".to_string(),
    }
}

/// Publishes the rows of this worker. Errors: why, as text.
pub async fn publish(queue: &dyn Queue, worker: &str, rows: &[LaneRow]) -> Result<(), String> {
    let text = serde_json::to_string(rows).map_err(|error| error.to_string())?;
    let published = queue.publish_state(worker, text).await;
    published.map_err(|error| error.to_string())
}

/// The lanes of all running workers. `None`: the backend has no place for them.
pub async fn read(queue: &dyn Queue) -> Result<Option<Vec<WorkerLanes>>, QueueError> {
    let Some(states) = queue.states().await? else {
        return Ok(None);
    };
    Ok(Some(states.into_iter().map(worker_lanes).collect()))
}

fn worker_lanes((worker, text): (String, String)) -> WorkerLanes {
    let (lanes, unreadable) = match serde_json::from_str(&text) {
        Ok(lanes) => (lanes, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    WorkerLanes {
        worker,
        lanes,
        unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::EventType;
    use crate::engine::worker::figures::{
        Figures, LaneState, LastReply, OutcomeSeries, RelayState, Vitals,
    };

    fn snapshot(delivered: u64, is_paused: bool) -> Snapshot {
        let relay = RelayState {
            name: "a".to_string(),
            share: Some(Rate::per_minute(60)),
            open_connections: 2,
            attempts: 0,
            is_paused,
        };
        let site = |waiting, unclaimed, paused| SiteState {
            waiting,
            unclaimed,
            paused,
            parked: if paused > 0 { unclaimed } else { 0 },
            has_rate: false,
            share: None,
        };
        let lanes = LanesState {
            limit: Some(Rate::Unlimited),
            share: Some(Rate::Unlimited),
            relays: vec![relay],
            sites: [
                ("gmail.com".to_string(), site(1, 7, 0)),
                ("qq.com".to_string(), site(0, 5, 1)),
            ]
            .into(),
            lanes: vec![LaneState {
                relay: "a".to_string(),
                site: "gmail.com".to_string(),
                messages: 2,
            }],
            ..LanesState::default()
        };
        let outcome = OutcomeSeries {
            relay: "a".to_string(),
            site: "gmail.com".to_string(),
            outcome: EventType::Delivered,
            class: None,
            reason: None,
            count: delivered,
        };
        Snapshot {
            outcomes: vec![outcome],
            lanes,
            ..Figures::new(Vec::new()).snapshot(LanesState::default(), Vitals::default())
        }
    }

    #[test]
    fn a_lane_shows_what_waits_and_how_fast_it_goes() {
        let mut rows = LaneRows::default();
        rows.rows(&snapshot(10, false), Duration::from_secs(100));
        let seen = rows.rows(&snapshot(30, false), Duration::from_secs(105));
        // A site whose mail no relay has had is a row as well.
        let [untried, gmail] = &seen[..] else {
            panic!("{seen:?}");
        };
        assert_eq!((gmail.waiting, gmail.parked), (8, 0));
        assert_eq!((gmail.rate_used, gmail.connections), (4.0, 2));
        assert_eq!(gmail.rate_allowed, "60/min");
        assert_eq!(gmail.breaker, BreakerState::Closed);
        assert_eq!(
            (untried.relay.as_str(), untried.site.as_str()),
            ("", "qq.com")
        );
        assert_eq!((untried.waiting, untried.parked), (0, 5));
        assert_eq!(untried.breaker, BreakerState::SiteOpen);
        assert_eq!(untried.rate_allowed, "unlimited");

        let seen = rows.rows(&snapshot(30, true), Duration::from_secs(130));
        assert_eq!((seen[1].waiting, seen[1].parked), (1, 7));
        assert_eq!(seen[1].breaker, BreakerState::RelayOpen);
    }

    #[test]
    fn sites_together_are_open_while_one_of_them_is() {
        let mut snapshot = snapshot(0, false);
        let together = SiteState {
            waiting: 2,
            unclaimed: 900,
            paused: 1,
            parked: 7,
            ..SiteState::default()
        };
        snapshot.lanes.sites = [("other".to_string(), together)].into();
        let seen = LaneRows::default().rows(&snapshot, Duration::ZERO);
        let other = seen.iter().find(|row| row.site == "other").unwrap();
        assert_eq!((other.waiting, other.parked), (895, 7));
        assert_eq!(other.breaker, BreakerState::Closed);
    }

    #[test]
    fn a_site_is_open_over_the_relay_that_it_defers() {
        let mut snapshot = snapshot(0, false);
        let lane = ("a".to_string(), "gmail.com".to_string());
        snapshot.lanes.paused_lanes = [lane].into();
        let seen = LaneRows::default().rows(&snapshot, Duration::ZERO);
        let row = seen.iter().find(|row| row.site == "gmail.com").unwrap();
        assert_eq!(row.breaker, BreakerState::SiteOpen);
        // Its mail goes over another relay.
        assert_eq!((row.waiting, row.parked), (8, 0));
    }

    #[test]
    fn a_learned_rate_is_allowed_where_no_limit_is_lower() {
        let mut snapshot = snapshot(0, false);
        for (learned, shown) in [("30/min", "30/min"), ("90/min", "60/min")] {
            let lane = ("a".to_string(), "gmail.com".to_string());
            snapshot.lanes.learned_rates = [(lane, learned.parse().unwrap())].into();
            let seen = LaneRows::default().rows(&snapshot, Duration::ZERO);
            let row = seen.iter().find(|row| row.site == "gmail.com").unwrap();
            assert_eq!(row.rate_allowed, shown);
        }
    }

    #[test]
    fn a_site_without_a_share_of_its_rate_gets_nothing() {
        let mut snapshot = snapshot(0, false);
        for state in snapshot.lanes.sites.values_mut() {
            state.has_rate = true;
        }
        let seen = LaneRows::default().rows(&snapshot, Duration::ZERO);
        assert!(seen.iter().all(|row| row.rate_allowed == "0/s"), "{seen:?}");
    }

    #[test]
    fn a_long_reply_is_shortened() {
        let mut snapshot = snapshot(1, false);
        snapshot.replies = vec![LastReply {
            relay: "a".to_string(),
            site: "gmail.com".to_string(),
            reply: "250 ".repeat(10_000),
            at: std::time::SystemTime::UNIX_EPOCH,
        }];
        let seen = LaneRows::default().rows(&snapshot, Duration::ZERO);
        let replies = seen.iter().filter_map(|row| row.last_reply.as_ref());
        let lengths: Vec<usize> = replies.map(|reply| reply.chars().count()).collect();
        assert_eq!(lengths, [200]);
    }

    #[test]
    fn rows_of_another_version_are_named() {
        let read = |text: &str| worker_lanes(("a".to_string(), text.to_string()));
        assert!(read("[]").unreadable.is_none());
        assert!(read("[{\"relay\":1}]").unreadable.is_some());
    }
}
