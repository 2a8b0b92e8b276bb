//! Gaining, reading for, and giving up partitions: everything about them but the cycle.

use super::journal::Journal;
use super::lanes::Lanes;
use super::reader::{Read, Reader};
use super::settings::Notice;
use super::told::{self, About, Teller};
use crate::domain::chunk::Message;
use crate::domain::counters::Final;
use crate::domain::event::{EventDetails, EventType};
use crate::domain::topic::{Topic, TopicPartition};
use crate::protocol::invariant::{Broken, Invariant};
use crate::protocol::machine::{Gain, Rules, Want};
use crate::protocol::{Fate, Machine};
use crate::queue::{Membership, Ownership, QueueError, Token};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;

/// A partition that another worker should have is drained for at most this long.
pub const REBALANCE_DRAIN: Duration = Duration::from_secs(10);
/// Rendered bytes that a worker holds at most, but for one chunk a partition.
const MAX_DECODED_BYTES: usize = 64 << 20;
/// Rendered bytes of one move, so that its one record fits compressed too.
const MOVE_BYTES: usize = 512 * 1024;

/// A read, and the ownership that it was begun for.
type Finished = (TopicPartition, Token, Result<Read, QueueError>);

/// What tasks beside the journal leave for it.
#[derive(Default)]
pub struct Inbox {
    changes: RefCell<VecDeque<Ownership>>,
    reads: RefCell<Vec<Finished>>,
    pub wake: Notify,
}

impl Inbox {
    /// Passes on what the membership tells, for as long as the task lives. What may not be begun any more the lanes hear
    /// at once: the journal may be waiting for a commit.
    pub async fn listen(self: Rc<Inbox>, membership: Rc<dyn Membership>, lanes: Rc<Lanes>) {
        loop {
            let change = membership.changed().await;
            if let Ownership::Uncertain { at, token } | Ownership::Lost { at, token } = change {
                lanes.doubt(at, token);
            }
            self.changes.borrow_mut().push_back(change);
            self.wake.notify_one();
        }
    }

    fn changes(&self) -> VecDeque<Ownership> {
        self.changes.take()
    }
}

impl Journal {
    /// Takes in what has changed of ownership by now, in order. What changes meanwhile waits for the next time: a
    /// worker that stops gives back whatever it is given, and may be given it again for as long as it does nothing else.
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
        if self.is_stopping() {
            return self.membership.release(at, token).await;
        }
        if self.machines.contains_key(&at) {
            let broken = Broken::new(at, Invariant::OwnedOnce, format!("token {token}"));
            return self.stand_still(at, broken.to_string());
        }
        match self.take_over(at, token).await {
            Ok(machine) => {
                self.standing_still.remove(&at);
                tracing::info!(%at, number = machine.number(), "partition gained");
                self.machines.insert(at, machine);
            }
            Err(_) if self.is_stopping() => self.membership.release(at, token).await,
            Err(why) => self.stand_still(at, why),
        }
    }

    async fn take_over(&mut self, at: TopicPartition, token: Token) -> Result<Machine, String> {
        let committed = self
            .setup
            .queue
            .committed(&[at])
            .await
            .map_err(|error| error.to_string())?;
        let low = self
            .setup
            .queue
            .bounds(at)
            .await
            .map_err(|error| error.to_string())?
            .low_watermark;
        let Some(committed) = committed.into_iter().next() else {
            let invariant = Invariant::QueueAnswersForEach;
            return Err(Broken::new(at, invariant, "commits").to_string());
        };
        let committed = committed.map(|last| (last.offset, last.text));
        let committed = self.starting_point(at, committed).await?;
        let gain = Gain {
            at,
            token,
            owner: self.setup.name.clone(),
            committed,
            low,
        };
        Machine::gain(gain, self.rules()).map_err(|error| error.to_string())
    }

    fn rules(&self) -> Rules {
        Rules {
            jitter: self.setup.retry.jitter,
            parking: self.schedule.shortest(),
            move_bytes: MOVE_BYTES,
        }
    }

    /// A partition with something that cannot be read, or with a broken invariant, is kept and not worked on; the others
    /// go on. Nothing more is committed there, so its next owner finds everything as it was acknowledged last.
    pub(super) fn stand_still(&mut self, at: TopicPartition, why: String) {
        // Before it is forgotten: what was answered there may break the same invariant, and is not worth a notice each.
        if self.standing_still.insert(at) {
            let partition = at.topic.name(&self.env()) + "/" + &at.partition.to_string();
            self.observer
                .notice(Notice::PartitionStopped { partition, why });
        }
        self.forget(at);
    }

    pub(super) fn or_stand_still<T>(
        &mut self,
        at: TopicPartition,
        step: Result<T, Broken>,
    ) -> Option<T> {
        match step {
            Ok(done) => Some(done),
            Err(broken) => {
                self.stand_still(at, broken.to_string());
                None
            }
        }
    }

    async fn give_up(&mut self, at: TopicPartition, token: Token) {
        let Some(machine) = self
            .machines
            .get_mut(&at)
            .filter(|machine| machine.token() == token)
        else {
            return self.membership.release(at, token).await;
        };
        if machine.is_taking_over() {
            self.last_words(&[at]).await;
            self.forget(at);
            return self.membership.release(at, token).await;
        }
        machine.drain();
        self.lanes.take_back(at);
        let until = self.setup.clock.since_boot() + REBALANCE_DRAIN;
        self.leaving.entry(at).or_insert(until);
    }

    /// Ownership is gone: what was answered and not told gets its event under the old number, nothing else.
    pub(super) fn lose(&mut self, at: TopicPartition, token: Token) {
        self.forget_commit(at, token);
        self.standing_still.remove(&at);
        if self
            .machines
            .get(&at)
            .is_some_and(|machine| machine.token() == token)
        {
            self.forget(at);
        }
    }

    pub(super) fn forget(&mut self, at: TopicPartition) {
        let Some(machine) = self.machines.remove(&at) else {
            return;
        };
        tracing::info!(%at, number = machine.number(), "partition left");
        self.leaving.remove(&at);
        self.reading.remove(&at);
        self.lanes.disown(at);
        self.ends.retain(|(partition, _), _| *partition != at);
        for report in machine.abandon() {
            let about = About::from(&report.message);
            if let Some(kind) = late_kind(report.fate) {
                self.late(&about, &report.message.message, kind, &report.note);
            }
        }
    }

    /// A result of an earlier ownership: an event that the relay took or refused it, and nothing more.
    pub(super) fn late(
        &mut self,
        about: &About,
        message: &Message,
        kind: EventType,
        note: &EventDetails,
    ) {
        if !matches!(kind, EventType::Delivered | EventType::Bounced) {
            return;
        }
        let teller = Teller {
            setup: &self.setup,
            ledger: &self.ledger,
            timestamp: self.timestamp(),
        };
        let event = teller.about(about, message, kind, true, note);
        let record = event.and_then(|event| told::record(about.at, &event));
        if let Some(record) = self.or_stand_still(about.at, record) {
            let to = TopicPartition::new(Topic::Event, about.at.partition);
            self.late_events.push((to, record));
        }
    }

    /// Hands what was read to the machines that asked for it.
    pub(super) fn take_reads(&mut self) {
        let reads = std::mem::take(&mut *self.inbox.reads.borrow_mut());
        for (at, token, read) in reads {
            let Some(machine) = self
                .machines
                .get_mut(&at)
                .filter(|machine| machine.token() == token)
            else {
                continue;
            };
            self.reading.remove(&at);
            let taken = match read {
                Ok(Read::Contents(offset, chunk, appended_at)) => {
                    machine.supply(offset, chunk, appended_at)
                }
                Ok(Read::Found(found)) => machine.found(found),
                Ok(Read::Nothing) => {
                    self.empty_at.insert(at, self.setup.clock.since_boot());
                    Ok(())
                }
                Err(QueueError::BelowLowWatermark { low_watermark, .. }) => {
                    machine.raise_low_watermark(low_watermark)
                }
                Err(error @ (QueueError::BadRecord { .. } | QueueError::Damaged { .. })) => {
                    self.stand_still(at, error.to_string());
                    Ok(())
                }
                Err(error) => {
                    self.observer
                        .notice(Notice::QueueTrouble(error.to_string()));
                    Ok(())
                }
            };
            self.or_stand_still(at, taken);
        }
    }

    /// Starts a read for each machine that wants one, within what may be held in memory.
    pub(super) fn start_reads(&mut self, wants: Vec<(TopicPartition, Token, Want)>) {
        let mut held: usize = self.machines.values().map(Machine::decoded_bytes).sum();
        for (at, token, want) in wants {
            let Some(machine) = self.machines.get(&at) else {
                continue;
            };
            let has_chunks = machine.decoded_bytes() > 0;
            let is_new = matches!(want, Want::Next { .. } | Want::Due { .. });
            if self.reading.contains(&at) || (is_new && has_chunks && held >= MAX_DECODED_BYTES) {
                continue;
            }
            // A chunk's size is not known before it is read; the next look at the machines has it.
            held += if is_new {
                crate::domain::chunk::MAX_COMPRESSED_BYTES
            } else {
                0
            };
            self.reading.insert(at);
            let inbox = self.inbox.clone();
            let reader = Reader {
                queue: self.setup.queue.clone(),
                at,
                number: machine.number(),
                threads: self.setup.decode_on_threads,
            };
            tokio::task::spawn_local(async move {
                let read = reader.read(want).await;
                inbox.reads.borrow_mut().push((at, token, read));
                inbox.wake.notify_one();
            });
        }
    }

    /// Releases what is drained, or has been drained for long enough.
    pub(super) async fn release_drained(&mut self) {
        let now = self.setup.clock.since_boot();
        let leaving = self.leaving.iter().map(|(at, until)| (*at, *until));
        let over: Vec<TopicPartition> = leaving
            .filter(|(at, until)| {
                let drained = self.machines.get(at).is_none_or(Machine::is_drained);
                drained || *until <= now
            })
            .map(|(at, _)| at)
            .collect();
        self.last_words(&over).await;
        for at in over {
            self.leaving.remove(&at);
            if let Some(token) = self.machines.get(&at).map(Machine::token) {
                self.forget(at);
                self.membership.release(at, token).await;
            }
        }
    }
}

/// What is told of an attempt whose ownership is over: that the relay took the message, or refused it for good.
pub(super) fn late_kind(fate: Fate) -> Option<EventType> {
    match fate {
        Fate::Ended(end @ (Final::Delivered | Final::Bounced)) => Some(EventType::from(end)),
        _ => None,
    }
}
