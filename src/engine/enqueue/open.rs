//! Opens a run: drops what stands in the way, and makes sure of the manifest that counts, one's own or another's.

use super::decide::{Already, Decision, Wish, changed, decide, is_same};
use super::error::EnqueueError;
use super::job::{Job, batch_shape};
use super::patience::tell;
use super::report::EnqueueProgress;
use super::topic::CampaignTopic;
use crate::domain::ids::Offset;
use crate::domain::records::{CampaignRecord, Dropped, FileReading, Manifest};
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::Queue;
use std::time::SystemTime;

/// Two processes that keep dropping each other's run must not do so for ever.
const MAX_ROUNDS: usize = 10;

pub enum Opened {
    Already(Box<Already>),
    /// Names of the runs that were dropped.
    Run {
        dropped: Vec<String>,
    },
}

/// Reads the topic and clears the way. Afterwards the ledger has either no manifest of this run or one of these inputs.
pub async fn clear(
    topic: &mut CampaignTopic<'_>,
    wish: &Wish<'_>,
    observer: &mut dyn FnMut(EnqueueProgress<'_>),
) -> Result<Opened, EnqueueError> {
    let mut dropped = Vec::new();
    for _ in 0..MAX_ROUNDS {
        topic.read_to_end(observer).await?;
        let drop = match decide(&topic.ledger, wish)? {
            Decision::Already(already) => return Ok(Opened::Already(already)),
            Decision::Go { drop } if drop.is_empty() => return Ok(Opened::Run { dropped }),
            Decision::Go { drop } => drop,
        };
        for (name, record) in drop {
            let mut make = |append| {
                CampaignRecord::Dropped(Dropped {
                    append,
                    ..record.clone()
                })
            };
            topic.append(&mut make, observer).await?;
            observer(EnqueueProgress::Dropped(&name));
            dropped.push(name);
        }
    }
    Err(busy(wish, Vec::new()))
}

/// The manifest that counts; its chunks may be appended from now on.
pub async fn manifest(
    queue: &dyn Queue,
    topic: &mut CampaignTopic<'_>,
    job: &Job,
    wish: &Wish<'_>,
    new: NewManifest,
    observer: &mut dyn FnMut(EnqueueProgress<'_>),
) -> Result<Manifest, EnqueueError> {
    if let Some(manifest) = counting(topic, wish)? {
        return Ok(manifest);
    }
    let first = ends(queue, job, observer).await?;
    let mut make = |draw| {
        CampaignRecord::Manifest(new.manifest(
            topic,
            job,
            wish,
            Begin {
                draw,
                first: &first,
            },
        ))
    };
    topic.append(&mut make, observer).await?;
    topic.read_to_end(observer).await?;
    // Nothing, where it was dropped as soon as it landed.
    counting(topic, wish)?.ok_or_else(|| busy(wish, Vec::new()))
}

fn counting(topic: &CampaignTopic<'_>, wish: &Wish<'_>) -> Result<Option<Manifest>, EnqueueError> {
    let facts = topic.ledger.run(wish.id.key());
    let Some(facts) = facts.filter(|facts| facts.dropped.is_none()) else {
        return Ok(None);
    };
    if !is_same(&facts.manifest, wish.fingerprint) {
        return Err(busy(wish, changed(&facts.manifest.inputs, wish.inputs)));
    }
    Ok(Some(facts.manifest.clone()))
}

fn busy(wish: &Wish<'_>, changed: Vec<String>) -> EnqueueError {
    EnqueueError::Busy {
        campaign: wish.id.campaign.clone(),
        run: wish.id.run.clone(),
        changed,
    }
}

/// The offset that the next record of each send partition will have.
async fn ends(
    queue: &dyn Queue,
    job: &Job,
    observer: &mut dyn FnMut(EnqueueProgress<'_>),
) -> Result<Vec<Offset>, EnqueueError> {
    let mut ends = Vec::new();
    for partition in 0..queue.partitions() {
        let mut attempts = job.patience.attempts();
        let at = TopicPartition::new(Topic::Send, partition);
        let end = loop {
            match queue.bounds(at).await {
                Ok(bounds) => break bounds.end,
                Err(error) => {
                    tell(&error, observer);
                    attempts.failed(error).await?;
                }
            }
        };
        ends.push(end);
    }
    Ok(ends)
}

/// What a manifest needs beside the job.
#[derive(Debug, Clone, Copy)]
pub struct NewManifest {
    pub rows: u64,
    pub now: SystemTime,
}

struct Begin<'a> {
    draw: u64,
    first: &'a [Offset],
}

impl NewManifest {
    fn manifest(
        self,
        topic: &CampaignTopic<'_>,
        job: &Job,
        wish: &Wish<'_>,
        begin: Begin<'_>,
    ) -> Manifest {
        let draw = begin.draw;
        let (chunk_rows, batch_rows) = batch_shape(job.batch_rows);
        let key = wish.id.key();
        // Chunks of a dropped run of this name may still land; a process that has not heard of it may still append
        // them. They must not pass for this one's.
        let fingerprint = match topic.ledger.run(key) {
            None => wish.fingerprint.to_string(),
            Some(_) => format!("{}-{draw:016x}", wish.fingerprint),
        };
        Manifest {
            id: wish.id.clone(),
            key,
            draw,
            fingerprint,
            inputs: wish.inputs.clone(),
            replay_of: None,
            first: begin.first.to_vec(),
            chunk_rows,
            batch_rows,
            rows: self.rows,
            created_at: rfc3339(self.now),
            not_before: job.not_before.map(rfc3339),
            expires_after_seconds: job.expires_after.map(|after| after.as_secs()),
            in_doubt: job.in_doubt,
            stream: job.stream,
            recipients: absolute(job),
            reading: FileReading {
                email_column: job.options.email_column.clone(),
                header_columns: job.options.header_columns.clone(),
            },
            pieces: 0,
        }
    }
}

fn absolute(job: &Job) -> String {
    let path = std::path::absolute(&job.recipients);
    let path = path.as_deref().unwrap_or(&job.recipients);
    path.display().to_string()
}

/// UTC, to the second.
pub fn rfc3339(at: SystemTime) -> String {
    let at = jiff::Timestamp::try_from(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{at:.0}")
}
