//! `mailq status`: counts of every run as the workers have them, what waits in the tiers, who is at work.

use super::row::{CampaignRow, State, counted, origins};
use crate::domain::ids::Offset;
use crate::domain::rate::Rate;
use crate::domain::records::RateInForce;
use crate::domain::span;
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::read_model::naming::{By, Naming, namings};
use crate::engine::read_model::scan::record_at;
use crate::engine::read_model::tiers::{self, waiting};
use crate::engine::read_model::{AccountError, View};
use crate::engine::timestamp::timestamp;
use crate::queue::{Queue, chunk};
use futures_util::future::join_all;
use serde::Serialize;
use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

/// Chunks looked at in one partition of a tier: beyond them `messages` is a lower bound.
const PEEK_RECORDS: usize = 10_000;

/// The JSON of `status --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    pub queue: String,
    pub campaigns: Vec<CampaignRow>,
    pub retry: Vec<TierStatus>,
    /// Dead letters, in doubt ones included, that were neither sent again nor purged.
    pub dlq: u64,
    pub workers: Vec<WorkerStatus>,
    /// Those of send and the tiers that hold something, or whose owner is known.
    pub partitions: Vec<PartitionStatus>,
    /// The rate that workers keep to; `None`: none was published yet.
    pub rate: Option<RateStatus>,
    /// Messages of runs that may be sent now, pending and retrying.
    pub lag: u64,
    /// At the rate in force, retries not waited for.
    pub eta_seconds: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TierStatus {
    /// Its delay: `60s`.
    pub tier: String,
    pub messages: u64,
    /// There are more than were counted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub at_least: bool,
    /// RFC 3339, UTC.
    pub next_due: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkerStatus {
    pub name: String,
    /// `send/3`, `retry-60s/3`.
    pub owned: Vec<String>,
}

/// How far one partition is behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// `send/3`, `retry-60s/3`.
    pub partition: String,
    /// The last worker that has committed here.
    pub owner: Option<String>,
    /// A worker has it now.
    pub is_owned: bool,
    pub committed: Offset,
    pub end: Offset,
    /// Chunks that are not done with.
    pub lag: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RateStatus {
    pub rate: String,
    pub burst: u32,
    pub host: String,
    pub source: String,
    pub at: String,
}

/// `campaign`: only this one's runs; tiers, letters and workers are always the whole queue's.
pub async fn status(
    queue: &dyn Queue,
    now: SystemTime,
    campaign: Option<&str>,
) -> Result<Status, AccountError> {
    let view = View::read(queue, true).await?;
    let namings = namings(&view.ledger)?;
    let all: Vec<CampaignRow> = origins(&view, None)
        .into_iter()
        .map(|run| counted(&view, &namings, run, now))
        .collect();
    let dlq = letters(&all, &namings);
    let lag = lag(&all);
    let rate = view.ledger.rate();
    let workers = workers(queue).await?;
    Ok(Status {
        partitions: partitions(queue, &view, &workers).await?,
        queue: queue.url(),
        retry: retry(queue, &view).await?,
        dlq,
        workers,
        rate: rate.map(RateStatus::new),
        lag,
        eta_seconds: rate.and_then(|rate| eta_seconds(lag, &rate.rate)),
        campaigns: all
            .into_iter()
            .filter(|row| campaign.is_none_or(|name| row.campaign == name))
            .collect(),
    })
}

/// Every dead and in-doubt message has a letter until it is purged; `verify` counts them one by one.
fn letters(rows: &[CampaignRow], namings: &[Naming]) -> u64 {
    let dead: u64 = rows.iter().map(|row| row.dead + row.in_doubt).sum();
    let purged: usize = namings
        .iter()
        .filter(|naming| naming.by == By::Purge)
        .map(|naming| naming.letters.len())
        .sum();
    dead.saturating_sub(purged as u64)
}

fn lag(rows: &[CampaignRow]) -> u64 {
    rows.iter()
        .filter(|row| row.state == State::Sending)
        .map(CampaignRow::unfinished)
        .sum()
}

fn eta_seconds(messages: u64, rate: &Rate) -> Option<u64> {
    let per_second = rate.per_second();
    (per_second.is_finite() && per_second > 0.0)
        .then(|| (messages as f64 / per_second).ceil() as u64)
}

async fn workers(queue: &dyn Queue) -> Result<Vec<WorkerStatus>, AccountError> {
    let members = queue.members().await?;
    Ok(members
        .into_iter()
        .map(|member| WorkerStatus {
            name: member.name,
            owned: member.owned.iter().map(TopicPartition::to_string).collect(),
        })
        .collect())
}

async fn partitions(
    queue: &dyn Queue,
    view: &View,
    workers: &[WorkerStatus],
) -> Result<Vec<PartitionStatus>, AccountError> {
    let known: Vec<TopicPartition> = view.strings.at.keys().copied().collect();
    let bounds = join_all(known.iter().map(|at| queue.bounds(*at))).await;
    let mut found = Vec::new();
    for (at, bounds) in known.into_iter().zip(bounds) {
        let bounds = bounds?;
        let partition = at.to_string();
        let committed = view.strings.committed(at).max(bounds.low);
        let lag = bounds.end.saturating_sub(committed);
        let owner = view.strings.progress(at).map(|text| text.owner.clone());
        let is_owned = workers
            .iter()
            .any(|worker| worker.owned.contains(&partition));
        if lag > 0 || is_owned || owner.is_some() {
            found.push(PartitionStatus {
                partition,
                owner,
                is_owned,
                committed,
                end: bounds.end,
                lag,
            });
        }
    }
    Ok(found)
}

async fn retry(queue: &dyn Queue, view: &View) -> Result<Vec<TierStatus>, AccountError> {
    let mut tiers: Vec<(Duration, u64, bool, Option<SystemTime>)> = Vec::new();
    for at in view.strings.at.keys() {
        let Topic::Retry(delay) = at.topic else {
            continue;
        };
        let (mut messages, mut next) = open(queue, view, *at, delay).await?;
        let count = &mut |chunk: tiers::Waiting| {
            messages += chunk.messages;
            next = Some(next.map_or(chunk.due_at, |next| next.min(chunk.due_at)));
            ControlFlow::Continue(())
        };
        let beyond = waiting(queue, &view.strings, *at, PEEK_RECORDS, count).await?;
        match tiers.iter_mut().find(|tier| tier.0 == delay) {
            Some(tier) => {
                tier.1 += messages;
                tier.2 |= beyond.is_some();
                tier.3 = [tier.3, next].into_iter().flatten().min();
            }
            None => tiers.push((delay, messages, beyond.is_some(), next)),
        }
    }
    Ok(tiers
        .into_iter()
        .map(|(delay, messages, at_least, next)| TierStatus {
            tier: span::text(delay),
            messages,
            at_least,
            next_due: next.map(timestamp),
        })
        .collect())
}

/// Messages of a tier's open chunks that are not done, and when the first chunk was due.
async fn open(
    queue: &dyn Queue,
    view: &View,
    at: TopicPartition,
    delay: Duration,
) -> Result<(u64, Option<SystemTime>), AccountError> {
    let (mut messages, mut next) = (0, None);
    let progress = view.strings.progress(at);
    for (offset, chunk) in progress.into_iter().flat_map(|progress| &progress.open) {
        let Some(stored) = record_at(queue, at, *offset).await? else {
            continue;
        };
        let Ok(head) = chunk::head(&stored.record) else {
            continue;
        };
        messages += u64::from(head.count).saturating_sub(chunk.done.count() as u64);
        let due_at = tiers::due(stored.appended_at, delay);
        next = Some(next.map_or(due_at, |next: SystemTime| next.min(due_at)));
    }
    Ok((messages, next))
}

impl RateStatus {
    fn new(rate: &RateInForce) -> RateStatus {
        RateStatus {
            rate: rate.rate.to_string(),
            burst: rate.burst,
            host: rate.host.clone(),
            source: rate.source.clone(),
            at: rate.at.clone(),
        }
    }
}
