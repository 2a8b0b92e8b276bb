//! The partitions that this worker owns, each with what is known only as long as it is owned.

use crate::domain::chunk::MAX_COMPRESSED_BYTES;
use crate::domain::ids::Offset;
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::worker::lanes::MOST_SLOTS;
use crate::engine::worker::settings::SiteLimit;
use crate::protocol::Machine;
use crate::protocol::invariant::Broken;
use crate::protocol::machine::{CycleView, Limits, Want};
use crate::queue::{Commit, Token};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// Bytes of messages that a worker holds at most, beside one chunk a partition.
const MAX_HELD_BYTES: usize = 64 << 20;

/// A partition under one ownership.
struct Owned {
    machine: Machine,
    /// A read is under way.
    is_reading: bool,
    /// When nothing was found at its end.
    empty_at: Option<Duration>,
    /// It is being given up, and may drain until then.
    drain_by: Option<Duration>,
    /// When the last acknowledged commit was sent.
    committed_at: Option<Duration>,
}

/// A read that should be started.
pub struct ReadJob {
    pub at: TopicPartition,
    pub token: Token,
    pub epoch: u64,
    pub want: Want,
}

/// What all partitions together may do in one commit.
pub struct CommitLimits<'a> {
    /// Claims to take at most.
    pub claims: usize,
    /// Claimed and not done in all commits together, at most.
    pub max_uncommitted: usize,
    /// Log ends as they were before the ledger was read to its end.
    pub ends: &'a BTreeMap<TopicPartition, Offset>,
    /// Claims whose last commit was sent before this are renewed.
    pub renew_before: Option<Duration>,
}

#[derive(Default)]
pub struct Partitions {
    owned: BTreeMap<TopicPartition, Owned>,
    /// Owned and not worked on.
    stopped: BTreeSet<TopicPartition>,
    /// Which partition claims first in the next commit.
    turn: usize,
}

impl Partitions {
    pub fn gain(&mut self, machine: Machine) {
        self.stopped.remove(&machine.at());
        let owned = Owned {
            is_reading: false,
            empty_at: None,
            drain_by: None,
            committed_at: None,
            machine,
        };
        self.owned.insert(owned.machine.at(), owned);
    }

    pub fn remove(&mut self, at: TopicPartition) -> Option<Machine> {
        self.owned.remove(&at).map(|owned| owned.machine)
    }

    /// Marks a partition as owned and not worked on. `false`: it was already.
    pub fn stop_partition(&mut self, at: TopicPartition) -> bool {
        self.stopped.insert(at)
    }

    pub fn is_any_stopped(&self) -> bool {
        !self.stopped.is_empty()
    }

    pub fn stopped(&self) -> usize {
        self.stopped.len()
    }

    pub fn count(&self) -> usize {
        self.owned.len()
    }

    /// Another worker may own it now.
    pub fn no_longer_stopped(&mut self, at: TopicPartition) {
        self.stopped.remove(&at);
    }

    pub fn is_empty(&self) -> bool {
        self.owned.is_empty()
    }

    pub fn names(&self) -> Vec<TopicPartition> {
        self.owned.keys().copied().collect()
    }

    pub fn of_send(&self) -> Vec<TopicPartition> {
        let owned = self.owned.keys().copied();
        owned.filter(|at| at.topic == Topic::Send).collect()
    }

    pub fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.owned.values().map(|owned| &owned.machine)
    }

    pub fn get(&self, at: TopicPartition) -> Option<&Machine> {
        self.owned.get(&at).map(|owned| &owned.machine)
    }

    pub fn get_mut(&mut self, at: TopicPartition) -> Option<&mut Machine> {
        self.owned.get_mut(&at).map(|owned| &mut owned.machine)
    }

    /// The partition, if it is owned under this token.
    pub fn under(&mut self, at: TopicPartition, token: Token) -> Option<&mut Machine> {
        self.get_mut(at).filter(|machine| machine.token() == token)
    }

    /// Claimed and not done, over all partitions.
    pub fn uncommitted(&self) -> usize {
        self.machines().map(Machine::uncommitted).sum()
    }

    /// Messages of open chunks that are not claimed, by site.
    pub fn unclaimed(&self) -> BTreeMap<Rc<str>, usize> {
        let mut counts: BTreeMap<Rc<str>, usize> = BTreeMap::new();
        for (site, count) in self.machines().flat_map(Machine::unclaimed) {
            *counts.entry(site.clone()).or_default() += count;
        }
        counts
    }

    /// When the next message of a retry tier is due.
    pub fn next_due(&self, now: SystemTime) -> Option<SystemTime> {
        self.machines()
            .filter_map(|machine| machine.next_due(now))
            .min()
    }

    /// Stops claiming; the partition is released when it is drained, at the latest at `by`.
    pub fn drain(&mut self, at: TopicPartition, by: Duration) {
        if let Some(owned) = self.owned.get_mut(&at) {
            owned.machine.drain();
            owned.drain_by.get_or_insert(by);
        }
    }

    /// Drains all, until then.
    pub fn drain_all(&mut self, by: Duration) {
        for owned in self.owned.values_mut() {
            owned.machine.drain();
            owned.drain_by = Some(by);
        }
    }

    /// Those that are drained, or whose time to drain is over, with their tokens.
    pub fn to_release(&self, now: Duration) -> Vec<(TopicPartition, Token)> {
        let owned = self.owned.iter();
        owned
            .filter(|(_, owned)| {
                let by = owned.drain_by;
                by.is_some_and(|by| owned.machine.is_drained() || by <= now)
            })
            .map(|(at, owned)| (*at, owned.machine.token()))
            .collect()
    }

    /// A read has come back, for an ownership that goes on.
    pub fn read_ended(&mut self, at: TopicPartition) {
        if let Some(owned) = self.owned.get_mut(&at) {
            owned.is_reading = false;
        }
    }

    /// Nothing was found at the end of a tier.
    pub fn found_empty(&mut self, at: TopicPartition, now: Duration) {
        if let Some(owned) = self.owned.get_mut(&at) {
            owned.empty_at = Some(now);
        }
    }

    /// Something was appended to a tier.
    pub fn appended_to(&mut self, at: TopicPartition) {
        if let Some(owned) = self.owned.get_mut(&at) {
            owned.empty_at = None;
        }
    }

    /// The reads to start now, within what may be held in memory. A tier that was found empty after `empty_since` is
    /// not read again yet.
    pub fn reads(&mut self, view: &CycleView, empty_since: Option<Duration>) -> Vec<ReadJob> {
        let mut held: usize = self.machines().map(Machine::held_bytes).sum();
        if held >= MAX_HELD_BYTES {
            let owned = self.owned.values_mut();
            owned.for_each(|owned| owned.machine.unload(view));
            held = self.machines().map(Machine::held_bytes).sum();
        }
        let mut jobs = Vec::new();
        for (at, owned) in &mut self.owned {
            let is_empty = owned.empty_at.is_some_and(|at| Some(at) > empty_since);
            if owned.is_reading || is_empty {
                continue;
            }
            let Some(want) = owned.machine.want(view) else {
                continue;
            };
            let is_new = matches!(want, Want::Next { .. } | Want::NextOfTier { .. });
            let has_chunks = owned.machine.held_bytes() > 0;
            if is_new && has_chunks && held >= MAX_HELD_BYTES {
                continue;
            }
            if is_new {
                // A chunk's size is not known before it is read; the next call counts what it really holds.
                held += MAX_COMPRESSED_BYTES;
            }
            owned.is_reading = true;
            jobs.push(ReadJob {
                at: *at,
                token: owned.machine.token(),
                epoch: owned.machine.epoch(),
                want,
            });
        }
        jobs
    }

    /// How many messages to each of these sites could be claimed if the site had slots for them.
    pub fn sendable(
        &self,
        view: &CycleView,
        sites: &BTreeMap<String, SiteLimit>,
    ) -> BTreeMap<String, usize> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for machine in self.machines() {
            let is_limited = |site: &str| sites.contains_key(site);
            let sendable = machine.sendable(is_limited, view, MOST_SLOTS);
            for (site, count) in sendable.filter(|(_, count)| *count > 0) {
                *counts.entry(site.to_string()).or_default() += count;
            }
        }
        counts
    }

    /// How many messages could be claimed now, counted no further than `limit`.
    pub fn claimable(&self, view: &CycleView, limit: usize) -> usize {
        let mut count = 0;
        for machine in self.machines() {
            if count >= limit {
                break;
            }
            count += machine.claimable(view, limit - count);
        }
        count
    }

    pub fn committed(&mut self, at: TopicPartition, sent_at: Duration) {
        if let Some(owned) = self.owned.get_mut(&at) {
            owned.committed_at = Some(sent_at);
        }
    }

    /// Returns how many messages count against the worker's bound beside those of the machines: partitions that commit
    /// nothing now have released them, but their last commits still claim them.
    fn prepare(&mut self, view: &CycleView, broken: &mut Vec<Broken>) -> usize {
        let machines = self.owned.values_mut().map(|owned| &mut owned.machine);
        let mut released = 0;
        for machine in machines {
            let commits = may_commit(machine)
                && match machine.prepare(view) {
                    // A run that came back may have chunks to be read first.
                    Ok(()) => may_commit(machine) && !machine.awaits_base(),
                    Err(error) => {
                        broken.push(error);
                        false
                    }
                };
            if !commits {
                released += machine.released();
            }
        }
        released
    }

    /// One commit for each partition that has something to say. Partitions take turns to claim first, and those with
    /// work get equal parts of the claims.
    pub fn compose(
        &mut self,
        view: &CycleView,
        limits: &CommitLimits,
    ) -> (Vec<Commit>, Vec<Broken>) {
        let mut order = self.names();
        let count = order.len().max(1);
        order.rotate_left(self.turn % count);
        self.turn = self.turn.wrapping_add(1);
        let (mut commits, mut broken) = (Vec::new(), Vec::new());
        let released = self.prepare(view, &mut broken);
        let bound = limits.max_uncommitted;
        let free = bound.saturating_sub(self.uncommitted() + released);
        let mut left = limits.claims.min(free);
        let has_work = |machine: &Machine| machine.claimable(view, 1) > 0;
        let mut sharers = self.machines().filter(|one| has_work(one)).count().max(1);
        for at in order {
            let Some(owned) = self.owned.get_mut(&at) else {
                continue;
            };
            let renew = owned.committed_at <= limits.renew_before;
            let machine = &mut owned.machine;
            if !may_commit(machine) || broken.iter().any(|error: &Broken| error.at == at) {
                continue;
            }
            let has_work = has_work(machine);
            let before = machine.uncommitted();
            let own = Limits {
                claims: left.div_ceil(sharers),
                end: limits.ends.get(&at).copied(),
                renew,
            };
            match machine.compose(view, own) {
                Ok(Some(draft)) => commits.push(Commit {
                    at,
                    token: machine.token(),
                    offset: draft.offset,
                    text: draft.text,
                }),
                Ok(None) => {}
                Err(error) => {
                    broken.push(error);
                    continue;
                }
            }
            left = left.saturating_sub(machine.uncommitted().saturating_sub(before));
            sharers = sharers.saturating_sub(usize::from(has_work)).max(1);
        }
        (commits, broken)
    }
}

/// Nothing of it is unread, or its epoch is to be committed, for which nothing must be read.
pub(super) fn may_commit(machine: &Machine) -> bool {
    machine.missing().is_none() || machine.is_fencing()
}
