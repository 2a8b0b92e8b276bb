//! First half of a cycle: everything that the next commit builds on becomes durable.

use super::super::settings::{Notice, WorkerError};
use super::super::told::{self, About, Teller};
use super::gates::Gates;
use super::{Journal, RETRY_APPEND, campaign_record};
use crate::domain::event::EventType;
use crate::domain::records::CampaignRecord;
use crate::domain::topic::{Topic, TopicPartition};
use crate::protocol::invariant::Broken;
use crate::protocol::machine::{Copy, Tell};
use crate::protocol::{Slot, Target};
use crate::queue::{QueueError, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Records, and where each goes.
type Records = Vec<(TopicPartition, Record)>;

impl Journal {
    /// First half of a cycle: everything that the next commit builds on becomes durable.
    pub(super) async fn tell(&mut self) -> Result<bool, WorkerError> {
        let mut appends: BTreeMap<TopicPartition, Vec<Record>> = BTreeMap::new();
        for (at, record) in self.late_events.drain(..) {
            appends.entry(at).or_default().push(record);
        }
        let mut told = Vec::new();
        for at in self.machines.keys().copied().collect::<Vec<_>>() {
            let Some((tell, records)) = self.tell_one(at) else {
                continue;
            };
            for (to, record) in records {
                appends.entry(to).or_default().push(record);
            }
            told.push((at, tell));
        }
        let suppressions = std::mem::take(&mut self.new_suppressions);
        if !suppressions.is_empty() {
            appends
                .entry(TopicPartition::new(Topic::Suppression, 0))
                .or_default()
                .extend(suppressions);
        }
        let busy = !appends.is_empty();
        self.append_all(appends.into_iter().collect()).await?;
        for (at, tell) in told {
            self.count(&tell);
            if let Some(copy) = &tell.copy {
                let moved: BTreeSet<Slot> = copy.messages.iter().map(|open| open.slot).collect();
                self.ends
                    .retain(|(partition, slot), _| *partition != at || !moved.contains(slot));
                self.empty_at
                    .remove(&TopicPartition::new(copy_topic(copy), at.partition));
            }
            if let Some(machine) = self.machines.get_mut(&at) {
                let told = machine.told(tell);
                self.or_stand_still(at, told);
            }
        }
        Ok(busy)
    }

    /// What one partition tells, and its records. `None`: it waits for the contents of a chunk, or stands still now.
    fn tell_one(&mut self, at: TopicPartition) -> Option<(Tell, Records)> {
        let gates = Gates::new(&self.lanes);
        let moment = gates.moment(&self.ledger, self.setup.clock.now());
        let machine = self.machines.get_mut(&at)?;
        if machine.missing().is_some() {
            return None;
        }
        let told = machine.tell(&moment);
        let tell = self.or_stand_still(at, told)?;
        let records = self.records_of(at, &tell);
        if records.is_err() {
            // They have left the machine, and the partition is given up: what the relay said is still told.
            for telling in &tell.events {
                let about = About::from(&telling.message);
                self.late(
                    &about,
                    &telling.message.message,
                    telling.kind,
                    &telling.note,
                );
            }
        }
        let records = self.or_stand_still(at, records)?;
        Some((tell, records))
    }

    fn records_of(&mut self, at: TopicPartition, tell: &Tell) -> Result<Records, Broken> {
        let teller = Teller {
            setup: &self.setup,
            ledger: &self.ledger,
            timestamp: self.timestamp(),
        };
        let events_to = TopicPartition::new(Topic::Event, at.partition);
        let mut records = Records::with_capacity(tell.events.len());
        for telling in &tell.events {
            let event = teller.event(telling)?;
            records.push((events_to, told::record(at, &event)?));
            if telling.is_final && matches!(telling.kind, EventType::Dead | EventType::InDoubt) {
                self.ends.insert((at, telling.message.slot), event);
            }
        }
        if let Some(copy) = &tell.copy {
            let (to, copies) = teller.copies(at, copy, &self.ends)?;
            records.extend(copies.into_iter().map(|record| (to, record)));
        }
        for left in &tell.left {
            let record = campaign_record(at, &CampaignRecord::Left(left.clone()))?;
            records.push((TopicPartition::new(Topic::Campaign, 0), record));
        }
        Ok(records)
    }

    /// Appends until all is durable. What is repeated is harmless: events of one rank and outcome are one event,
    /// copies carry their move's number.
    pub(in super::super) async fn append_all(
        &mut self,
        appends: Vec<(TopicPartition, Vec<Record>)>,
    ) -> Result<(), WorkerError> {
        let late = std::mem::take(&mut self.late_events)
            .into_iter()
            .map(|(at, record)| (at, vec![record]));
        let mut left: Vec<(TopicPartition, Vec<Record>)> =
            appends.into_iter().chain(late).collect();
        let mut wait = RETRY_APPEND;
        while !left.is_empty() {
            let queue = self.setup.queue.clone();
            let tries = left
                .iter()
                .map(|(at, records)| queue.append(*at, records.clone()));
            let results = futures_util::future::join_all(tries).await;
            let mut again = Vec::new();
            for ((at, records), result) in left.into_iter().zip(results) {
                match result {
                    Ok(_) => {}
                    Err(error @ (QueueError::Unknown(_) | QueueError::Away { .. })) => {
                        self.observer
                            .notice(Notice::QueueTrouble(error.to_string()));
                        again.push((at, records));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            left = again;
            if !left.is_empty() {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(5));
            }
        }
        Ok(())
    }

    pub(super) fn count(&mut self, tell: &Tell) {
        for telling in &tell.events {
            let counter = match telling.kind {
                EventType::Delivered => &mut self.summary.delivered,
                EventType::Deferred => &mut self.summary.deferred,
                EventType::Bounced => &mut self.summary.bounced,
                EventType::Dead => &mut self.summary.dead,
                EventType::Suppressed => &mut self.summary.suppressed,
                EventType::Expired => &mut self.summary.expired,
                EventType::Cancelled => &mut self.summary.cancelled,
                EventType::InDoubt if telling.is_final => &mut self.summary.in_doubt,
                EventType::InDoubt => &mut self.summary.deferred,
            };
            *counter += 1;
        }
    }
}

fn copy_topic(copy: &Copy) -> Topic {
    match copy.decided.target {
        Target::Retry(delay) => Topic::Retry(delay),
        Target::Letter(_) => Topic::Dlq,
    }
}
