//! First half of a cycle: everything that the next commit builds on becomes durable.

use super::Journal;
use super::gates::Gates;
use super::partitions::may_commit;
use crate::domain::records::{Base, CampaignRecord};
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::worker::records::{self, CAMPAIGN, RecordBuilder, campaign_record};
use crate::engine::worker::settings::WorkerError;
use crate::protocol::Target;
use crate::protocol::invariant::Broken;
use crate::protocol::machine::{Effects, MoveRecord};
use crate::queue::Record;

/// Records, and where each goes.
type Records = Vec<(TopicPartition, Record)>;

impl Journal {
    /// First half of a cycle: everything that the next commit builds on becomes durable. `false`: there was nothing.
    pub(super) async fn make_effects_durable(&mut self) -> Result<bool, WorkerError> {
        let mut pending = Vec::new();
        for at in self.partitions.names() {
            let Some((effects, records)) = self.effects_of(at) else {
                continue;
            };
            for (to, record) in records {
                self.outbox.add(to, record);
            }
            pending.push((at, effects));
        }
        let busy = !self.outbox.is_empty();
        self.outbox.flush().await?;
        for (at, effects) in pending {
            self.totals.count(&effects.events);
            self.watch.count(&effects.events, &self.followed.ledger);
            if let Some(moved) = &effects.move_record {
                self.letter_events.moved(moved);
                let tier = TopicPartition::new(topic_of(moved), at.partition);
                self.partitions.appended_to(tier);
            }
            if let Some(machine) = self.partitions.get_mut(at) {
                let taken = machine.effects_durable(effects);
                self.or_stop_partition(at, taken);
            }
        }
        Ok(busy)
    }

    /// The effects of one partition, and their records. `None`: it waits for the contents of a chunk, or is stopped
    /// now. Nothing is read before its epoch is committed, and a base may be needed for that.
    fn effects_of(&mut self, at: TopicPartition) -> Option<(Effects, Records)> {
        let gates = Gates::new(&self.lanes);
        let view = gates.view(&self.followed.ledger, self.setup.clock.now());
        let machine = self.partitions.get_mut(at)?;
        if !may_commit(machine) {
            return None;
        }
        let effects = machine.effects(&view);
        let effects = self.or_stop_partition(at, effects)?;
        let records = self.records_of(at, &effects);
        if records.is_err() {
            // They have left the machine, and the partition is given up: the relay's answers still get their events.
            for event in &effects.events {
                self.add_late(event);
            }
        }
        let records = self.or_stop_partition(at, records)?;
        Some((effects, records))
    }

    fn records_of(&mut self, at: TopicPartition, effects: &Effects) -> Result<Records, Broken> {
        let builder = RecordBuilder {
            setup: &self.setup,
            ledger: &self.followed.ledger,
            timestamp: self.timestamp(),
        };
        let events_to = TopicPartition::new(Topic::Event, at.partition);
        let mut records = Records::with_capacity(effects.events.len());
        for event in &effects.events {
            let written = builder.event(event)?;
            records.push((events_to, records::record(at, &written)?));
            if event.outcome.is_letter() {
                self.letter_events.add(at, event.message.reference, written);
            }
        }
        if let Some(moved) = &effects.move_record {
            let (to, records_of_move) = builder.moved(at, moved, &self.letter_events)?;
            records.extend(records_of_move.into_iter().map(|record| (to, record)));
        }
        let left = effects.left.iter().cloned().map(CampaignRecord::Left);
        let base = effects.base.iter().cloned().map(CampaignRecord::Base);
        for record in left.chain(base) {
            records.push((CAMPAIGN, campaign_record(at, &record)?));
        }
        let unused = effects.unused_bases.iter().map(|id| Record {
            key: Some(Base::key(&at.to_string(), &id.to_string())),
            ..Record::default()
        });
        records.extend(unused.map(|record| (CAMPAIGN, record)));
        Ok(records)
    }
}

fn topic_of(moved: &MoveRecord) -> Topic {
    match moved.decided.target {
        Target::Retry(delay) => Topic::Retry(delay),
        Target::Letter(_) => Topic::Dlq,
    }
}
