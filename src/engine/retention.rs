//! Events are kept for a while after their run is done, and then dropped a run at a time: `verify` and `recipients` say
//! from when on they can answer.

use super::account::{self, State};
use super::read_model::{AccountError, scan};
use crate::clock::Clock;
use crate::domain::event::Event;
use crate::domain::ids::{Offset, RunKey};
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::{Queue, Stored};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

const EVERY: Duration = Duration::from_secs(24 * 3_600);

/// Drops what is old now and once a day, for as long as the task lives. Failing is no trouble: the next day is another.
pub async fn keep_events(queue: Rc<dyn Queue>, clock: Rc<dyn Clock>, keep: Duration) {
    loop {
        match drop_old_events(queue.as_ref(), clock.now(), keep).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "deleted old events"),
            Err(error) => tracing::warn!(%error, "old events could not be deleted"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Drops the events of runs that are done and have had none for as long as `keep`. How many offsets were given back.
pub async fn drop_old_events(
    queue: &dyn Queue,
    now: SystemTime,
    keep: Duration,
) -> Result<u64, AccountError> {
    let Some(before) = now
        .checked_sub(keep)
        .and_then(|at| jiff::Timestamp::try_from(at).ok())
    else {
        return Ok(0);
    };
    let partitions: Vec<TopicPartition> = (0..queue.partitions())
        .map(|partition| TopicPartition::new(Topic::Event, partition))
        .collect();
    if !begins_before(queue, &partitions, before).await? {
        return Ok(0);
    }
    let old = old_runs(queue, now, &partitions, before).await?;
    let mut count = 0;
    for at in partitions {
        let bounds = queue.bounds(at).await?;
        let to = first_kept(queue, at, bounds.low_watermark, bounds.end, &old).await?;
        if to > bounds.low_watermark {
            queue.drop_below(at, to).await?;
            count += to - bounds.low_watermark;
        }
    }
    Ok(count)
}

/// The first events tell whether a closer look is worth it.
async fn begins_before(
    queue: &dyn Queue,
    partitions: &[TopicPartition],
    before: jiff::Timestamp,
) -> Result<bool, AccountError> {
    for at in partitions {
        let low = queue.bounds(*at).await?.low_watermark;
        let first = queue.fetch(*at, low, 1).await?.into_iter().next();
        if first
            .as_ref()
            .and_then(read)
            .is_some_and(|(_, told)| told < before)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Runs that are done and whose last event is old.
async fn old_runs(
    queue: &dyn Queue,
    now: SystemTime,
    partitions: &[TopicPartition],
    before: jiff::Timestamp,
) -> Result<BTreeSet<RunKey>, AccountError> {
    let mut last: BTreeMap<RunKey, jiff::Timestamp> = BTreeMap::new();
    for at in partitions {
        let bounds = queue.bounds(*at).await?;
        scan::scan(
            queue,
            *at,
            bounds.low_watermark,
            bounds.end,
            &mut |stored| {
                if let Some((run, told)) = read(&stored) {
                    let known = last.entry(run).or_insert(told);
                    *known = told.max(*known);
                }
                ControlFlow::Continue(())
            },
        )
        .await?;
    }
    let status = account::status(queue, now, None).await?;
    let over = |state: &State| matches!(state, State::Done | State::Cancelled);
    let over: BTreeSet<RunKey> = status
        .campaigns
        .iter()
        .filter(|row| over(&row.state))
        .map(|row| row.key)
        .collect();
    Ok(last
        .into_iter()
        .filter(|(run, told)| *told < before && over.contains(run))
        .map(|(run, _)| run)
        .collect())
}

async fn first_kept(
    queue: &dyn Queue,
    at: TopicPartition,
    low: Offset,
    end: Offset,
    old: &BTreeSet<RunKey>,
) -> Result<Offset, AccountError> {
    let mut kept = end;
    scan::scan(queue, at, low, end, &mut |stored| {
        if read(&stored).is_some_and(|(run, _)| old.contains(&run)) {
            return ControlFlow::Continue(());
        }
        kept = stored.offset;
        ControlFlow::Break(())
    })
    .await?;
    Ok(kept)
}

/// The run of an event, and when it was told. What is no event is kept: `verify` names it.
fn read(stored: &Stored) -> Option<(RunKey, jiff::Timestamp)> {
    let event: Event = serde_json::from_slice(stored.record.payload.as_deref()?).ok()?;
    Some((event.payload.key, event.header.timestamp.parse().ok()?))
}
