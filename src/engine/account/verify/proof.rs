//! Reads everything once and compares. While workers move what is being read it is tried again.

use super::findings::Findings;
use super::reading::Books;
use super::table::Table;
use crate::domain::counters::Final;
use crate::domain::ids::RunKey;
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::account::row::{CampaignRow, counted, enqueued, origins};
use crate::engine::read_model::naming::namings;
use crate::engine::read_model::scan::scan;
use crate::engine::read_model::{AccountError, View};
use crate::engine::timestamp::timestamp;
use crate::protocol::ledger::Standing;
use crate::queue::Queue;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
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
    /// The oldest event that is kept, RFC 3339; `None`: none was dropped.
    pub events_since: Option<String>,
}

/// `campaign`: only this one's runs. `progress`: events read so far, of about how many.
pub async fn verify(
    queue: &dyn Queue,
    now: SystemTime,
    campaign: Option<&str>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verification, AccountError> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let (mut verification, is_moving) = once(queue, now, campaign, progress).await?;
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
    now: SystemTime,
    campaign: Option<&str>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(Verification, bool), AccountError> {
    let mut before = Vec::new();
    for partition in 0..queue.partitions() {
        let at = TopicPartition::new(Topic::Event, partition);
        before.push(queue.bounds(at).await?.end);
    }
    let view = View::read(queue, true).await?;
    let events_since = events_since(queue).await?;
    let (mut books, too_old) = books(&view, campaign, events_since.as_deref());
    let is_torn = books.places(queue, &view, now).await?;
    books.events(queue, &view, &before, progress).await?;
    books.letters(queue, &view).await?;
    let after = View::read(queue, true).await?;
    let is_moving = is_torn
        || after.strings != view.strings
        || after.ledger.position() != view.ledger.position();
    let (campaigns, findings) = close(books, (&view, &after), is_moving, now)?;
    let verification = Verification {
        queue: queue.url(),
        ok: findings.is_empty(),
        campaigns,
        findings: findings.into_lines(),
        too_old,
        events_since,
    };
    Ok((verification, is_moving))
}

/// A table for every run that the events can still answer for.
fn books(view: &View, campaign: Option<&str>, since: Option<&str>) -> (Books, Vec<String>) {
    let (mut tables, mut too_old, mut findings) =
        (BTreeMap::new(), Vec::new(), Findings::default());
    for run in origins(view, campaign) {
        let name = run.manifest.id.to_string();
        if since.is_some_and(|since| run.manifest.created_at.as_str() < since) {
            too_old.push(name);
            continue;
        }
        let rows = if run.seal.is_some() { enqueued(run) } else { 0 };
        match Table::new(name.clone(), rows) {
            Some(table) => {
                tables.insert(run.manifest.key, table);
            }
            None => findings.add(format!("no memory for the {rows} rows of {name}")),
        }
    }
    (Books::new(tables, findings), too_old)
}

fn close(
    books: Books,
    (before, after): (&View, &View),
    is_moving: bool,
    now: SystemTime,
) -> Result<(Vec<CampaignRow>, Findings), AccountError> {
    let (mut tables, mut findings) = books.into_parts();
    let (names_before, names_after) = (namings(&before.ledger)?, namings(&after.ledger)?);
    // A move under way is counted where it comes from, and may be counted where it goes already.
    let is_split = !is_moving && !before.strings.is_move_under_way();
    let mut rows = Vec::new();
    for run in origins(before, None) {
        let key: RunKey = run.manifest.key;
        let Some(table) = tables.remove(&key) else {
            continue;
        };
        let standing = before.ledger.standing(key, now);
        let sums = table.close(standing == Standing::Cancelled, &mut findings);
        let row = CampaignRow::new(run, standing, sums.finals, sums.retrying);
        let later = after.ledger.run(key).unwrap_or(run);
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

/// From when on events are kept, where some were dropped.
pub async fn events_since(queue: &dyn Queue) -> Result<Option<String>, AccountError> {
    let mut since: Option<SystemTime> = None;
    for partition in 0..queue.partitions() {
        let at = TopicPartition::new(Topic::Event, partition);
        let bounds = queue.bounds(at).await?;
        if bounds.low == 0 {
            continue;
        }
        scan(queue, at, bounds.low, bounds.end, &mut |stored| {
            since = Some(since.map_or(stored.appended_at, |since| since.max(stored.appended_at)));
            ControlFlow::Break(())
        })
        .await?;
    }
    Ok(since.map(timestamp))
}
