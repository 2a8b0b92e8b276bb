//! What a worker and its queue are at one moment, as values of the page.

use super::catalog as of;
use super::page::Page;
use crate::domain::event::EventType;
use crate::domain::rate::Rate;
use crate::engine::account::Status;
use crate::engine::worker::figures::{LanesState, Snapshot, Vitals};
use jiff::Timestamp;
use std::time::{Duration, SystemTime};

/// The events that a worker can write, named without `mail.`.
fn outcome(of: EventType) -> &'static str {
    let name = of.name();
    name.strip_prefix("mail.").unwrap_or(name)
}

/// No share of a rate is a rate of nothing.
fn per_second(rate: Option<Rate>) -> f64 {
    rate.map_or(0.0, |rate| rate.per_second())
}

pub fn of_worker(page: &mut Page, worker: Snapshot) {
    for one in &worker.sent {
        let labels = [one.campaign.as_str(), &one.relay, outcome(one.outcome)];
        page.whole(&of::SENT, &labels, one.count);
    }
    for one in &worker.outcomes {
        let class = one.class.map_or("", |class| class.name());
        let reason = one.reason.map_or("", |reason| reason.name());
        let outcome = outcome(one.outcome);
        let labels = [one.relay.as_str(), &one.site, outcome, class, reason];
        page.whole(&of::OUTCOMES, &labels, one.count);
    }
    page.histogram(&of::LATENCY, worker.latency);
    page.histogram(&of::JOURNAL_CYCLE, worker.cycles);
    of_lanes(page, &worker.lanes);
    of_journal(page, &worker.vitals);
}

fn of_lanes(page: &mut Page, lanes: &LanesState) {
    page.real(&of::RATE_LIMIT, &["all"], per_second(lanes.limit));
    page.real(&of::RATE_LIMIT, &["worker"], per_second(lanes.share));
    for relay in &lanes.relays {
        let name = [relay.name.as_str()];
        page.whole(&of::ATTEMPTS, &name, relay.attempts);
        page.real(&of::RELAY_RATE_LIMIT, &name, per_second(relay.share));
        page.whole(&of::RELAY_CONNECTIONS, &name, relay.open_connections as u64);
        page.whole(&of::RELAY_PAUSED, &name, u64::from(relay.is_paused));
    }
    for (name, site) in &lanes.sites {
        let name = [name.as_str()];
        page.whole(&of::SITE_PAUSED, &name, site.paused as u64);
        page.whole(&of::SITE_WAITING, &name, site.waiting as u64);
        if site.has_rate {
            page.real(&of::SITE_RATE_LIMIT, &name, per_second(site.share));
        }
    }
    for lane in &lanes.lanes {
        let names = [lane.relay.as_str(), &lane.site];
        page.whole(&of::LANE_MESSAGES, &names, lane.messages as u64);
    }
}

fn of_journal(page: &mut Page, vitals: &Vitals) {
    let Vitals {
        claimed,
        max_claimed,
        owned_partitions,
        stopped_partitions,
        idle_for,
        ..
    } = vitals;
    page.whole(&of::CLAIMED, &[], *claimed as u64);
    page.whole(&of::MAX_CLAIMED, &[], *max_claimed as u64);
    page.whole(&of::OWNED_PARTITIONS, &[], *owned_partitions as u64);
    page.whole(&of::STOPPED_PARTITIONS, &[], *stopped_partitions as u64);
    page.real(&of::JOURNAL_IDLE, &[], idle_for.as_secs_f64());
}

/// What the queue says of itself.
#[derive(Debug, Clone, Default)]
pub struct QueueFigures {
    lag: u64,
    pending: u64,
    dead_letters: u64,
    workers: u64,
    /// Name, messages, and since when one is due.
    tiers: Vec<(String, u64, Duration)>,
}

impl QueueFigures {
    pub fn new(status: &Status, now: SystemTime) -> QueueFigures {
        let retrying: u64 = status
            .campaigns
            .iter()
            .filter(|row| row.lag() > 0)
            .map(|row| row.retrying)
            .sum();
        let tiers = status.retry.iter().map(|tier| {
            let due = tier.next_due.as_deref();
            let due = due.and_then(|text| text.parse::<Timestamp>().ok());
            let overdue = due.map(|due| now.duration_since(SystemTime::from(due)));
            let overdue = overdue.and_then(Result::ok).unwrap_or_default();
            (tier.tier.clone(), tier.messages, overdue)
        });
        QueueFigures {
            lag: status.lag,
            pending: status.lag.saturating_sub(retrying),
            dead_letters: status.dlq,
            workers: status.workers.len() as u64,
            tiers: tiers.collect(),
        }
    }

    pub fn write(&self, page: &mut Page) {
        page.whole(&of::LAG, &[], self.lag);
        page.whole(&of::PENDING, &[], self.pending);
        page.whole(&of::DEAD_LETTERS, &[], self.dead_letters);
        page.whole(&of::WORKERS, &[], self.workers);
        for (name, messages, overdue) in &self.tiers {
            page.whole(&of::RETRY_SIZE, &[name], *messages);
            page.real(&of::RETRY_OVERDUE, &[name], overdue.as_secs_f64());
        }
    }
}
