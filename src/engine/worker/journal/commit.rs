//! Second half of a cycle: how much may be claimed, one commit for all partitions, and its claims to the lanes.

use super::Journal;
use super::gates::Gates;
use super::partitions::{CommitLimits, Partitions};
use crate::domain::ids::Offset;
use crate::domain::topic::TopicPartition;
use crate::engine::limits::pace::horizon;
use crate::engine::worker::checkpoints::Durable;
use crate::engine::worker::lanes::InFlight;
use crate::engine::worker::records::CAMPAIGN;
use crate::engine::worker::settings::{Notice, WorkerError};
use crate::protocol::Progress;
use crate::protocol::invariant::{Broken, Invariant};
use crate::protocol::machine::CycleView;
use crate::queue::{Commit, CommitOutcome};
use std::collections::BTreeMap;
use std::rc::Rc;

impl Journal {
    /// How many messages may be claimed in this cycle. Takes slots of the limits for them first.
    pub(super) async fn claim_room(&mut self) -> Result<usize, WorkerError> {
        // Without relays it only settles what others left.
        if self.stopping.is_begun() || self.setup.relays.is_empty() {
            return Ok(0);
        }
        if !self.lanes.may_send() {
            self.lanes.tell_used_up();
            self.timing.ask_slots_at = None;
            return Ok(0);
        }
        let uncommitted = self.partitions.uncommitted();
        let free = self.setup.max_uncommitted.saturating_sub(uncommitted);
        self.lanes.review_sites();
        self.lanes.give_connections_back();
        let horizon = horizon(self.timing.slowest_cycle);
        let sendable = self.view(|partitions, view| partitions.sendable(view, &self.setup.sites));
        let for_sites = self.lanes.fill_sites(&sendable, horizon).await;
        let claimable = self.view(|partitions, view| partitions.claimable(view, free));
        self.reserve(claimable).await?;
        let for_all = self.lanes.fill_paces(claimable, horizon).await;
        self.timing.ask_slots_at = for_sites.into_iter().chain(for_all).min();
        Ok(self.lanes.room(free))
    }

    fn view<T>(&self, look: impl FnOnce(&Partitions, &CycleView) -> T) -> T {
        let gates = Gates::new(&self.lanes);
        let view = gates.view(&self.followed.ledger, self.setup.clock.now());
        look(&self.partitions, &view)
    }

    /// Makes one commit for all partitions and hands its claims to the lanes. `ends`: log ends as they were before the
    /// ledger was read.
    pub(super) async fn commit(
        &mut self,
        room: usize,
        ends: &BTreeMap<TopicPartition, Offset>,
    ) -> Result<bool, WorkerError> {
        let commits = self.compose(room, ends);
        if commits.is_empty() {
            return Ok(false);
        }
        // Claims count from before the commit was sent: the queue may have taken it at any time after that.
        let sent_at = self.setup.clock.since_boot();
        let outcomes = self.membership.commit(commits.clone()).await;
        let valid_until = sent_at + self.membership.lease() * 2 / 3;
        let mut gained = Vec::new();
        let mut outcomes = outcomes.into_iter();
        for commit in commits {
            match outcomes.next() {
                Some(CommitOutcome::Done) => {
                    self.lanes.renew(commit.at, commit.token, valid_until);
                    self.partitions.committed(commit.at, sent_at);
                    let progress = self.committed(&commit);
                    if let Some(progress) = self.or_stop_partition(commit.at, progress)
                        && self.checkpoints.acknowledged(&commit, progress)
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
                    self.stop_partition(commit.at, broken.to_string());
                }
            }
        }
        self.first_checkpoints(&gained).await?;
        Ok(true)
    }

    fn compose(&mut self, claims: usize, ends: &BTreeMap<TopicPartition, Offset>) -> Vec<Commit> {
        let gates = Gates::new(&self.lanes);
        let view = gates.view(&self.followed.ledger, self.setup.clock.now());
        let renew_after = self.membership.lease() / 4;
        let limits = CommitLimits {
            max_uncommitted: self.setup.max_uncommitted,
            claims,
            ends,
            renew_before: self.setup.clock.since_boot().checked_sub(renew_after),
        };
        let (commits, broken) = self.partitions.compose(&view, &limits);
        for error in broken {
            self.stop_partition(error.at, error.to_string());
        }
        commits
    }

    /// The commit was acknowledged: hands its claims over. Returns what the commit says.
    fn committed(&mut self, commit: &Commit) -> Result<Rc<Progress>, Broken> {
        let machine = self.partitions.under(commit.at, commit.token);
        let unawaited = || {
            let detail = format!("token {}", commit.token);
            Broken::new(commit.at, Invariant::CommitIsAwaited, detail)
        };
        let machine = machine.ok_or_else(unawaited)?;
        let claimed = machine.committed()?;
        let progress = machine.acked().cloned().ok_or_else(unawaited)?;
        let in_flight = claimed.into_iter().map(|open| InFlight {
            token: commit.token,
            site: self
                .setup
                .groups
                .of_address(&open.message.line.address)
                .to_string(),
            open,
        });
        self.lanes.hand_over(in_flight.collect());
        // Where commits may be lost, `recover` reads on from the last checkpoint, so only that allows truncation.
        if !self.setup.queue.commits_expire() {
            self.truncation.allow(commit.at, commit.offset);
        }
        Ok(progress)
    }

    /// Writes the first checkpoint of partitions whose first commit was acknowledged, until it is durable. Nothing is
    /// claimed there before: a lost commit without a checkpoint would then look like a partition that never had an
    /// owner.
    async fn first_checkpoints(&mut self, gained: &[TopicPartition]) -> Result<(), WorkerError> {
        if gained.is_empty() {
            return Ok(());
        }
        let batch = self.checkpoints.first(gained, &self.followed.ledger);
        for record in batch.records {
            self.outbox.add(CAMPAIGN, record);
        }
        self.outbox.flush().await?;
        let below = self.checkpoints.appended(&batch.of);
        let broken = batch.broken;
        self.take_checkpointed(Durable { below, broken });
        Ok(())
    }
}
