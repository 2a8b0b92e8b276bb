//! Opens a run: drops the runs that it supersedes, and finds or writes its manifest.

use super::campaign_topic::CampaignTopic;
use super::decide::{Decision, Request, SealedRun, changed, decide, is_earlier, is_same};
use super::error::EnqueueError;
use super::job::{Job, batch_shape};
use super::queue_retry::report_waiting;
use super::report::EnqueueProgress;
use crate::domain::ids::{Offset, RunKey};
use crate::domain::records::{CampaignRecord, Dropped, FileReading, Manifest};
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::timestamp::timestamp;
use crate::queue::Queue;
use crate::recipients::FileEncoding;
use std::collections::BTreeSet;
use std::time::SystemTime;

/// Two processes with different inputs drop each other's run. This many times, then one gives up.
pub const MAX_ROUNDS: usize = 10;

pub enum Opened {
    AlreadySealed(Box<SealedRun>),
    /// Names of the runs that were dropped.
    Run {
        dropped: Vec<String>,
    },
}

/// Reads the topic and drops superseded runs. After that the ledger has either no manifest of this run, or one with the
/// same inputs.
pub async fn drop_superseded(
    topic: &mut CampaignTopic<'_>,
    request: &Request<'_>,
    observer: &mut dyn FnMut(EnqueueProgress<'_>),
) -> Result<Opened, EnqueueError> {
    let mut dropped = Vec::new();
    for _ in 0..MAX_ROUNDS {
        topic.read_to_end(observer).await?;
        let drop = match decide(&topic.ledger, request)? {
            Decision::AlreadySealed(already) => return Ok(Opened::AlreadySealed(already)),
            Decision::Enqueue { drop } if drop.is_empty() => return Ok(Opened::Run { dropped }),
            Decision::Enqueue { drop } => drop,
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
    Err(busy(request, Vec::new()))
}

/// The run's manifest, written by this process or another. Chunks may be appended after this.
pub async fn manifest(
    topic: &mut CampaignTopic<'_>,
    job: &Job,
    request: &Request<'_>,
    new: NewManifest,
    observer: &mut dyn FnMut(EnqueueProgress<'_>),
) -> Result<Manifest, EnqueueError> {
    let mut rounds = 0;
    while let Some(manifest) = current_manifest(topic, request)? {
        if manifest.rows_fingerprint == new.rows_fingerprint {
            return Ok(manifest);
        }
        rounds += 1;
        if rounds > MAX_ROUNDS {
            return Err(busy(request, Vec::new()));
        }
        // Its chunks leave out other people than this process would.
        drop_own(
            topic,
            &manifest,
            "other recipients are left out now",
            observer,
        )
        .await?;
    }
    // Read before the manifest is appended: chunks of this run can only have these offsets or higher ones.
    let first = log_end_offsets(topic.queue, job, observer).await?;
    let mut make = |draw| {
        CampaignRecord::Manifest(new.manifest(
            topic,
            job,
            request,
            Begin {
                draw,
                first: &first,
            },
        ))
    };
    topic.append(&mut make, observer).await?;
    topic.read_to_end(observer).await?;
    // There is none if another process dropped it right away.
    current_manifest(topic, request)?.ok_or_else(|| busy(request, Vec::new()))
}

/// Drops the run itself, while nothing of it is sealed, so that it starts anew.
pub async fn drop_own(
    topic: &mut CampaignTopic<'_>,
    manifest: &Manifest,
    why: &str,
    observer: &mut dyn FnMut(EnqueueProgress<'_>),
) -> Result<(), EnqueueError> {
    let mut make = |append| {
        CampaignRecord::Dropped(Dropped {
            key: manifest.key,
            draw: manifest.draw,
            append,
            why: why.to_string(),
        })
    };
    topic.append(&mut make, observer).await?;
    topic.read_to_end(observer).await
}

/// Drops the run itself if it was begun: nobody is left for it.
pub async fn drop_unsealed(
    topic: &mut CampaignTopic<'_>,
    request: &Request<'_>,
    observer: &mut dyn FnMut(EnqueueProgress<'_>),
) -> Result<(), EnqueueError> {
    match current_manifest(topic, request)? {
        Some(manifest) => drop_own(topic, &manifest, "nobody is left for it", observer).await,
        None => Ok(()),
    }
}

/// Errors: batches of an earlier run are being sent, and it has more to come.
pub fn require_complete(
    topic: &CampaignTopic<'_>,
    request: &Request<'_>,
) -> Result<(), EnqueueError> {
    let mut runs = topic.ledger.sealed();
    let open =
        runs.find(|run| is_earlier(run, request) && !run.is_complete() && run.cancel.is_none());
    match open {
        Some(run) => Err(EnqueueError::Incomplete {
            campaign: request.id.campaign.clone(),
            run: run.manifest.id.run.clone(),
        }),
        None => Ok(()),
    }
}

/// Whether every other run of the campaign is among the `known` ones or void. A run that another process begins after
/// this look finds this one.
pub fn is_alone(
    topic: &CampaignTopic<'_>,
    request: &Request<'_>,
    known: &BTreeSet<RunKey>,
) -> bool {
    let mut runs = topic.ledger.runs();
    runs.all(|run| {
        !is_earlier(run, request)
            || known.contains(&run.manifest.key)
            || (run.seal.is_none() && run.cancel.is_some())
    })
}

/// The first manifest in the log, unless the run was dropped.
pub fn current_manifest(
    topic: &CampaignTopic<'_>,
    request: &Request<'_>,
) -> Result<Option<Manifest>, EnqueueError> {
    let facts = topic.ledger.run(request.id.key());
    let Some(facts) = facts.filter(|facts| facts.dropped.is_none()) else {
        return Ok(None);
    };
    if !is_same(&facts.manifest, request.fingerprint) {
        return Err(busy(
            request,
            changed(&facts.manifest.inputs, request.inputs),
        ));
    }
    Ok(Some(facts.manifest.clone()))
}

pub fn busy(request: &Request<'_>, changed: Vec<String>) -> EnqueueError {
    EnqueueError::Busy {
        campaign: request.id.campaign.clone(),
        run: request.id.run.clone(),
        changed,
    }
}

/// The log end offset of each send partition.
async fn log_end_offsets(
    queue: &dyn Queue,
    job: &Job,
    observer: &mut dyn FnMut(EnqueueProgress<'_>),
) -> Result<Vec<Offset>, EnqueueError> {
    let mut ends = Vec::new();
    for partition in 0..queue.partitions() {
        let mut retry = job.queue_timeout.retry();
        let at = TopicPartition::new(Topic::Send, partition);
        let end = loop {
            match queue.bounds(at).await {
                Ok(bounds) => break bounds.end,
                Err(error) => {
                    report_waiting(&error, observer);
                    retry.after(error).await?;
                }
            }
        };
        ends.push(end);
    }
    Ok(ends)
}

/// What a manifest needs besides the job.
#[derive(Debug, Clone)]
pub struct NewManifest {
    pub rows: u64,
    pub rows_fingerprint: Option<String>,
    pub now: SystemTime,
}

/// What differs between attempts to append the manifest, and where the run begins.
struct Begin<'a> {
    draw: u64,
    first: &'a [Offset],
}

impl NewManifest {
    fn manifest(
        &self,
        topic: &CampaignTopic<'_>,
        job: &Job,
        request: &Request<'_>,
        begin: Begin<'_>,
    ) -> Manifest {
        let draw = begin.draw;
        let (chunk_rows, batch_rows) = batch_shape(job.batch_rows);
        let key = request.id.key();
        // A process that does not know yet that a run of this name was dropped may still append its chunks. They must
        // not be taken for chunks of this run, so the fingerprint differs.
        let fingerprint = match topic.ledger.run(key) {
            None => request.fingerprint.to_string(),
            Some(_) => format!("{}-{draw:016x}", request.fingerprint),
        };
        Manifest {
            id: request.id.clone(),
            key,
            draw,
            fingerprint,
            inputs: request.inputs.clone(),
            replay_of: None,
            first: begin.first.to_vec(),
            chunk_rows,
            batch_rows,
            rows: self.rows,
            created_at: timestamp(self.now),
            not_before: job.not_before.map(timestamp),
            expires_after_seconds: job.expires_after.map(|after| after.as_secs()),
            in_doubt: job.in_doubt,
            stream: job.stream,
            recipients: absolute(job),
            reading: Box::new(FileReading {
                email_column: job.options.email_column.clone(),
                sheet: job.options.sheet.clone(),
                several: job.options.several,
                group: job.options.group,
                encoding: job.options.encoding.map(FileEncoding::name),
                header_columns: job.options.header_columns.clone(),
            }),
            rows_fingerprint: self.rows_fingerprint.clone(),
            pieces: 0,
        }
    }
}

fn absolute(job: &Job) -> String {
    let path = std::path::absolute(&job.recipients);
    let path = path.as_deref().unwrap_or(&job.recipients);
    path.display().to_string()
}
