//! Pause, resume, cancel: records of the campaign topic that every worker acts on within 2 s.

use crate::domain::ids::RunId;
use crate::domain::records::{CampaignRecord, Cancel, Control};
use crate::engine::account::row::{counted, origins};
use crate::engine::account::{AccountError, State, View};
use crate::engine::letters::namings;
use crate::engine::read_model::campaign_topic::announce;
use crate::engine::timestamp::timestamp;
use crate::protocol::{Ledger, RunFacts};
use crate::queue::Queue;
use std::time::SystemTime;

/// What a person wants of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Pause,
    Resume,
    /// Final.
    Cancel,
}

/// A run, and what became of the wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controlled {
    pub run: RunId,
    /// `false`: it was so already, or is finished.
    pub is_changed: bool,
    /// As it was before.
    pub state: State,
    /// Pending and retrying.
    pub unfinished: u64,
}

/// Says to every unfinished run of a campaign, and to their replays, what is wished. `by`: user and host, for people.
/// Errors: the campaign has no run here.
pub async fn control(
    queue: &dyn Queue,
    campaign: &str,
    wish: Wish,
    by: &str,
    now: SystemTime,
) -> Result<Vec<Controlled>, AccountError> {
    let view = View::read(queue, true).await?;
    let namings = namings(&view.ledger)?;
    let runs = origins(&view, Some(campaign));
    if runs.is_empty() {
        return Err(AccountError::NoCampaign(campaign.to_string()));
    }
    let (mut records, mut controlled) = (Vec::new(), Vec::new());
    for run in runs {
        let row = counted(&view, &namings, run, now);
        let is_over = matches!(row.state, State::Done | State::Cancelled);
        let replays = view
            .ledger
            .runs()
            .filter(|other| other.manifest.replay_of == Some(run.manifest.key));
        let changes: Vec<CampaignRecord> = std::iter::once(run)
            .chain(replays)
            // A run may be over by its counts and still have void records to pass: what is paused can be resumed.
            .filter(|_| !is_over || wish == Wish::Resume)
            .filter_map(|run| change(run, wish, by, now))
            .collect();
        controlled.push(Controlled {
            run: run.manifest.id.clone(),
            is_changed: !changes.is_empty(),
            state: row.state,
            unfinished: row.unfinished(),
        });
        records.extend(changes);
    }
    if !records.is_empty() {
        announce(queue, &records).await?;
    }
    Ok(controlled)
}

fn change(run: &RunFacts, wish: Wish, by: &str, now: SystemTime) -> Option<CampaignRecord> {
    let (key, at, by) = (run.manifest.key, timestamp(now), by.to_string());
    let is_paused = run.control.as_ref().is_some_and(|control| control.paused);
    let control = |paused| {
        CampaignRecord::Control(Control {
            key,
            paused,
            at: at.clone(),
            by: by.clone(),
        })
    };
    match wish {
        _ if run.cancel.is_some() || run.dropped.is_some() => None,
        Wish::Pause => (!is_paused).then(|| control(true)),
        Wish::Resume => is_paused.then(|| control(false)),
        Wish::Cancel => Some(CampaignRecord::Cancel(Cancel { key, at, by })),
    }
}

/// What cancels a run and its replays.
pub fn cancels(ledger: &Ledger, run: &RunFacts, by: &str, now: SystemTime) -> Vec<Cancel> {
    let key = run.manifest.key;
    let replays = ledger.runs();
    let replays = replays.filter(|other| other.manifest.replay_of == Some(key));
    std::iter::once(run)
        .chain(replays)
        .filter(|run| run.cancel.is_none() && run.dropped.is_none())
        .map(|run| Cancel {
            key: run.manifest.key,
            at: timestamp(now),
            by: by.to_string(),
        })
        .collect()
}
