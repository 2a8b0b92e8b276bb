//! Before it is decided whom earlier runs have: `--replace` cancels what they have pending, and nothing is decided while
//! a worker may still deliver for a cancelled run.

use super::campaign_topic::CampaignTopic;
use super::decide::{Request, is_earlier};
use super::error::EnqueueError;
use super::job::{EarlierRuns, Job};
use super::open::require_complete;
use super::repeat::retried;
use super::report::EnqueueProgress;
use crate::domain::ids::{Offset, RunKey};
use crate::domain::records::CampaignRecord;
use crate::engine::account::remaining;
use crate::engine::control::cancels;
use crate::engine::read_model::view::{Strings, refresh};
use crate::protocol::{Ledger, Progress};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Makes it possible to say whom earlier runs have, if that is asked. Safe to repeat.
pub async fn settle_earlier(
    topic: &mut CampaignTopic<'_>,
    request: &Request<'_>,
    job: &Job,
    now: SystemTime,
    observer: &mut dyn FnMut(EnqueueProgress<'_>),
) -> Result<(), EnqueueError> {
    match job.earlier {
        EarlierRuns::Forbid => return Ok(()),
        EarlierRuns::LeaveOut => require_complete(topic, request)?,
        EarlierRuns::Cancel => cancel_pending(topic, request, job, now, observer).await?,
    }
    settle(topic, request, job, observer).await
}

/// Cancels every earlier run that has something left, and its replays. A cancelled run stays cancelled.
async fn cancel_pending(
    topic: &mut CampaignTopic<'_>,
    request: &Request<'_>,
    job: &Job,
    now: SystemTime,
    observer: &mut dyn FnMut(EnqueueProgress<'_>),
) -> Result<(), EnqueueError> {
    topic.read_to_end(observer).await?;
    let runs = topic.ledger.sealed();
    let runs = runs.filter(|run| is_earlier(run, request) && run.cancel.is_none());
    let runs: Vec<RunKey> = runs.map(|run| run.manifest.key).collect();
    for key in runs {
        let (queue, ledger) = (topic.queue, &mut topic.ledger);
        let left = retried(job.queue_timeout, observer, async || {
            Ok(remaining(queue, ledger, Some(key), now).await?)
        });
        if left.await?.is_done() {
            continue;
        }
        let Some(run) = topic.ledger.run(key) else {
            continue;
        };
        let name = run.manifest.id.run.clone();
        for record in cancels(&topic.ledger, run, &job.source, now) {
            let mut make = |_| CampaignRecord::Cancel(record.clone());
            topic.append(&mut make, observer).await?;
        }
        observer(EnqueueProgress::Cancelled(&name));
    }
    topic.read_to_end(observer).await
}

/// Waits until no worker can deliver for a cancelled run of the campaign: every owner has committed that it knows the
/// cancels, and no message of these runs is claimed. A killed worker's claims are settled by the next owner, so this
/// needs a worker that runs meanwhile (`commands/worker/settler.rs`).
async fn settle(
    topic: &mut CampaignTopic<'_>,
    request: &Request<'_>,
    job: &Job,
    observer: &mut dyn FnMut(EnqueueProgress<'_>),
) -> Result<(), EnqueueError> {
    let runs = topic.ledger.sealed();
    let runs = runs.filter(|run| is_earlier(run, request) && run.cancel.is_some());
    let runs: BTreeSet<RunKey> = runs.map(|run| run.manifest.key).collect();
    if runs.is_empty() {
        return Ok(());
    }
    let cancels = topic.ledger.cancels_below();
    let begun = tokio::time::Instant::now();
    loop {
        let (queue, ledger) = (topic.queue, &mut topic.ledger);
        let strings = retried(job.queue_timeout, observer, async || {
            Ok(refresh(queue, ledger).await?)
        });
        let unsettled = Unsettled::of(&strings.await?, &topic.ledger, &runs, cancels);
        if unsettled == Unsettled::default() {
            return Ok(());
        }
        observer(EnqueueProgress::Settling {
            claimed: unsettled.claimed,
            waited: begun.elapsed(),
        });
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What stands against a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Unsettled {
    /// Partitions whose owner may not know the cancels yet.
    partitions: usize,
    /// Messages that may be with a relay.
    claimed: usize,
}

impl Unsettled {
    fn of(
        strings: &Strings,
        ledger: &Ledger,
        runs: &BTreeSet<RunKey>,
        cancels: Offset,
    ) -> Unsettled {
        let mut unsettled = Unsettled::default();
        for progress in strings.at.values() {
            let knows = |progress: &Progress| progress.cancels_below >= cancels;
            let Some(progress) = progress.as_ref().filter(|progress| knows(progress)) else {
                unsettled.partitions += 1;
                continue;
            };
            let open = progress.open.values();
            let open = open.filter(|chunk| runs.contains(&ledger.counts_for(chunk.run)));
            unsettled.claimed += open.map(|chunk| chunk.outstanding().count()).sum::<usize>();
        }
        unsettled
    }
}
