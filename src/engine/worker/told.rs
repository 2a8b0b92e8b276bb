//! What a cycle tells, as records: events, the copies of a move, letters.

use super::settings::Setup;
use crate::domain::address;
use crate::domain::chunk::{Chunk, ChunkHead, Message, MessageLine};
use crate::domain::content::MessageContent;
use crate::domain::event::{
    Event, EventDetails, EventHeader, EventMetadata, EventPayload, EventType,
};
use crate::domain::ids::RunKey;
use crate::domain::records::{Letter, TopicPartitionText};
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::letters;
use crate::protocol::Ledger;
use crate::protocol::machine::{Copy, Machine, Slot, Telling};
use crate::protocol::progress::{LetterKind, Target};
use crate::queue::Record;
use crate::queue::chunk::{self, ChunkError, Origin};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// Where the words of a cycle's records come from.
pub struct Teller<'a> {
    pub setup: &'a Setup,
    pub ledger: &'a Ledger,
    /// RFC 3339, UTC.
    pub timestamp: String,
}

/// The final events of messages on their way to the dlq: the letter carries them.
pub type Ends = BTreeMap<(TopicPartition, Slot), Event>;

pub fn timestamp(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at)
        .unwrap_or_default()
        .to_string()
}

impl Teller<'_> {
    pub fn event(&self, machine: &Machine, telling: &Telling) -> Option<Event> {
        let message = machine.message(telling.slot)?;
        let run = machine.progress().open.get(&telling.slot.offset)?.run;
        let about = About {
            at: machine.at(),
            number: machine.number(),
            run,
        };
        Some(self.about(
            &about,
            message,
            telling.kind,
            telling.is_final,
            &telling.note,
        ))
    }

    pub fn about(
        &self,
        about: &About,
        message: &Message,
        kind: EventType,
        is_final: bool,
        note: &EventDetails,
    ) -> Event {
        let line = &message.line;
        let key = self.ledger.counts_for(about.run);
        let id = self.ledger.run(key).map(|run| run.manifest.id.clone());
        let (campaign, run) = id.map(|id| (id.campaign, id.run)).unwrap_or_default();
        Event {
            header: EventHeader {
                message_id: line.id.clone(),
                event_type: kind,
                event_version: 1,
                timestamp: self.timestamp.clone(),
                source: self.setup.name.clone(),
                trace_id: self.setup.trace_id.clone(),
            },
            payload: EventPayload {
                campaign,
                run,
                key,
                row: line.row,
                address: line.address.clone(),
                relay: note.relay.clone(),
                site: address::site_of(&line.address).to_string(),
                reply: note.reply.clone(),
                class: note.class,
                reason: note.reason,
                scope: note.scope,
                is_final,
            },
            metadata: EventMetadata {
                retry_count: line.tries,
                tags: Vec::new(),
                round: line.round,
                hop: line.hop,
                owner: about.number,
                partition: about.at.to_string(),
            },
        }
    }

    /// The record or records of a decided move, and where they go.
    pub fn copies(
        &self,
        machine: &Machine,
        copy: &Copy,
        ends: &Ends,
    ) -> Result<(TopicPartition, Vec<Record>), ChunkError> {
        let partition = machine.at().partition;
        match copy.decided.target {
            Target::Retry(delay) => {
                let record = self.retry_copy(machine, copy)?;
                Ok((
                    TopicPartition::new(Topic::Retry(delay), partition),
                    vec![record],
                ))
            }
            Target::Letter(_) => {
                let letters = copy
                    .slots
                    .iter()
                    .filter_map(|slot| self.letter(machine, copy, *slot, ends));
                Ok((
                    TopicPartition::new(Topic::Dlq, partition),
                    letters.collect::<Result<_, _>>()?,
                ))
            }
        }
    }

    fn retry_copy(&self, machine: &Machine, copy: &Copy) -> Result<Record, ChunkError> {
        let mut head = None;
        let mut messages: Vec<(MessageLine, MessageContent)> = Vec::with_capacity(copy.slots.len());
        for slot in &copy.slots {
            let (Some(chunk), Some(message)) = (machine.chunk(slot.offset), machine.message(*slot))
            else {
                continue;
            };
            head.get_or_insert_with(|| self.moved_head(machine, chunk, copy));
            let mut line = message.line.clone();
            line.hop += 1;
            line.tries += u32::from(copy.decided.uses_try);
            messages.push((line, message.content.clone()));
        }
        let head = head.ok_or(ChunkError::Empty)?;
        chunk::encode(&head, self.origin(), &messages)
    }

    fn moved_head(&self, machine: &Machine, chunk: &Chunk, copy: &Copy) -> ChunkHead {
        ChunkHead {
            moved_from: Some((machine.at(), copy.decided.number)),
            trace_id: self.setup.trace_id.clone(),
            ..chunk.head.clone()
        }
    }

    fn letter(
        &self,
        machine: &Machine,
        copy: &Copy,
        slot: Slot,
        ends: &Ends,
    ) -> Option<Result<Record, ChunkError>> {
        let (chunk, message) = (machine.chunk(slot.offset)?, machine.message(slot)?);
        let key = self.ledger.counts_for(copy.decided.run);
        let id = &self.ledger.run(key)?.manifest.id;
        let letter = Letter {
            key,
            campaign: id.campaign.clone(),
            run: id.run.clone(),
            event: ends.get(&(machine.at(), slot)).cloned(),
            in_doubt: copy.decided.target == Target::Letter(LetterKind::InDoubt),
            attempts: message.line.tries + 1,
            from: TopicPartitionText(machine.at()),
            number: copy.decided.number,
        };
        let content = (&message.line, &message.content);
        Some(letters::record(
            &letter,
            &chunk.head,
            content,
            self.origin(),
        ))
    }

    fn origin(&self) -> Origin<'_> {
        Origin {
            timestamp: &self.timestamp,
            source: &self.setup.name,
        }
    }
}

/// Whom an event is about, beside its message.
pub struct About {
    pub at: TopicPartition,
    /// The owner number under which it is written.
    pub number: u64,
    pub run: RunKey,
}

pub fn record(event: &Event) -> Option<Record> {
    let payload = serde_json::to_vec(event).ok()?;
    Some(Record {
        key: Some(event.header.message_id.clone()),
        headers: Vec::new(),
        payload: Some(payload.into()),
    })
}
