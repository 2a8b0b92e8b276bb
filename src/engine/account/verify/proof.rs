//! Reads everything once and compares. While workers move what is being read it is tried again.

use super::events::collect_events;
use super::judge::Sums;
use crate::domain::counters::Final;
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::account::kept::KeptEvents;
use crate::engine::account::row::{CampaignRow, counted, enqueued, origins};
use crate::engine::read_model::collect::{collect_letters, collect_named, collect_places};
use crate::engine::read_model::event::Progress;
use crate::engine::read_model::facts::{Facts, Subject};
use crate::engine::read_model::findings::Findings;
use crate::engine::read_model::naming::namings;
use crate::engine::read_model::places::Scope;
use crate::engine::read_model::{AccountError, View};
use crate::protocol::ledger::RunState;
use crate::queue::Queue;
use serde::Serialize;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::SystemTime;

/// How often it is tried while workers move what is being read.
const ATTEMPTS: u32 = 3;

/// The JSON of `verify --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    pub queue: String,
    pub ok: bool,
    /// Counted from the events and the queue.
    pub campaigns: Vec<CampaignRow>,
    pub findings: Vec<String>,
    /// Runs whose events have been dropped by their age, `campaign/run`.
    pub too_old: Vec<String>,
    /// The oldest event that is kept, RFC 3339; `None`: none was dropped, or none is left.
    pub events_since: Option<String>,
}

/// What is verified, and with what.
#[derive(Debug, Clone, Copy)]
pub struct VerifyRequest<'a> {
    pub now: SystemTime,
    /// Only this campaign's runs.
    pub campaign: Option<&'a str>,
    /// A folder for temporary files, about 30 bytes a recipient; nothing stays in it.
    pub folder: &'a Path,
}

/// `progress`: events read so far, of about how many.
pub async fn verify(
    queue: &dyn Queue,
    request: VerifyRequest<'_>,
    progress: Progress<'_>,
) -> Result<Verification, AccountError> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let (mut verification, is_moving) = once(queue, request, progress).await?;
        if verification.ok || !is_moving {
            return Ok(verification);
        }
        if attempt == ATTEMPTS {
            let line = "workers moved messages while this was read: stop them and verify again";
            verification.findings.push(line.to_string());
            return Ok(verification);
        }
    }
}

/// Also whether the queue has moved since it was begun.
async fn once(
    queue: &dyn Queue,
    request: VerifyRequest<'_>,
    progress: Progress<'_>,
) -> Result<(Verification, bool), AccountError> {
    // The ends of the event logs, then the view, then the chunks: an event below these ends was there before a chunk
    // that the view calls unopened was looked at.
    let mut before = Vec::new();
    for partition in 0..queue.partitions() {
        let at = TopicPartition::new(Topic::Event, partition);
        before.push(queue.bounds(at).await?.end);
    }
    let view = View::read(queue, true).await?;
    let kept = KeptEvents::read(queue).await?;
    let (subjects, too_old) = subjects(&view, request, &kept)?;
    let mut facts = Facts::new(subjects, request.folder);
    let scope = Scope {
        only: None,
        with_lines: false,
        with_cancelled: true,
        now: request.now,
    };
    let is_torn = collect_places(&mut facts, queue, &view, scope).await?;
    collect_events(&mut facts, queue, &view.ledger, &before, progress).await?;
    // A purge names its letters before it removes them, so a letter that is lost in any other way is missed.
    collect_named(&mut facts, &view.ledger)?;
    collect_letters(&mut facts, queue, &view.ledger, request.folder).await?;
    let after = View::read(queue, true).await?;
    let is_moving = is_torn
        || after.strings != view.strings
        || after.ledger.position() != view.ledger.position();
    let (campaigns, findings) = close(facts, (&view, &after), is_moving, request.now)?;
    let verification = Verification {
        queue: queue.url(),
        ok: findings.is_empty(),
        campaigns,
        findings: findings.into_lines(),
        too_old,
        events_since: kept.since().map(str::to_string),
    };
    Ok((verification, is_moving))
}

/// Every run that the events can still answer for, and the names of the others.
fn subjects(
    view: &View,
    VerifyRequest { now, campaign, .. }: VerifyRequest<'_>,
    kept: &KeptEvents,
) -> Result<(Vec<Subject>, Vec<String>), AccountError> {
    let (mut subjects, mut too_old) = (Vec::new(), Vec::new());
    for run in origins(view, campaign) {
        let (key, name) = (run.manifest.key, run.manifest.id.to_string());
        if kept.may_lack(view, run, now)? {
            too_old.push(name);
            continue;
        }
        subjects.push(Subject {
            key,
            name,
            rows: if run.seal.is_some() { enqueued(run) } else { 0 },
            is_cancelled: view.ledger.run_state(key, now) == RunState::Cancelled,
        });
    }
    Ok((subjects, too_old))
}

/// Adds up what was read, and compares it with the workers' counts before and after.
fn close(
    facts: Facts,
    (before, after): (&View, &View),
    is_moving: bool,
    now: SystemTime,
) -> Result<(Vec<CampaignRow>, Findings), AccountError> {
    let subjects = facts.subjects().to_vec();
    let (histories, mut findings) = facts.finish()?;
    let mut sums = vec![Sums::default(); subjects.len()];
    histories.each(&mut |subject, history| {
        if let Some(sums) = sums.get_mut(history.key.run()) {
            sums.add(subject, history, &mut findings);
        }
        ControlFlow::Continue(())
    })?;
    let (names_before, names_after) = (namings(&before.ledger)?, namings(&after.ledger)?);
    // A move under way is counted where it comes from, and may be counted where it goes already.
    let is_split = !is_moving && !before.strings.is_move_under_way();
    let mut rows = Vec::new();
    for (subject, sums) in subjects.iter().zip(sums) {
        let Some(run) = before.ledger.run(subject.key) else {
            continue;
        };
        let state = before.ledger.run_state(subject.key, now);
        let row = CampaignRow::new(run, state, sums.finals, sums.retrying);
        let later = after.ledger.run(subject.key).unwrap_or(run);
        let by_workers = [
            counted(before, &names_before, run, now),
            counted(after, &names_after, later, now),
        ];
        compare(&row, &by_workers, is_split, &mut findings);
        rows.push(row);
    }
    Ok((rows, findings))
}

/// What the workers had counted before and after the events were read encloses what the events say. `is_split`:
/// pending and retrying are compared each, not only their sum.
fn compare(
    row: &CampaignRow,
    by_workers: &[CampaignRow; 2],
    is_split: bool,
    findings: &mut Findings,
) {
    let all = |row: &CampaignRow| {
        let mut counts: Vec<(String, u64)> = Final::ALL
            .iter()
            .map(|end| end.name().replace('_', " "))
            .zip(row.finals())
            .collect();
        counts.push(("pending or retrying".to_string(), row.unfinished()));
        if is_split {
            counts.push(("retrying".to_string(), row.retrying));
        }
        counts
    };
    let [before, after] = by_workers;
    for (((name, events), (_, before)), (_, after)) in
        all(row).into_iter().zip(all(before)).zip(all(after))
    {
        if events < before.min(after) || events > before.max(after) {
            findings.add(format!(
                "{}/{}: the workers counted {before} {name}, events and queue say {events}",
                row.campaign, row.run
            ));
        }
    }
}
