//! What the events can still answer: they are deleted by their age, from the oldest of each partition on.

use super::row::{State, counted};
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::read_model::naming::namings;
use crate::engine::read_model::scan::scan_in_steps;
use crate::engine::read_model::{AccountError, View};
use crate::engine::timestamp::timestamp;
use crate::protocol::RunFacts;
use crate::queue::Queue;
use std::ops::ControlFlow;
use std::time::SystemTime;

/// The first event that each partition still has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptEvents(Vec<First>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum First {
    /// None was deleted.
    OfAll,
    /// What was appended before this was deleted, RFC 3339.
    Since(String),
    /// All were deleted.
    Gone,
}

impl KeptEvents {
    pub async fn read(queue: &dyn Queue) -> Result<KeptEvents, AccountError> {
        let mut partitions = Vec::new();
        for partition in 0..queue.partitions() {
            let at = TopicPartition::new(Topic::Event, partition);
            partitions.push(first(queue, at).await?);
        }
        Ok(KeptEvents(partitions))
    }

    /// From when on all partitions have events, where some were deleted. `None`: none was, or nobody knows.
    pub fn since(&self) -> Option<&str> {
        let firsts = self.0.iter();
        let times = firsts.filter_map(|first| match first {
            First::Since(time) => Some(time.as_str()),
            First::OfAll | First::Gone => None,
        });
        times.max()
    }

    /// Whether events of this run may have been deleted. Where no event is left, only a run that is over can have had
    /// some that were deleted, because those of others are kept.
    pub fn may_lack(
        &self,
        view: &View,
        run: &RunFacts,
        now: SystemTime,
    ) -> Result<bool, AccountError> {
        let created_at = run.manifest.created_at.as_str();
        let mut has_gone = false;
        for first in partitions_of(view, run).filter_map(|index| self.0.get(index)) {
            match first {
                First::Since(time) if created_at < time.as_str() => return Ok(true),
                First::Gone => has_gone = true,
                First::Since(_) | First::OfAll => {}
            }
        }
        if !has_gone {
            return Ok(false);
        }
        let state = counted(view, &namings(&view.ledger)?, run, now).state;
        Ok(matches!(state, State::Done | State::Cancelled))
    }
}

async fn first(queue: &dyn Queue, at: TopicPartition) -> Result<First, AccountError> {
    let bounds = queue.bounds(at).await?;
    if bounds.low_watermark == 0 {
        return Ok(First::OfAll);
    }
    let mut first = First::Gone;
    scan_in_steps(
        queue,
        at,
        bounds.low_watermark..bounds.end,
        1,
        &mut |stored| {
            first = First::Since(timestamp(stored.appended_at));
            ControlFlow::Break(())
        },
    )
    .await?;
    Ok(first)
}

/// Indexes of the partitions with events of a run. Those of letters that were sent again may be in any.
fn partitions_of(view: &View, run: &RunFacts) -> impl Iterator<Item = usize> {
    let manifest = &run.manifest;
    let count = manifest.first.len();
    let mut others = view.ledger.runs();
    let is_replayed = others.any(|other| other.manifest.replay_of == Some(manifest.key));
    let chunks = manifest.rows.div_ceil(manifest.chunk_rows.max(1));
    let used = match is_replayed {
        true => count,
        false => usize::try_from(chunks).unwrap_or(count).min(count),
    };
    let first = manifest.first_partition();
    (0..used).filter_map(move |chunk| {
        let index = (first % count as u64 + chunk as u64) % count as u64;
        usize::try_from(index).ok()
    })
}
