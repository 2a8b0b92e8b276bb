//! What is left to do, as `send --drain` and `run` decide it: from cursors, sets and ends of logs, never from
//! counters. Cheap enough to ask twice a second: one request for the strings, a few headers for each tier.

use crate::domain::ids::RunKey;
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::read_model::AccountError;
use crate::engine::read_model::chunks::{Limits, WaitingChunk, due, waiting};
use crate::engine::read_model::view::{Strings, refresh};
use crate::protocol::ledger::RunState;
use crate::protocol::{Ledger, RunFacts};
use crate::queue::Queue;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::SystemTime;

/// Of one partition of a tier, where chunks of paused runs lie before others.
const LIMITS: Limits = Limits::peek(256);

/// Runs by what holds them; a replay stands for the run that it counts for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remaining {
    /// Have messages that may be sent or must be ended now: not yet read, open, or in a move under way.
    pub pending: BTreeSet<RunKey>,
    /// Have messages in a tier that nobody has opened, with the earliest time that one is due: the first such run of
    /// each partition at the least.
    pub retrying: BTreeMap<RunKey, SystemTime>,
    /// A tier has more than was looked at, due at this time at the earliest.
    pub beyond: Option<SystemTime>,
    /// Unfinished and paused.
    pub paused: BTreeSet<RunKey>,
    /// Unfinished, with the time before which nothing is sent.
    pub scheduled: BTreeMap<RunKey, SystemTime>,
    /// Being enqueued still, or never finished.
    pub unsealed: BTreeSet<RunKey>,
}

impl Remaining {
    /// Nothing that may go is pending or retrying.
    pub fn is_drained(&self) -> bool {
        self.pending.is_empty() && self.retrying.is_empty() && self.beyond.is_none()
    }

    /// When nothing is pending: the time at which the next retry is due.
    pub fn next_due(&self) -> Option<SystemTime> {
        self.retrying.values().copied().chain(self.beyond).min()
    }

    /// Nothing at all is left, held back or not.
    pub fn is_done(&self) -> bool {
        self.is_drained()
            && self.paused.is_empty()
            && self.scheduled.is_empty()
            && self.unsealed.is_empty()
    }
}

/// Brings the ledger to the campaign topic's end first. `only`: this run and its replays.
pub async fn remaining(
    queue: &dyn Queue,
    ledger: &mut Ledger,
    only: Option<RunKey>,
    now: SystemTime,
) -> Result<Remaining, AccountError> {
    let strings = refresh(queue, ledger).await?;
    remaining_in(queue, ledger, &strings, (only, now)).await
}

/// The same, by these commits and a ledger that was read after them.
pub async fn remaining_in(
    queue: &dyn Queue,
    ledger: &Ledger,
    strings: &Strings,
    (only, now): (Option<RunKey>, SystemTime),
) -> Result<Remaining, AccountError> {
    let look = Look { ledger, only, now };
    let mut remaining = Remaining::default();
    for run in look.ledger.runs() {
        look.run(run, strings, &mut remaining)?;
    }
    for progress in strings.at.values().flatten() {
        let moving = progress.moving.iter().map(|decided| decided.run);
        for key in progress.open.values().map(|chunk| chunk.run).chain(moving) {
            look.note(key, &mut remaining);
        }
    }
    for at in strings.at.keys() {
        if matches!(at.topic, Topic::Retry(_)) {
            look.tier(queue, strings, *at, &mut remaining).await?;
        }
    }
    Ok(remaining)
}

/// Partitions with messages that may be sent now, open or unread. `only`: of this run and its replays.
pub fn pending_at(
    ledger: &Ledger,
    strings: &Strings,
    (only, now): (Option<RunKey>, SystemTime),
) -> Result<BTreeSet<TopicPartition>, AccountError> {
    let look = Look { ledger, only, now };
    let may_go = |key| look.is_asked(key) && ledger.may_send(key, now);
    let mut found = BTreeSet::new();
    for (at, progress) in &strings.at {
        let open = progress.iter().flat_map(|progress| progress.open.values());
        if open.map(|chunk| chunk.run).any(may_go) {
            found.insert(*at);
        }
        for run in ledger.runs().filter(|run| may_go(run.manifest.key)) {
            if at.topic == Topic::Send && is_unread_at(run, strings, *at)? {
                found.insert(*at);
            }
        }
    }
    Ok(found)
}

struct Look<'a> {
    ledger: &'a Ledger,
    only: Option<RunKey>,
    now: SystemTime,
}

impl Look<'_> {
    fn is_asked(&self, key: RunKey) -> bool {
        self.only
            .is_none_or(|only| only == self.ledger.counts_for(key))
    }

    fn run(
        &self,
        run: &RunFacts,
        strings: &Strings,
        remaining: &mut Remaining,
    ) -> Result<(), AccountError> {
        let key = run.manifest.key;
        let state = self.ledger.run_state(key, self.now);
        if matches!(state, RunState::Cancelled | RunState::Dropped) || !self.is_asked(key) {
            return Ok(());
        }
        if !run.is_complete() {
            remaining.unsealed.insert(self.ledger.counts_for(key));
        }
        if is_unread(run, strings)? {
            self.note(key, remaining);
        }
        Ok(())
    }

    /// Something of this run is not finished in send or in an open chunk.
    fn note(&self, key: RunKey, remaining: &mut Remaining) {
        if !self.is_asked(key) {
            return;
        }
        let origin = self.ledger.counts_for(key);
        match self.ledger.run_state(key, self.now) {
            RunState::Cancelled | RunState::Dropped => {}
            RunState::Enqueuing => {
                remaining.unsealed.insert(origin);
            }
            RunState::Scheduled(at) => {
                remaining.scheduled.insert(origin, at);
            }
            RunState::Paused => {
                remaining.paused.insert(origin);
            }
            RunState::Sending => {
                remaining.pending.insert(origin);
            }
        }
    }

    /// The first unread chunk that may go: due times grow with offsets.
    async fn tier(
        &self,
        queue: &dyn Queue,
        strings: &Strings,
        at: TopicPartition,
        remaining: &mut Remaining,
    ) -> Result<(), AccountError> {
        let Topic::Retry(delay) = at.topic else {
            return Ok(());
        };
        let waited = waiting(queue, strings, at, LIMITS, &mut |chunk| {
            let may_go = chunk.is_ok_and(|WaitingChunk { head, stored }| {
                self.wait(head.key, due(stored.appended_at, delay), remaining)
            });
            match may_go {
                true => ControlFlow::Break(()),
                // The worker that owns the partition stops it at a chunk that cannot be read, and names the chunk.
                false => ControlFlow::Continue(()),
            }
        })
        .await?;
        if let Some(due_at) = waited.beyond {
            let due_at = remaining.beyond.map_or(due_at, |at| at.min(due_at));
            remaining.beyond = Some(due_at);
        }
        Ok(())
    }

    /// Whether a chunk of the run may go when it is due.
    fn wait(&self, run: RunKey, due_at: SystemTime, remaining: &mut Remaining) -> bool {
        if !self.is_asked(run) {
            return false;
        }
        if self.ledger.run_state(run, self.now) != RunState::Sending {
            self.note(run, remaining);
            return false;
        }
        let origin = self.ledger.counts_for(run);
        let earliest = remaining.retrying.entry(origin).or_insert(due_at);
        *earliest = due_at.min(*earliest);
        true
    }
}

/// A sealed chunk of the run in send is not opened, or one that was left open is not finished.
fn is_unread(run: &RunFacts, strings: &Strings) -> Result<bool, AccountError> {
    let partitions = strings.at.keys().filter(|at| at.topic == Topic::Send);
    for at in partitions {
        if is_unread_at(run, strings, *at)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The same of one partition of send.
fn is_unread_at(
    run: &RunFacts,
    strings: &Strings,
    at: TopicPartition,
) -> Result<bool, AccountError> {
    let cursor = strings.cursor(run, at)?;
    let last = run.last(at.partition);
    Ok(last.is_some_and(|last| cursor.next <= last) || !cursor.left_open.is_empty())
}
