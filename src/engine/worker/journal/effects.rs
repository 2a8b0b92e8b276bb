//! First half of a cycle: everything that the next commit builds on becomes durable.

use super::Journal;
use super::gates::Gates;
use super::rate::CAMPAIGN;
use crate::domain::event::EventType;
use crate::domain::records::CampaignRecord;
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::worker::settings::WorkerError;
use crate::engine::worker::told::{self, About, Teller, campaign_record};
use crate::protocol::Target;
use crate::protocol::invariant::Broken;
use crate::protocol::machine::{Copy, Tell};
use crate::queue::Record;

/// Records, and where each goes.
type Records = Vec<(TopicPartition, Record)>;

impl Journal {
    /// First half of a cycle: everything that the next commit builds on becomes durable. `false`: there was nothing.
    pub(super) async fn tell(&mut self) -> Result<bool, WorkerError> {
        let mut told = Vec::new();
        for at in self.partitions.names() {
            let Some((tell, records)) = self.tell_one(at) else {
                continue;
            };
            for (to, record) in records {
                self.outbox.add(to, record);
            }
            told.push((at, tell));
        }
        let busy = !self.outbox.is_empty();
        self.outbox.flush().await?;
        for (at, tell) in told {
            self.totals.count(&tell.events);
            if let Some(copy) = &tell.copy {
                self.letter_events.moved(copy);
                let tier = TopicPartition::new(copy_topic(copy), at.partition);
                self.partitions.appended_to(tier);
            }
            if let Some(machine) = self.partitions.get_mut(at) {
                let told = machine.told(tell);
                self.or_stand_still(at, told);
            }
        }
        Ok(busy)
    }

    /// What one partition tells, and its records. `None`: it waits for the contents of a chunk, or stands still now.
    fn tell_one(&mut self, at: TopicPartition) -> Option<(Tell, Records)> {
        let gates = Gates::new(&self.lanes);
        let view = gates.view(&self.followed.ledger, self.setup.clock.now());
        let machine = self.partitions.get_mut(at)?;
        if machine.missing().is_some() {
            return None;
        }
        let told = machine.tell(&view);
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
            ledger: &self.followed.ledger,
            timestamp: self.timestamp(),
        };
        let events_to = TopicPartition::new(Topic::Event, at.partition);
        let mut records = Records::with_capacity(tell.events.len());
        for telling in &tell.events {
            let event = teller.event(telling)?;
            records.push((events_to, told::record(at, &event)?));
            if telling.is_final && matches!(telling.kind, EventType::Dead | EventType::InDoubt) {
                self.letter_events.add(at, telling.message.reference, event);
            }
        }
        if let Some(copy) = &tell.copy {
            let (to, copies) = teller.copies(at, copy, &self.letter_events)?;
            records.extend(copies.into_iter().map(|record| (to, record)));
        }
        for left in &tell.left {
            let record = campaign_record(at, &CampaignRecord::Left(left.clone()))?;
            records.push((CAMPAIGN, record));
        }
        Ok(records)
    }
}

fn copy_topic(copy: &Copy) -> Topic {
    match copy.decided.target {
        Target::Retry(delay) => Topic::Retry(delay),
        Target::Letter(_) => Topic::Dlq,
    }
}
