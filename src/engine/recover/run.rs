//! Which partitions have lost their commit, what each gets instead, and the commit itself, made as their owner while
//! nobody else is at work.

use super::evidence::Evidence;
use super::walk::{Base, Ground, Rebuilt};
use super::{send, tier};
use crate::clock::Clock;
use crate::domain::address;
use crate::domain::chunk::MessageLine;
use crate::domain::event::{Event, EventHeader, EventMetadata, EventPayload, EventType};
use crate::domain::ids::{Offset, RunKey};
use crate::domain::outcome::Reason;
use crate::domain::records::{CampaignRecord, Checkpoint};
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::beginning::{BeginningError, beginning};
use crate::engine::read_model::campaign_topic::announce;
use crate::engine::read_model::{AccountError, View};
use crate::engine::timestamp::timestamp;
use crate::protocol::checkpoint::Start;
use crate::protocol::{Progress, RunEntry};
use crate::queue::{
    Commit, CommitOutcome, MAX_COMMIT_TEXT, Membership, Ownership, Queue, QueueError, Record, Token,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A group gives out its partitions within seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// How it is done.
pub struct Recovery<'a> {
    pub queue: &'a dyn Queue,
    pub clock: &'a dyn Clock,
    /// Unique among the living.
    pub name: String,
    /// Leave the checkpoints alone and read every run from its start.
    pub to_earliest: bool,
    /// Change nothing.
    pub dry_run: bool,
}

/// The JSON of `recover --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recovered {
    pub partitions: Vec<From>,
    /// May have been with a relay when the last workers were killed, and are sent again, unless the campaign says that
    /// they are held: each is named by an event when the next worker starts.
    pub may_get_twice: Vec<Doubt>,
    /// Of these no more than so many were.
    pub at_most: u64,
    pub dry_run: bool,
}

/// One partition, and what it was rebuilt from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct From {
    pub partition: String,
    /// RFC 3339 of the checkpoint that it goes on from; `None`: from its start.
    pub checkpoint: Option<String>,
    /// The last worker known to have owned it.
    pub worker: String,
    /// Messages that are done by the events.
    pub found_done: u64,
    pub may_get_twice: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Doubt {
    pub campaign: String,
    pub run: String,
    pub row: u64,
    pub address: String,
    pub message_id: String,
}

#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    #[error("worker `{0}` is running on this queue; nothing was changed")]
    AtWork(String),
    #[error("{0} was assigned to another worker meanwhile; it was not changed")]
    Taken(TopicPartition),
    #[error(
        "the rebuilt commit of {at} has {bytes} characters (at most {MAX_COMMIT_TEXT}); the partition was not changed"
    )]
    TooLong { at: TopicPartition, bytes: usize },
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl std::convert::From<QueueError> for RecoverError {
    fn from(error: QueueError) -> RecoverError {
        RecoverError::Account(error.into())
    }
}

/// A partition without a commit, and the last that is known of it.
struct LostOne {
    at: TopicPartition,
    checkpoint: Checkpoint,
    low: Offset,
}

/// Finds where every lost partition stood and commits it. Killed and run again it does the rest. Errors: somebody is
/// at work.
pub async fn recover(recovery: &Recovery<'_>) -> Result<Recovered, RecoverError> {
    let queue = recovery.queue;
    if let Some(member) = queue.members().await?.first() {
        return Err(RecoverError::AtWork(member.name.clone()));
    }
    let (view, lost) = read(queue).await?;
    let mut found = Recovered {
        partitions: Vec::new(),
        may_get_twice: Vec::new(),
        at_most: 0,
        dry_run: recovery.dry_run,
    };
    let mut strings = Vec::new();
    let indexes: BTreeSet<_> = lost.iter().map(|lost| lost.at.partition).collect();
    for partition in indexes {
        let evidence = Evidence::read(queue, &view, partition).await?;
        for lost in lost.iter().filter(|lost| lost.at.partition == partition) {
            let rebuilt = rebuild(recovery, &view, &evidence, lost).await?;
            found.note(&view, lost, &rebuilt, recovery.to_earliest);
            strings.push((lost, rebuilt));
        }
    }
    let claims: BTreeMap<&str, u64> = lost
        .iter()
        .map(|lost| (lost.checkpoint.by.as_str(), lost.checkpoint.claims))
        .collect();
    let most: u64 = claims.values().sum();
    found.at_most = most.min(found.may_get_twice.len() as u64);
    if !recovery.dry_run && !strings.is_empty() {
        write(recovery, &view, strings).await?;
    }
    Ok(found)
}

/// Strings that are lost are read as none, so the view shows the rest.
async fn read(queue: &dyn Queue) -> Result<(View, Vec<LostOne>), RecoverError> {
    let view = View::read(queue, true).await?;
    let at: Vec<TopicPartition> = view.strings.at.keys().copied().collect();
    let committed = queue.committed(&at).await?;
    let mut lost = Vec::new();
    for (at, committed) in at.into_iter().zip(committed) {
        let checkpoint = view.ledger.checkpoint(at);
        let committed = committed.map(|last| (last.offset, last.text));
        let begin = beginning(queue, at, committed, checkpoint).await;
        let begin = begin.map_err(|error| match error {
            BeginningError::Text(error) => AccountError::Text { at, error },
            BeginningError::Queue(error) => error.into(),
        })?;
        if let (Start::Lost, Some(checkpoint)) = (begin, checkpoint) {
            let low = queue.bounds(at).await?.low;
            lost.push(LostOne {
                at,
                checkpoint: checkpoint.clone(),
                low,
            });
        }
    }
    Ok((view, lost))
}

async fn rebuild(
    recovery: &Recovery<'_>,
    view: &View,
    evidence: &Evidence,
    lost: &LostOne,
) -> Result<Rebuilt, RecoverError> {
    let at = lost.at;
    let last = Progress::read(&lost.checkpoint.text)
        .map_err(|error| AccountError::Text { at, error })?
        .unwrap_or_default();
    let ground = Ground {
        queue: recovery.queue,
        view,
        evidence,
        now: recovery.clock.now(),
        claims: usize::try_from(lost.checkpoint.claims).unwrap_or(usize::MAX / 2),
    };
    let base = Base {
        progress: match recovery.to_earliest {
            true => Progress::default(),
            false => last.clone(),
        },
        written_at: lost.checkpoint.written_at.clone(),
        low: lost.low,
        is_start: recovery.to_earliest,
    };
    let mut rebuilt = match at.topic {
        Topic::Send => send::rebuild(&ground, at, &base).await?,
        _ => tier::rebuild(&ground, at, &base).await?,
    };
    if recovery.to_earliest {
        count_the_rest(&ground, at, &mut rebuilt);
    }
    let progress = &mut rebuilt.progress;
    progress.owner.clone_from(&recovery.name);
    progress.number = lost.checkpoint.owner.max(evidence.last_owner(at)) + 1;
    let moving = last.moving.as_ref().map_or(0, |decided| decided.number);
    // A number given out twice would have its copy skipped. One that was decided and never seen may be taken.
    progress.last_move = last.last_move.max(moving).max(evidence.last_number(at)) + 1;
    Ok(rebuilt)
}

/// From the start: what ended in chunks that are not there any more is counted by its events.
fn count_the_rest(ground: &Ground<'_>, at: TopicPartition, rebuilt: &mut Rebuilt) {
    let visited = std::mem::take(&mut rebuilt.visited);
    let ends = ground.evidence.ends(at);
    let ends = ends.map(|(stay, end)| (stay, Some(end)));
    let moved = ground.evidence.moved(at).map(|stay| (stay, None));
    for (stay, end) in ends.chain(moved) {
        if visited.contains(&stay) {
            continue;
        }
        let key = ground.evidence.run_of(&stay);
        let last = ground.view.ledger.run(key);
        let last = last.and_then(|run| run.last(at.partition));
        let entry = rebuilt.progress.runs.entry(key);
        let entry = entry.or_insert_with(|| RunEntry {
            next: match at.topic {
                Topic::Send => last.map_or(0, |last| last + 1),
                _ => 0,
            },
            ..RunEntry::default()
        });
        match end {
            Some(end) => entry.counters.add(end),
            None => entry.counters.moved += 1,
        }
    }
}

impl Recovered {
    fn note(&mut self, view: &View, lost: &LostOne, rebuilt: &Rebuilt, to_earliest: bool) {
        let doubts = rebuilt.doubts.iter().chain(&rebuilt.unclaimed);
        let before = self.may_get_twice.len();
        for (run, line) in doubts {
            let origin = view.ledger.counts_for(*run);
            let Some(facts) = view.ledger.run(origin) else {
                continue;
            };
            self.may_get_twice.push(Doubt {
                campaign: facts.manifest.id.campaign.clone(),
                run: facts.manifest.id.run.clone(),
                row: line.row,
                address: line.address.clone(),
                message_id: line.id.clone(),
            });
        }
        let checkpoint = (!to_earliest).then(|| lost.checkpoint.written_at.clone());
        self.partitions.push(From {
            partition: lost.at.to_string(),
            checkpoint,
            worker: lost.checkpoint.by.clone(),
            found_done: rebuilt.found_done,
            may_get_twice: (self.may_get_twice.len() - before) as u64,
        });
    }
}

async fn write(
    recovery: &Recovery<'_>,
    view: &View,
    strings: Vec<(&LostOne, Rebuilt)>,
) -> Result<(), RecoverError> {
    for (lost, rebuilt) in &strings {
        let bytes = rebuilt.progress.text().len();
        if bytes > MAX_COMMIT_TEXT {
            return Err(RecoverError::TooLong { at: lost.at, bytes });
        }
    }
    let member = recovery.queue.join(&recovery.name).await?;
    let written = write_as(recovery, view, &strings, member.as_ref()).await;
    member.leave().await;
    written
}

async fn write_as(
    recovery: &Recovery<'_>,
    view: &View,
    strings: &[(&LostOne, Rebuilt)],
    member: &dyn Membership,
) -> Result<(), RecoverError> {
    let wanted: BTreeSet<TopicPartition> = strings.iter().map(|(lost, _)| lost.at).collect();
    let tokens = gain(member, &wanted).await?;
    for (lost, rebuilt) in strings {
        let token = tokens.get(&lost.at).copied();
        let token = token.ok_or(RecoverError::Taken(lost.at))?;
        tell_unclaimed(recovery, view, lost.at, rebuilt).await?;
        let commit = Commit {
            at: lost.at,
            token,
            offset: lost.checkpoint.offset.max(lost.low),
            text: rebuilt.progress.text(),
        };
        let checkpoint = Checkpoint {
            owner: rebuilt.progress.number,
            clean: true,
            offset: commit.offset,
            text: commit.text.clone(),
            by: recovery.name.clone(),
            written_at: timestamp(recovery.clock.now()),
            ..lost.checkpoint.clone()
        };
        match member.commit(vec![commit]).await.first() {
            Some(CommitOutcome::Done) => {}
            Some(CommitOutcome::Unknown(why)) => {
                return Err(QueueError::Unknown(why.clone()).into());
            }
            Some(CommitOutcome::Refused) | None => return Err(RecoverError::Taken(lost.at)),
        }
        announce(recovery.queue, &[CampaignRecord::Checkpoint(checkpoint)]).await?;
    }
    Ok(())
}

/// Waits until all that is wanted is owned here.
async fn gain(
    member: &dyn Membership,
    wanted: &BTreeSet<TopicPartition>,
) -> Result<BTreeMap<TopicPartition, Token>, RecoverError> {
    let mut tokens = BTreeMap::new();
    let all = async {
        while !wanted.iter().all(|at| tokens.contains_key(at)) {
            match member.changed().await {
                Ownership::Gained { at, token } => {
                    tokens.insert(at, token);
                }
                Ownership::Losing { at, .. }
                | Ownership::Uncertain { at, .. }
                | Ownership::Lost { at, .. } => {
                    return Err(RecoverError::Taken(at));
                }
            }
        }
        Ok(())
    };
    match tokio::time::timeout(PATIENCE, all).await {
        Ok(result) => result.map(|()| tokens),
        Err(_) => {
            let what = "the queue assigned no partitions".to_string();
            Err(QueueError::Unknown(what).into())
        }
    }
}

/// What found no place among the open chunks is named here and now.
async fn tell_unclaimed(
    recovery: &Recovery<'_>,
    view: &View,
    at: TopicPartition,
    rebuilt: &Rebuilt,
) -> Result<(), RecoverError> {
    let number = rebuilt.progress.number;
    let events = rebuilt
        .unclaimed
        .iter()
        .filter_map(|(run, line)| in_doubt(recovery, view, (at, number), *run, line));
    let records: Vec<Record> = events
        .filter_map(|event| {
            Some(Record {
                key: Some(event.header.message_id.clone()),
                headers: Vec::new(),
                payload: Some(serde_json::to_vec(&event).ok()?.into()),
            })
        })
        .collect();
    if !records.is_empty() {
        let to = TopicPartition::new(Topic::Event, at.partition);
        recovery.queue.append(to, records).await?;
    }
    Ok(())
}

fn in_doubt(
    recovery: &Recovery<'_>,
    view: &View,
    (at, owner): (TopicPartition, u64),
    run: RunKey,
    line: &MessageLine,
) -> Option<Event> {
    let key = view.ledger.counts_for(run);
    let id = &view.ledger.run(key)?.manifest.id;
    Some(Event {
        header: EventHeader {
            message_id: line.id.clone(),
            event_type: EventType::InDoubt,
            event_version: 1,
            timestamp: timestamp(recovery.clock.now()),
            source: recovery.name.clone(),
            trace_id: "recover".to_string(),
        },
        payload: EventPayload {
            campaign: id.campaign.clone(),
            run: id.run.clone(),
            key,
            row: line.row,
            address: line.address.clone(),
            relay: None,
            site: address::site_of(&line.address).to_string(),
            reply: None,
            class: None,
            reason: Some(Reason::WorkerLost),
            scope: None,
            is_final: false,
        },
        metadata: EventMetadata {
            retry_count: line.tries,
            tags: Vec::new(),
            round: line.round,
            hop: line.hop,
            owner,
            partition: at.to_string(),
        },
    })
}
