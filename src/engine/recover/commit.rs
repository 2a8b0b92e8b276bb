//! Commits the new strings as the owner of their partitions, while nobody else is at work.

use super::judge::{LostPartition, Rebuilt};
use super::report::{RecoverError, Recovery};
use crate::domain::chunk::MessageLine;
use crate::domain::event::{Event, EventHeader, EventMetadata, EventPayload, EventType};
use crate::domain::ids::RunKey;
use crate::domain::outcome::Reason;
use crate::domain::records::{Base, CampaignRecord, Checkpoint};
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::read_model::campaign_topic::announce;
use crate::engine::read_model::{AccountError, View};
use crate::engine::timestamp::timestamp;
use crate::protocol::Progress;
use crate::queue::{
    Commit, CommitOutcome, MAX_COMMIT_TEXT, Membership, Ownership, QueueError, Record, Token,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A group gives out its partitions within seconds.
const GAIN_WITHIN: Duration = Duration::from_secs(60);

/// Writes all of them, or none where one does not fit.
pub(super) async fn commit(
    recovery: &Recovery<'_>,
    view: &View,
    strings: &[(&LostPartition, Rebuilt)],
) -> Result<(), RecoverError> {
    let mut texts = Vec::with_capacity(strings.len());
    for (lost, rebuilt) in strings {
        let text = Text::of(lost.at, &rebuilt.progress);
        let bytes = text.short.len();
        if bytes > MAX_COMMIT_TEXT {
            return Err(RecoverError::TooLong { at: lost.at, bytes });
        }
        texts.push((*lost, rebuilt, text));
    }
    let member = recovery.queue.join(&recovery.name).await?;
    let written = commit_as(recovery, view, texts, member.as_ref()).await;
    member.leave().await;
    written
}

async fn commit_as(
    recovery: &Recovery<'_>,
    view: &View,
    texts: Vec<(&LostPartition, &Rebuilt, Text)>,
    member: &dyn Membership,
) -> Result<(), RecoverError> {
    let wanted: BTreeSet<TopicPartition> = texts.iter().map(|(lost, ..)| lost.at).collect();
    let tokens = gain(member, &wanted).await?;
    for (lost, rebuilt, text) in texts {
        let token = tokens.get(&lost.at).copied();
        let token = token.ok_or(RecoverError::Taken(lost.at))?;
        name_unclaimed(recovery, view, lost.at, rebuilt).await?;
        if let Some(base) = text.base {
            announce(recovery.queue, &[CampaignRecord::Base(base)]).await?;
        }
        let commit = Commit {
            at: lost.at,
            token,
            offset: lost.checkpoint.offset.max(lost.low_watermark),
            text: text.short,
        };
        let checkpoint = Checkpoint {
            owner: rebuilt.progress.epoch,
            clean: true,
            offset: commit.offset,
            text: text.whole,
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

/// A partition's new commit.
struct Text {
    whole: String,
    /// What fits a commit.
    short: String,
    /// What the short text refers to, if it is not the whole one.
    base: Option<Base>,
}

impl Text {
    fn of(at: TopicPartition, progress: &Progress) -> Text {
        let whole = progress.text();
        if whole.len() <= MAX_COMMIT_TEXT {
            let short = whole.clone();
            return Text {
                whole,
                short,
                base: None,
            };
        }
        let (id, base) = progress.as_base(at, 1);
        Text {
            whole,
            short: progress.text_from(id, progress),
            base: Some(base),
        }
    }
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
    match tokio::time::timeout(GAIN_WITHIN, all).await {
        Ok(result) => result.map(|()| tokens),
        Err(_) => {
            let what = "the queue assigned no partitions".to_string();
            Err(QueueError::Unknown(what).into())
        }
    }
}

/// What found no place among the open chunks is named here and now.
async fn name_unclaimed(
    recovery: &Recovery<'_>,
    view: &View,
    at: TopicPartition,
    rebuilt: &Rebuilt,
) -> Result<(), RecoverError> {
    let epoch = rebuilt.progress.epoch;
    let mut records = Vec::new();
    for (run, line) in &rebuilt.unclaimed {
        let event = in_doubt(recovery, view, (at, epoch), *run, line)?;
        let payload = serde_json::to_vec(&event).map_err(AccountError::from)?;
        records.push(Record {
            key: Some(event.header.message_id),
            headers: Vec::new(),
            payload: Some(payload.into()),
        });
    }
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
) -> Result<Event, AccountError> {
    let key = view.ledger.counts_for(run);
    let facts = view.ledger.run(key);
    let id = &facts.ok_or(AccountError::NoManifest { run })?.manifest.id;
    Ok(Event {
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
            site: recovery.sites.of_address(&line.address).to_string(),
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
