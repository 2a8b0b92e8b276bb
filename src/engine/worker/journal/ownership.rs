//! Gaining partitions, giving them up, and losing them.

use super::Journal;
use crate::domain::ids::Offset;
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::starting_point::starting_point;
use crate::engine::worker::checkpoints::Durable;
use crate::engine::worker::records::{self, RecordBuilder};
use crate::engine::worker::settings::{Notice, WorkerError};
use crate::protocol::Machine;
use crate::protocol::checkpoint::{Position, Start};
use crate::protocol::invariant::{Broken, Invariant};
use crate::protocol::machine::{Gain, PendingEvent, Rules};
use crate::protocol::progress::MAX_OPEN;
use crate::queue::{Ownership, Token};
use std::time::Duration;

/// A partition that is revoked drains for at most this long.
const REBALANCE_DRAIN: Duration = Duration::from_secs(10);
/// Rendered bytes of one move: its one record fits then, whatever it compresses to.
const MOVE_BYTES: usize = 512 * 1024;

impl Journal {
    /// Takes the changes of ownership so far, in order. Changes that come during it wait for the next cycle, because a
    /// worker that stops releases what it gains, and may gain it again at once: it would do nothing else.
    pub(super) async fn take_changes(&mut self) {
        for change in self.inbox.changes() {
            match change {
                Ownership::Gained { at, token } => self.gain(at, token).await,
                Ownership::Losing { at, token } => self.give_up(at, token).await,
                Ownership::Uncertain { .. } => {}
                Ownership::Lost { at, token } => self.lose(at, token),
            }
        }
    }

    async fn gain(&mut self, at: TopicPartition, token: Token) {
        if self.stopping.is_begun() {
            return self.membership.release(at, token).await;
        }
        if self.partitions.get(at).is_some() {
            let broken = Broken::new(at, Invariant::OwnedOnce, format!("token {token}"));
            return self.stop_partition(at, broken.to_string());
        }
        match self.take_over(at, token).await {
            Ok(machine) => {
                tracing::info!(%at, epoch = machine.epoch(), "partition gained");
                self.partitions.gain(machine);
            }
            Err(_) if self.stopping.is_begun() || self.setup.queue.check().is_err() => {
                self.membership.release(at, token).await
            }
            Err(why) => self.stop_partition(at, why),
        }
    }

    async fn take_over(&mut self, at: TopicPartition, token: Token) -> Result<Machine, String> {
        let mut last = None;
        loop {
            let (committed, low) = self.last_commit(at).await?;
            // After the commit, so that the base that it refers to is in the ledger.
            self.followed
                .refresh_ledger(self.setup.queue.as_ref())
                .await
                .map_err(|error| error.to_string())?;
            let text = committed.as_ref().map(|(_, text)| text.clone());
            let committed = self.starting_point(at, committed).await?;
            let gain = Gain {
                at,
                token,
                owner: self.setup.name.clone(),
                committed,
                low,
                bases: self.followed.ledger.base_ids(at).collect(),
                sites: self.setup.groups.clone(),
            };
            let bases = self.followed.ledger.bases(at);
            match Machine::gain(gain, &bases, self.rules()) {
                // Another owner has committed since, and has deleted the base of the commit that was read here.
                Err(error) if error.is_missing_base() && text != last => last = text,
                gained => return gained.map_err(|error| error.to_string()),
            }
        }
    }

    /// The partition's last commit, and its low watermark.
    async fn last_commit(&self, at: TopicPartition) -> Result<(Option<Position>, Offset), String> {
        let queue = self.setup.queue.as_ref();
        let committed = queue.committed(&[at]).await;
        let committed = committed.map_err(|error| error.to_string())?;
        let Some(committed) = committed.into_iter().next() else {
            let invariant = Invariant::QueueAnswersForEach;
            return Err(Broken::new(at, invariant, "commits").to_string());
        };
        let bounds = queue.bounds(at).await.map_err(|error| error.to_string())?;
        let committed = committed.map(|last| (last.offset, last.text));
        Ok((committed, bounds.low_watermark))
    }

    fn rules(&self) -> Rules {
        Rules {
            jitter: self.setup.retry.jitter,
            parking: self.schedule.shortest(),
            move_bytes: MOVE_BYTES,
            max_text: self.setup.max_text,
            max_open: MAX_OPEN,
            base_after: self.setup.base_after,
        }
    }

    /// Where to start in a partition that was gained. Errors: the queue's; or the commit is lost, and the worker stops.
    async fn starting_point(
        &mut self,
        at: TopicPartition,
        committed: Option<Position>,
    ) -> Result<Option<Position>, String> {
        let queue = self.setup.queue.clone();
        if !queue.commits_expire() {
            return Ok(committed);
        }
        let checkpoint = self.followed.ledger.checkpoint(at);
        let found = starting_point(queue.as_ref(), at, committed, checkpoint).await;
        match found.map_err(|error| error.to_string())? {
            Start::Committed(position) => Ok(Some(position)),
            Start::Restored(position) => {
                tracing::info!(%at, "the commit is lost; continuing from the last owner's checkpoint");
                Ok(Some(position))
            }
            Start::Fresh => Ok(None),
            Start::Lost => {
                let error = WorkerError::CommitsLost(vec![at]);
                let why = error.to_string();
                self.fail_with(error);
                Err(why)
            }
        }
    }

    /// Stops work on a partition with a record that cannot be read, or a broken invariant. It stays owned, because the
    /// next owner would fail in the same way; the others go on. Nothing more is committed there, so its next owner
    /// continues from the last acknowledged commit.
    pub(super) fn stop_partition(&mut self, at: TopicPartition, why: String) {
        // Marked before it is forgotten, because its late answers may break the same invariant again.
        if self.partitions.stop_partition(at) {
            let partition = at.topic.name(&self.setup.env) + "/" + &at.partition.to_string();
            self.observer
                .notice(Notice::PartitionStopped { partition, why });
        }
        self.forget(at);
    }

    pub(super) fn or_stop_partition<T>(
        &mut self,
        at: TopicPartition,
        step: Result<T, Broken>,
    ) -> Option<T> {
        match step {
            Ok(done) => Some(done),
            Err(broken) => {
                self.stop_partition(at, broken.to_string());
                None
            }
        }
    }

    async fn give_up(&mut self, at: TopicPartition, token: Token) {
        let Some(machine) = self.partitions.under(at, token) else {
            return self.membership.release(at, token).await;
        };
        if machine.is_taking_over() {
            self.close_checkpoints(&[at]).await;
            self.forget(at);
            return self.membership.release(at, token).await;
        }
        let by = self.setup.clock.since_boot() + REBALANCE_DRAIN;
        self.partitions.drain(at, by);
        self.lanes.take_back(at);
    }

    /// Ownership is gone: answers without a durable event get one under the old epoch, and nothing else follows.
    pub(super) fn lose(&mut self, at: TopicPartition, token: Token) {
        self.checkpoints.forget(at, token);
        self.partitions.no_longer_stopped(at);
        if self.partitions.under(at, token).is_some() {
            self.forget(at);
        }
    }

    pub(super) fn forget(&mut self, at: TopicPartition) {
        let Some(machine) = self.partitions.remove(at) else {
            return;
        };
        tracing::info!(%at, epoch = machine.epoch(), "partition left");
        self.lanes.disown(at);
        self.letter_events.forget(at);
        for event in machine.abandon() {
            self.add_late(&event);
        }
    }

    /// An outcome of an earlier ownership: if it is certain it gets its event, under the epoch of its claim. It
    /// touches no set, because the message is another owner's now.
    pub(super) fn add_late(&mut self, event: &PendingEvent) {
        if !event.outcome.is_certain() {
            return;
        }
        let at = event.message.at;
        let builder = RecordBuilder {
            setup: &self.setup,
            ledger: &self.followed.ledger,
            timestamp: self.timestamp(),
        };
        let event = builder.event(event);
        let record = event.and_then(|event| records::record(at, &event));
        if let Some(record) = self.or_stop_partition(at, record) {
            let to = TopicPartition::new(Topic::Event, at.partition);
            self.outbox.add(to, record);
        }
    }

    /// Releases partitions that are drained or out of time.
    pub(super) async fn release_drained(&mut self) {
        let over = self.partitions.to_release(self.setup.clock.since_boot());
        let ending: Vec<TopicPartition> = over.iter().map(|(at, _)| *at).collect();
        self.close_checkpoints(&ending).await;
        for (at, token) in over {
            if self.partitions.under(at, token).is_some() {
                self.forget(at);
                self.membership.release(at, token).await;
            }
        }
    }

    async fn close_checkpoints(&mut self, ending: &[TopicPartition]) {
        let durable = self.checkpoints.close(ending).await;
        self.take_checkpointed(durable);
    }

    pub(super) fn take_checkpointed(&mut self, durable: Durable) {
        for (at, offset) in durable.below {
            self.truncation.allow(at, offset);
        }
        for broken in durable.broken {
            self.stop_partition(broken.at, broken.to_string());
        }
    }
}
