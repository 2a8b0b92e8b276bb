//! What is left to do, as `send --drain` and `run` decide it: from cursors, sets and ends of logs, never from
//! counters. Cheap enough to ask twice a second: one request for the strings, a few headers for each tier.

use crate::domain::ids::RunKey;
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::read_model::AccountError;
use crate::engine::read_model::tiers::{Waiting, waiting};
use crate::engine::read_model::view::{Strings, refresh};
use crate::protocol::ledger::Standing;
use crate::protocol::{Ledger, RunFacts};
use crate::queue::Queue;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::SystemTime;

/// Unread chunks looked at in one partition of a tier, where those of paused runs lie before others.
const PEEK_RECORDS: usize = 256;

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
    let look = Look { ledger, only, now };
    let mut remaining = Remaining::default();
    for run in look.ledger.runs() {
        look.run(run, &strings, &mut remaining);
    }
    for progress in strings.at.values().flatten() {
        let moving = progress.moving.iter().map(|decided| decided.run);
        for key in progress.open.values().map(|chunk| chunk.run).chain(moving) {
            look.note(key, &mut remaining);
        }
    }
    for at in strings.at.keys() {
        if matches!(at.topic, Topic::Retry(_)) {
            look.tier(queue, &strings, *at, &mut remaining).await?;
        }
    }
    Ok(remaining)
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

    fn run(&self, run: &RunFacts, strings: &Strings, remaining: &mut Remaining) {
        let key = run.manifest.key;
        let standing = self.ledger.standing(key, self.now);
        if matches!(standing, Standing::Cancelled | Standing::Dropped) || !self.is_asked(key) {
            return;
        }
        if !run.is_complete() {
            remaining.unsealed.insert(self.ledger.counts_for(key));
        }
        if self.is_unread(run, strings) {
            self.note(key, remaining);
        }
    }

    /// A sealed chunk of the run in send is not opened.
    fn is_unread(&self, run: &RunFacts, strings: &Strings) -> bool {
        let partitions = strings.at.keys().filter(|at| at.topic == Topic::Send);
        partitions.copied().any(|at| {
            let cursor = strings.cursor(run, at);
            let last = run.last(at.partition);
            last.is_some_and(|last| cursor.next <= last) || !cursor.left_open.is_empty()
        })
    }

    /// Something of this run is not finished in send or in an open chunk.
    fn note(&self, key: RunKey, remaining: &mut Remaining) {
        if !self.is_asked(key) {
            return;
        }
        let origin = self.ledger.counts_for(key);
        match self.ledger.standing(key, self.now) {
            Standing::Cancelled | Standing::Dropped => {}
            Standing::Enqueuing => {
                remaining.unsealed.insert(origin);
            }
            Standing::Scheduled(at) => {
                remaining.scheduled.insert(origin, at);
            }
            Standing::Paused => {
                remaining.paused.insert(origin);
            }
            Standing::Sending => {
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
        let beyond = waiting(queue, strings, at, PEEK_RECORDS, &mut |chunk| {
            if self.wait(chunk, remaining) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .await?;
        if let Some(chunk) = beyond {
            let due_at = remaining
                .beyond
                .map_or(chunk.due_at, |at| at.min(chunk.due_at));
            remaining.beyond = Some(due_at);
        }
        Ok(())
    }

    /// Whether the chunk may go.
    fn wait(&self, chunk: Waiting, remaining: &mut Remaining) -> bool {
        if !self.is_asked(chunk.run) {
            return false;
        }
        if self.ledger.standing(chunk.run, self.now) != Standing::Sending {
            self.note(chunk.run, remaining);
            return false;
        }
        let origin = self.ledger.counts_for(chunk.run);
        let due_at = remaining.retrying.entry(origin).or_insert(chunk.due_at);
        *due_at = chunk.due_at.min(*due_at);
        true
    }
}
