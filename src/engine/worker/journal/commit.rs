//! Second half of a cycle: how much may be claimed, one commit for all partitions, and what it claimed to the lanes.

use super::super::lanes::Handed;
use super::super::pace::horizon;
use super::super::settings::{Notice, WorkerError};
use super::Journal;
use super::gates::Gates;
use crate::domain::address;
use crate::domain::ids::Offset;
use crate::domain::topic::TopicPartition;
use crate::protocol::invariant::{Broken, Invariant};
use crate::protocol::machine::{Limits, Machine};
use crate::queue::{Commit, CommitOutcome};
use std::collections::BTreeMap;

impl Journal {
    /// How many messages may be claimed in this cycle, after the stock of slots was filled for what is there.
    pub(super) async fn claim_room(&mut self) -> usize {
        if self.is_stopping() {
            return 0;
        }
        let uncommitted: usize = self.machines.values().map(Machine::uncommitted).sum();
        let free = self.setup.max_uncommitted.saturating_sub(uncommitted);
        let claimable = self.claimable(free);
        self.ask_slots_at = self
            .lanes
            .fill_paces(claimable, horizon(self.slowest_cycle))
            .await;
        self.lanes.room(free)
    }

    pub(super) fn claimable(&self, limit: usize) -> usize {
        let gates = Gates::new(&self.lanes);
        let now = self.setup.clock.now();
        let moment = gates.moment(&self.ledger, now);
        let mut count = 0;
        for machine in self.machines.values() {
            if count >= limit {
                break;
            }
            count += machine.claimable(&moment, limit - count);
        }
        count
    }

    /// Second half of a cycle: one commit for all partitions, and what it claimed goes to the lanes.
    pub(super) async fn commit(
        &mut self,
        room: usize,
        ends: &BTreeMap<TopicPartition, Offset>,
    ) -> Result<bool, WorkerError> {
        let commits = self.compose(room, ends);
        if commits.is_empty() {
            return Ok(false);
        }
        let sent_at = self.setup.clock.since_boot();
        let outcomes = self.membership.commit(commits.clone()).await;
        let valid_until = sent_at + self.membership.lease() * 2 / 3;
        let mut gained = Vec::new();
        let mut outcomes = outcomes.into_iter();
        for commit in commits {
            match outcomes.next() {
                Some(CommitOutcome::Done) => {
                    self.lanes.renew(commit.at, commit.token, valid_until);
                    self.renewed.insert(commit.at, sent_at);
                    let number = self.committed(&commit);
                    if let Some(number) = self.or_stand_still(commit.at, number)
                        && self.note_commit(&commit, number)
                    {
                        gained.push(commit.at);
                    }
                }
                Some(CommitOutcome::Refused) => self.lose(commit.at, commit.token),
                Some(CommitOutcome::Unknown(why)) => {
                    self.observer.notice(Notice::QueueTrouble(why));
                    self.lose(commit.at, commit.token);
                    self.membership.release(commit.at, commit.token).await;
                }
                None => {
                    let invariant = Invariant::QueueAnswersForEach;
                    let broken = Broken::new(commit.at, invariant, "commits");
                    self.stand_still(commit.at, broken.to_string());
                }
            }
        }
        self.first_checkpoints(&gained).await?;
        Ok(true)
    }

    pub(super) fn compose(
        &mut self,
        room: usize,
        ends: &BTreeMap<TopicPartition, Offset>,
    ) -> Vec<Commit> {
        let gates = Gates::new(&self.lanes);
        let now = self.setup.clock.now();
        let moment = gates.moment(&self.ledger, now);
        let mut order: Vec<TopicPartition> = self.machines.keys().copied().collect();
        let count = order.len().max(1);
        order.rotate_left(self.turn % count);
        self.turn = self.turn.wrapping_add(1);
        let with_work = order.iter().filter(|at| {
            self.machines
                .get(at)
                .is_some_and(|m| m.claimable(&moment, 1) > 0)
        });
        let mut sharers = with_work.count().max(1);
        let boot = self.setup.clock.since_boot();
        let renew_after = self.membership.lease() / 4;
        let mut left = room;
        let (mut commits, mut broken) = (Vec::new(), Vec::new());
        for at in order {
            let Some(machine) = self
                .machines
                .get_mut(&at)
                .filter(|machine| machine.missing().is_none() || machine.is_numbering())
            else {
                continue;
            };
            let has_work = machine.claimable(&moment, 1) > 0;
            let share = left.div_ceil(sharers);
            let renew = self
                .renewed
                .get(&at)
                .is_none_or(|last| *last + renew_after <= boot);
            let limits = Limits {
                claims: share,
                end: ends.get(&at).copied(),
                renew,
            };
            let before = machine.uncommitted();
            match machine.compose(&moment, limits) {
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
        for error in broken {
            self.stand_still(error.at, error.to_string());
        }
        commits
    }

    /// The commit was acknowledged: its claims are handed over. Gives the owner's number.
    fn committed(&mut self, commit: &Commit) -> Result<u64, Broken> {
        let machine = self.machines.get_mut(&commit.at);
        let machine = machine
            .filter(|machine| machine.token() == commit.token)
            .ok_or_else(|| {
                let detail = format!("token {}", commit.token);
                Broken::new(commit.at, Invariant::CommitIsAwaited, detail)
            })?;
        let claimed = machine.committed()?;
        let number = machine.number();
        let handed = claimed.into_iter().map(|open| Handed {
            at: commit.at,
            token: commit.token,
            number,
            slot: open.slot,
            run: open.run,
            site: address::site_of(&open.message.line.address).to_string(),
            message: open.message,
        });
        self.lanes.hand_over(handed.collect());
        // Where commits may be forgotten, checkpoints say what is not needed any more.
        if !self.setup.queue.commits_expire() {
            self.space.may_go(commit.at, commit.offset);
        }
        Ok(number)
    }
}
