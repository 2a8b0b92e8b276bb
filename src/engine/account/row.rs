//! A run's line in `status` and `verify`: the same shape, whether it was counted by the workers or from the events.

use crate::domain::counters::{Counters, Final};
use crate::domain::ids::RunKey;
use crate::domain::records::Tally;
use crate::engine::read_model::View;
use crate::engine::read_model::naming::Naming;
use crate::protocol::RunFacts;
use crate::protocol::ledger::RunState;
use serde::Serialize;
use std::time::SystemTime;

/// Law: `enqueued`, here with the suppressed rows, is the sum of everything after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CampaignRow {
    #[serde(skip)]
    pub key: RunKey,
    pub campaign: String,
    pub run: String,
    pub state: State,
    /// Of a scheduled run: nothing is sent before this, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// Sealed and free to go, but partitions have as many runs at work as they hold; the oldest seals go first.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub waits_for_turn: bool,
    /// It has messages left, and workers end them as expired instead of sending them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub has_expired: bool,
    pub enqueued: u64,
    pub delivered: u64,
    pub bounced: u64,
    pub dead: u64,
    pub suppressed: u64,
    pub expired: u64,
    pub cancelled: u64,
    pub in_doubt: u64,
    pub retrying: u64,
    pub pending: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Enqueuing,
    Scheduled,
    Sending,
    Paused,
    Cancelled,
    Done,
}

impl CampaignRow {
    /// `pending` is the remainder. Of a cancelled run what is pending or retrying counts as cancelled at once.
    pub fn new(run: &RunFacts, state: RunState, finals: [u64; 7], retrying: u64) -> CampaignRow {
        let get = |end: Final| finals.get(end as usize).copied().unwrap_or_default();
        let enqueued = enqueued(run);
        let unfinished = enqueued.saturating_sub(finals.iter().sum());
        let retrying = retrying.min(unfinished);
        let is_cancelled = state == RunState::Cancelled;
        let live = |count: u64| if is_cancelled { 0 } else { count };
        let state = State::of(run, state, unfinished);
        let not_before = run.manifest.not_before.clone();
        CampaignRow {
            key: run.manifest.key,
            campaign: run.manifest.id.campaign.clone(),
            run: run.manifest.id.run.clone(),
            state,
            not_before: not_before.filter(|_| state == State::Scheduled),
            waits_for_turn: false,
            has_expired: false,
            enqueued,
            delivered: get(Final::Delivered),
            bounced: get(Final::Bounced),
            dead: get(Final::Dead),
            suppressed: get(Final::Suppressed),
            expired: get(Final::Expired),
            cancelled: get(Final::Cancelled) + (unfinished - live(unfinished)),
            in_doubt: get(Final::InDoubt),
            retrying: live(retrying),
            pending: live(unfinished - retrying),
        }
    }

    /// In the order of [`Final::ALL`].
    pub fn finals(&self) -> [u64; 7] {
        [
            self.delivered,
            self.bounced,
            self.dead,
            self.suppressed,
            self.expired,
            self.cancelled,
            self.in_doubt,
        ]
    }

    /// Neither cancelled nor done, and sealed.
    fn is_open(&self) -> bool {
        matches!(
            self.state,
            State::Scheduled | State::Sending | State::Paused
        )
    }

    /// Messages that may be sent now, pending and retrying.
    pub fn lag(&self) -> u64 {
        match self.state == State::Sending && !self.has_expired {
            true => self.unfinished(),
            false => 0,
        }
    }

    /// Pending and retrying.
    pub fn unfinished(&self) -> u64 {
        self.pending + self.retrying
    }
}

impl State {
    fn of(run: &RunFacts, state: RunState, unfinished: u64) -> State {
        match state {
            RunState::Enqueuing | RunState::Dropped => State::Enqueuing,
            RunState::Cancelled => State::Cancelled,
            _ if unfinished == 0 && run.is_complete() => State::Done,
            RunState::Paused => State::Paused,
            RunState::Scheduled(_) => State::Scheduled,
            RunState::Sending => State::Sending,
        }
    }
}

/// Rows that are in chunks, suppressed ones included; of an unsealed run what its batches say.
pub fn enqueued(run: &RunFacts) -> u64 {
    let rows = |tally: &Tally| tally.enqueued + tally.suppressed;
    match &run.seal {
        Some(seal) => rows(&seal.tally),
        // A batch's tally has all batches before it.
        None => run
            .batches
            .values()
            .next_back()
            .map_or(0, |batch| rows(&batch.tally)),
    }
}

/// Runs from recipients files in the order of their manifests; void ones and replays are not among them.
pub fn origins<'a>(view: &'a View, campaign: Option<&str>) -> Vec<&'a RunFacts> {
    let mut runs: Vec<&RunFacts> = view
        .ledger
        .runs()
        .filter(|run| run.manifest.replay_of.is_none() && run.dropped.is_none())
        .filter(|run| campaign.is_none_or(|name| run.manifest.id.campaign == name))
        .collect();
    runs.sort_by_key(|run| run.manifest_offset);
    runs
}

/// As the workers have counted: a run's own chunks and those of its replays, less the letters that were sent again.
pub fn counted(view: &View, namings: &[Naming], run: &RunFacts, now: SystemTime) -> CampaignRow {
    let key = run.manifest.key;
    let (mut all, mut tiers) = (Counters::default(), Counters::default());
    let replays = view
        .ledger
        .runs()
        .filter(|other| other.manifest.replay_of == Some(key));
    for part in std::iter::once(run).chain(replays) {
        let (whole, in_tiers) = view.counters(part);
        all += whole;
        tiers += in_tiers;
    }
    let mut finals = all.finals;
    for naming in namings
        .iter()
        .filter(|naming| naming.origin == key && naming.is_replayed())
    {
        for letter in &naming.letters {
            let end = if letter.in_doubt {
                Final::InDoubt
            } else {
                Final::Dead
            };
            if let Some(count) = finals.get_mut(end as usize) {
                *count = count.saturating_sub(1);
            }
        }
    }
    let retrying = all.moved.saturating_sub(tiers.left());
    let mut row = CampaignRow::new(run, view.ledger.run_state(key, now), finals, retrying);
    row.has_expired = row.is_open() && row.unfinished() > 0 && view.ledger.has_expired(key, now);
    row.waits_for_turn = row.state == State::Sending && view.strings.leave_no_room_for(key);
    row
}
