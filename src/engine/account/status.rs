//! `mailq status`: counts of every run as the workers have them, what waits in the tiers, who is at work.

use super::row::{CampaignRow, State, counted, origins};
use crate::domain::duration;
use crate::domain::ids::{Offset, RunKey};
use crate::domain::rate::Rate;
use crate::domain::records::RateInForce;
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::read_model::chunks::{Limits, due, head, open_chunk, waiting};
use crate::engine::read_model::findings::Findings;
use crate::engine::read_model::naming::{By, Naming, namings};
use crate::engine::read_model::{AccountError, View};
use crate::engine::timestamp::timestamp;
use crate::queue::Queue;
use futures_util::future::join_all;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

/// Of one partition of a tier: beyond them `messages` is a lower bound.
const LIMITS: Limits = Limits::peek(10_000);

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
    /// Messages of these campaigns' runs that may be sent now, pending and retrying.
    pub lag: u64,
    /// Until the whole queue is sent, at the rate in force, retries not waited for.
    pub eta_seconds: Option<u64>,
    /// Chunks of the tiers that cannot be read, a line each: their messages are not among `retry`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
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

/// `campaign`: only this one's runs and lag; tiers, letters, workers and the time left are always the whole queue's.
pub async fn status(
    queue: &dyn Queue,
    now: SystemTime,
    campaign: Option<&str>,
) -> Result<Status, AccountError> {
    let view = View::read(queue, true).await?;
    let namings = namings(&view.ledger)?;
    let all = rows(&view, &namings, now);
    let dlq = letters(&all, &namings);
    let whole_lag = lag(&all);
    let campaigns = all
        .into_iter()
        .filter(|row| campaign.is_none_or(|name| row.campaign == name));
    let campaigns: Vec<CampaignRow> = campaigns.collect();
    let rate = view.ledger.rate();
    let workers = workers(queue).await?;
    let mut unreadable = Findings::default();
    Ok(Status {
        partitions: partitions(queue, &view, &workers).await?,
        queue: queue.url(),
        retry: retry(queue, &view, &mut unreadable).await?,
        dlq,
        workers,
        rate: rate.map(RateStatus::new),
        lag: lag(&campaigns),
        eta_seconds: rate.and_then(|rate| eta_seconds(whole_lag, &rate.rate)),
        campaigns,
        unreadable: unreadable.into_lines(),
    })
}

/// Messages of runs that a worker has to do with now: it sends them, or ends them as expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Left {
    /// Pending and retrying.
    pub unfinished: u64,
    pub retrying: u64,
}

/// What is left to send, for progress. The view was read with letters. `only`: of this run.
pub fn left(view: &View, now: SystemTime, only: Option<RunKey>) -> Result<Left, AccountError> {
    let mut all = rows(view, &namings(&view.ledger)?, now);
    all.retain(|row| row.state == State::Sending && only.is_none_or(|only| row.key == only));
    Ok(Left {
        unfinished: all.iter().map(CampaignRow::unfinished).sum(),
        retrying: all.iter().map(|row| row.retrying).sum(),
    })
}

fn rows(view: &View, namings: &[Naming], now: SystemTime) -> Vec<CampaignRow> {
    let runs = origins(view, None).into_iter();
    runs.map(|run| counted(view, namings, run, now)).collect()
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
    rows.iter().map(CampaignRow::lag).sum()
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
        let committed = view.strings.committed(at).max(bounds.low_watermark);
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

/// What one tier holds.
#[derive(Default)]
struct Waiting {
    messages: u64,
    at_least: bool,
    next_due: Option<SystemTime>,
}

impl Waiting {
    fn add(&mut self, messages: u64, due_at: SystemTime) {
        self.messages += messages;
        self.next_due = Some(self.next_due.map_or(due_at, |next| next.min(due_at)));
    }
}

async fn retry(
    queue: &dyn Queue,
    view: &View,
    unreadable: &mut Findings,
) -> Result<Vec<TierStatus>, AccountError> {
    let mut tiers: BTreeMap<Duration, Waiting> = BTreeMap::new();
    for at in view.strings.at.keys().copied() {
        let Topic::Retry(delay) = at.topic else {
            continue;
        };
        let tier = tiers.entry(delay).or_default();
        count_open(queue, view, at, delay, &mut |counted| match counted {
            Ok((messages, due_at)) => tier.add(messages, due_at),
            Err(what) => unreadable.add(what),
        })
        .await?;
        let waited = waiting(queue, &view.strings, at, LIMITS, &mut |chunk| {
            match chunk {
                Ok(chunk) => {
                    let due_at = due(chunk.stored.appended_at, delay);
                    tier.add(u64::from(chunk.head.count), due_at);
                }
                Err(what) => unreadable.add(what),
            }
            ControlFlow::Continue(())
        })
        .await?;
        tier.at_least |= waited.beyond.is_some();
    }
    let tiers = tiers.into_iter().map(|(delay, waiting)| TierStatus {
        tier: duration::compact(delay),
        messages: waiting.messages,
        at_least: waiting.at_least,
        next_due: waiting.next_due.map(timestamp),
    });
    Ok(tiers.collect())
}

/// Shows of each open chunk of a tier's partition the messages that are not done, and when the chunk was due.
async fn count_open(
    queue: &dyn Queue,
    view: &View,
    at: TopicPartition,
    delay: Duration,
    out: &mut dyn FnMut(Result<(u64, SystemTime), String>),
) -> Result<(), AccountError> {
    let progress = view.strings.progress(at);
    for (offset, open) in progress.into_iter().flat_map(|progress| &progress.open) {
        let stored = open_chunk(queue, at, *offset).await?;
        out(stored.and_then(|stored| {
            let count = u64::from(head(at, &stored)?.count);
            let messages = count.saturating_sub(open.done.count() as u64);
            Ok((messages, due(stored.appended_at, delay)))
        }));
    }
    Ok(())
}

impl RateStatus {
    fn new(rate: &RateInForce) -> RateStatus {
        RateStatus {
            rate: rate.rate.to_string(),
            burst: rate.burst,
            host: rate.host().to_string(),
            source: rate.source.clone(),
            at: rate.at.clone(),
        }
    }
}
