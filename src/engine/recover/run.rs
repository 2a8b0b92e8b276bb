//! Which partitions have lost their commit, and what each gets instead.

use super::commit::commit;
use super::evidence::Evidence;
use super::judge::LostPartition;
use super::judge::{Beginning, Rebuilt, Sources};
use super::report::{PossibleDuplicate, RebuiltPartition, RecoverError, Recovered, Recovery};
use super::visited::Visited;
use super::{send, tier};
use crate::domain::ids::shown_row;
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::read_model::view::progress;
use crate::engine::read_model::{AccountError, View};
use crate::engine::starting_point::{StartError, starting_point};
use crate::protocol::checkpoint::Start;
use crate::protocol::{Progress, RunEntry};
use crate::queue::Queue;
use std::collections::{BTreeMap, BTreeSet};

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
        unreadable: Vec::new(),
        dry_run: recovery.dry_run,
    };
    let mut strings = Vec::new();
    let indexes: BTreeSet<_> = lost.iter().map(|lost| lost.at.partition).collect();
    for partition in indexes {
        let mut evidence = Evidence::read(queue, &view, partition, recovery.folder).await?;
        found.unreadable.append(&mut evidence.unreadable);
        for lost in lost.iter().filter(|lost| lost.at.partition == partition) {
            let rebuilt = rebuild(recovery, &view, &evidence, lost).await?;
            found.add(&view, lost, &rebuilt, recovery.to_earliest);
            found.unreadable.extend(rebuilt.unreadable.iter().cloned());
            strings.push((lost, rebuilt));
        }
    }
    // A chunk of a tier is read as evidence, and again where it may have been open.
    found.unreadable.sort();
    found.unreadable.dedup();
    // A worker has its claims in all of its partitions together.
    let claims: BTreeMap<&str, u64> = lost
        .iter()
        .map(|lost| (lost.checkpoint.by.as_str(), lost.checkpoint.claims))
        .collect();
    let most: u64 = claims.values().sum();
    found.at_most = most.min(found.may_get_twice.len() as u64);
    if !recovery.dry_run && !strings.is_empty() {
        commit(recovery, &view, &strings).await?;
    }
    Ok(found)
}

/// Strings that are lost are read as none, so the view shows the rest.
async fn read(queue: &dyn Queue) -> Result<(View, Vec<LostPartition>), RecoverError> {
    let view = View::read(queue, true).await?;
    let at: Vec<TopicPartition> = view.strings.at.keys().copied().collect();
    let committed = queue.committed(&at).await?;
    let mut lost = Vec::new();
    for (at, committed) in at.into_iter().zip(committed) {
        let checkpoint = view.ledger.checkpoint(at);
        let committed = committed.map(|last| (last.offset, last.text));
        let begin = starting_point(queue, at, committed, checkpoint).await;
        let begin = begin.map_err(|error| match error {
            StartError::Text(error) => AccountError::Text { at, error },
            StartError::Queue(error) => error.into(),
        })?;
        if let (Start::Lost, Some(checkpoint)) = (begin, checkpoint) {
            let low_watermark = queue.bounds(at).await?.low_watermark;
            lost.push(LostPartition {
                at,
                checkpoint: checkpoint.clone(),
                low_watermark,
            });
        }
    }
    Ok((view, lost))
}

async fn rebuild(
    recovery: &Recovery<'_>,
    view: &View,
    evidence: &Evidence,
    lost: &LostPartition,
) -> Result<Rebuilt, RecoverError> {
    let at = lost.at;
    let last = progress(at, &lost.checkpoint.text, &())?.unwrap_or_default();
    let sources = Sources {
        queue: recovery.queue,
        view,
        evidence,
        now: recovery.clock.now(),
    };
    let beginning = Beginning {
        progress: match recovery.to_earliest {
            true => Progress::default(),
            false => last.clone(),
        },
        written_at: lost.checkpoint.written_at.clone(),
        low_watermark: lost.low_watermark,
        is_earliest: recovery.to_earliest,
    };
    let visited = recovery.to_earliest.then(|| Visited::new(recovery.folder));
    let rebuilt = Rebuilt::new(visited);
    let mut rebuilt = match at.topic {
        Topic::Send => send::rebuild(&sources, at, &beginning, rebuilt).await?,
        _ => tier::rebuild(&sources, at, &beginning, rebuilt).await?,
    };
    tier::keep_seen_moves(&mut rebuilt.progress, &last);
    if let Some(visited) = rebuilt.visited.take() {
        count_the_rest(&sources, at, visited, &mut rebuilt.progress)?;
    }
    let progress = &mut rebuilt.progress;
    progress.owner.clone_from(&recovery.name);
    progress.epoch = lost.checkpoint.owner.max(evidence.last_epoch(at)) + 1;
    let moving = last.moving.as_ref().map_or(0, |decided| decided.number);
    // A number given out twice would have its copy skipped. One that was decided and never seen may be taken.
    progress.last_move = last.last_move.max(moving).max(evidence.last_move(at)) + 1;
    Ok(rebuilt)
}

/// From the start: what ended in chunks that are not there any more is counted by its events.
fn count_the_rest(
    sources: &Sources<'_>,
    at: TopicPartition,
    visited: Visited,
    progress: &mut Progress,
) -> Result<(), AccountError> {
    let mut visited = visited.finish()?;
    sources.evidence.each_left(at, &mut |left| {
        if visited.has(left.recipient, left.stay)? {
            return Ok(());
        }
        let last = sources.view.ledger.run(left.run);
        let last = last.and_then(|run| run.last(at.partition));
        let entry = progress.runs.entry(left.run);
        let entry = entry.or_insert_with(|| RunEntry {
            next: match at.topic {
                Topic::Send => last.map_or(0, |last| last + 1),
                _ => 0,
            },
            ..RunEntry::default()
        });
        match left.end {
            Some(end) => entry.counters.add(end),
            None => entry.counters.moved += 1,
        }
        Ok(())
    })
}

impl Recovered {
    fn add(&mut self, view: &View, lost: &LostPartition, rebuilt: &Rebuilt, to_earliest: bool) {
        let before = self.may_get_twice.len();
        for (run, line) in rebuilt.claimed.iter().chain(&rebuilt.unclaimed) {
            let Some(facts) = view.ledger.run(view.ledger.counts_for(*run)) else {
                let (row, at) = (shown_row(line.row), lost.at);
                let what =
                    format!("row {row} of run {run} is in {at}, and the run has no manifest");
                self.unreadable.push(what);
                continue;
            };
            self.may_get_twice.push(PossibleDuplicate {
                campaign: facts.manifest.id.campaign.clone(),
                run: facts.manifest.id.run.clone(),
                row: line.row,
                address: line.address.clone(),
                message_id: line.id.clone(),
            });
        }
        let checkpoint = (!to_earliest).then(|| lost.checkpoint.written_at.clone());
        self.partitions.push(RebuiltPartition {
            partition: lost.at.to_string(),
            checkpoint,
            worker: lost.checkpoint.by.clone(),
            found_done: rebuilt.found_done,
            may_get_twice: (self.may_get_twice.len() - before) as u64,
        });
    }
}
