//! The effects of a cycle as records: events, moved messages, letters, entries of the campaign topic.

use super::settings::Setup;
use crate::domain::chunk::{ChunkHead, MessageLine};
use crate::domain::content::MessageContent;
use crate::domain::event::{Event, EventHeader, EventMetadata, EventPayload};
use crate::domain::ids::{RunId, RunKey};
use crate::domain::records::{CampaignRecord, Letter, TopicPartitionText};
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::letters;
use crate::protocol::Ledger;
use crate::protocol::invariant::{Broken, Invariant};
use crate::protocol::machine::{MessageRef, MoveRecord, OpenMessage, PendingEvent};
use crate::protocol::progress::{LetterKind, Target};
use crate::queue::Record;
use crate::queue::chunk::{self, Origin};
use std::collections::BTreeMap;
use std::time::SystemTime;

pub const CAMPAIGN: TopicPartition = TopicPartition::new(Topic::Campaign, 0);
pub const SUPPRESSION: TopicPartition = TopicPartition::new(Topic::Suppression, 0);

/// What the records of a cycle have in common.
pub struct RecordBuilder<'a> {
    pub setup: &'a Setup,
    pub ledger: &'a Ledger,
    /// RFC 3339, UTC.
    pub timestamp: String,
}

/// Final events of messages that move to the dlq: the letter contains the event.
#[derive(Default)]
pub struct LetterEvents {
    events: BTreeMap<(TopicPartition, MessageRef), Event>,
}

impl LetterEvents {
    pub fn add(&mut self, at: TopicPartition, reference: MessageRef, event: Event) {
        self.events.insert((at, reference), event);
    }

    /// Its letters are durable.
    pub fn moved(&mut self, moved: &MoveRecord) {
        for message in &moved.messages {
            self.events.remove(&(message.at, message.reference));
        }
    }

    /// The partition is given up.
    pub fn forget(&mut self, at: TopicPartition) {
        self.events.retain(|(partition, _), _| *partition != at);
    }

    fn of(&self, message: &OpenMessage) -> Option<&Event> {
        self.events.get(&(message.at, message.reference))
    }
}

pub fn timestamp(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at)
        .unwrap_or_default()
        .to_string()
}

impl RecordBuilder<'_> {
    pub fn event(&self, event: &PendingEvent) -> Result<Event, Broken> {
        let (message, details) = (&event.message, &event.details);
        let line = &message.message.line;
        let key = self.ledger.counts_for(message.run);
        let id = self.run_id(message.at, key)?;
        Ok(Event {
            header: EventHeader {
                message_id: line.id.clone(),
                event_type: event.outcome.event_type(),
                event_version: 1,
                timestamp: self.timestamp.clone(),
                source: self.setup.name.clone(),
                trace_id: self.setup.trace_id.clone(),
            },
            payload: EventPayload {
                campaign: id.campaign.clone(),
                run: id.run.clone(),
                key,
                row: line.row,
                address: line.address.clone(),
                relay: details.relay.clone(),
                site: self.setup.groups.of_address(&line.address).to_string(),
                reply: details.reply.clone(),
                class: details.class,
                reason: details.reason,
                scope: details.scope,
                is_final: event.outcome.is_final(),
            },
            metadata: EventMetadata {
                retry_count: line.tries,
                tags: Vec::new(),
                round: line.round,
                hop: line.hop,
                owner: message.epoch,
                partition: message.at.to_string(),
            },
        })
    }

    /// The records of a decided move, and the partition that they go to.
    pub fn moved(
        &self,
        at: TopicPartition,
        moved: &MoveRecord,
        events: &LetterEvents,
    ) -> Result<(TopicPartition, Vec<Record>), Broken> {
        match moved.decided.target {
            Target::Retry(delay) => {
                let record = self.retry_record(at, moved)?;
                Ok((
                    TopicPartition::new(Topic::Retry(delay), at.partition),
                    vec![record],
                ))
            }
            Target::Letter(_) => {
                let letters = moved
                    .messages
                    .iter()
                    .map(|message| self.letter(moved, message, events));
                Ok((
                    TopicPartition::new(Topic::Dlq, at.partition),
                    letters.collect::<Result<_, _>>()?,
                ))
            }
        }
    }

    fn retry_record(&self, at: TopicPartition, moved: &MoveRecord) -> Result<Record, Broken> {
        let Some(first) = moved.messages.first() else {
            let detail = format!("move {}", moved.decided.number);
            return Err(Broken::new(at, Invariant::MoveNamesItsMessages, detail));
        };
        let head = ChunkHead {
            moved_from: Some((at, moved.decided.number)),
            trace_id: self.setup.trace_id.clone(),
            ..ChunkHead::clone(&first.head)
        };
        let messages = moved.messages.iter().map(|open| {
            let line = MessageLine {
                hop: open.message.line.hop + 1,
                tries: open.message.line.tries + u32::from(moved.decided.uses_try),
                ..open.message.line.clone()
            };
            (line, open.message.content.clone())
        });
        let messages: Vec<(MessageLine, MessageContent)> = messages.collect();
        chunk::encode(&head, self.origin(), &messages).map_err(|error| unwritable(at, error))
    }

    fn letter(
        &self,
        moved: &MoveRecord,
        open: &OpenMessage,
        events: &LetterEvents,
    ) -> Result<Record, Broken> {
        let key = self.ledger.counts_for(moved.decided.run);
        let id = self.run_id(open.at, key)?;
        let letter = Letter {
            key,
            campaign: id.campaign.clone(),
            run: id.run.clone(),
            event: events.of(open).cloned(),
            in_doubt: moved.decided.target == Target::Letter(LetterKind::InDoubt),
            // Some attempts use no try, but after each one the message moves.
            attempts: open.message.line.hop + 1,
            from: TopicPartitionText(open.at),
            number: moved.decided.number,
        };
        let content = (&open.message.line, &open.message.content);
        letters::record(&letter, &open.head, content, self.origin())
            .map_err(|error| unwritable(open.at, error))
    }

    fn run_id(&self, at: TopicPartition, key: RunKey) -> Result<&RunId, Broken> {
        let run = self.ledger.run(key);
        run.map(|run| &run.manifest.id)
            .ok_or_else(|| Broken::new(at, Invariant::RunHasManifest, format!("run {key}")))
    }

    fn origin(&self) -> Origin<'_> {
        Origin {
            timestamp: &self.timestamp,
            source: &self.setup.name,
        }
    }
}

/// An event's record. `at`: the partition that the message is in.
pub fn record(at: TopicPartition, event: &Event) -> Result<Record, Broken> {
    let payload = serde_json::to_vec(event).map_err(|error| unwritable(at, error))?;
    Ok(Record {
        key: Some(event.header.message_id.clone()),
        headers: Vec::new(),
        payload: Some(payload.into()),
    })
}

/// A record of the campaign topic. `at`: the partition that it is about, or the topic's own.
pub fn campaign_record(at: TopicPartition, record: &CampaignRecord) -> Result<Record, Broken> {
    let payload = serde_json::to_vec(record).map_err(|error| unwritable(at, error))?;
    Ok(Record {
        key: Some(record.key()),
        headers: Vec::new(),
        payload: Some(payload.into()),
    })
}

pub fn unwritable(at: TopicPartition, error: impl std::fmt::Display) -> Broken {
    Broken::new(at, Invariant::RecordCanBeWritten, error)
}
