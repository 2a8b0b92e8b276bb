//! An event record as the read model needs it: parsed without copying, and every record that is no event has a place.

use super::error::AccountError;
use super::fact::Rank;
use super::scan::scan;
use crate::domain::event::{Event, EventType};
use crate::domain::ids::{Offset, Partition, Row, RunKey};
use crate::domain::outcome::Reason;
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::{Queue, QueueError, Stored};
use serde::Deserialize;
use std::borrow::Cow;
use std::ops::{ControlFlow, Range};

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub struct EventRecord<'a> {
    /// The run that the message counts for.
    pub run: RunKey,
    pub row: Row,
    pub rank: Rank,
    pub kind: EventType,
    pub is_final: bool,
    pub reason: Option<Reason>,
    pub address: Cow<'a, str>,
    pub reply: Option<Cow<'a, str>>,
    /// RFC 3339.
    pub when: Cow<'a, str>,
    /// `topic/partition` that the message was in.
    pub partition: Cow<'a, str>,
}

/// Of [`crate::domain::event::Event`] what is asked for here.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    header: Header<'a>,
    #[serde(borrow)]
    payload: Payload<'a>,
    #[serde(borrow)]
    metadata: Metadata<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header<'a> {
    event_type: EventType,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    row: Row,
    #[serde(borrow)]
    address: Cow<'a, str>,
    #[serde(borrow, default)]
    reply: Option<Text<'a>>,
    #[serde(default)]
    reason: Option<Reason>,
    #[serde(rename = "final")]
    is_final: bool,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    round: u32,
    hop: u32,
    owner: u64,
    #[serde(borrow)]
    partition: Cow<'a, str>,
}

/// serde borrows a `Cow`, and copies one inside an `Option`.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Errors: a line that names the record and says what is wrong with it.
pub fn event(at: TopicPartition, stored: &Stored) -> Result<EventRecord<'_>, String> {
    let payload = stored.record.payload.as_deref().unwrap_or_default();
    let read = || -> Result<EventRecord<'_>, String> {
        let document: Document = serde_json::from_slice(payload).map_err(|e| e.to_string())?;
        let Document {
            header,
            payload,
            metadata,
        } = document;
        Ok(EventRecord {
            run: payload.key.parse()?,
            row: payload.row,
            rank: Rank {
                round: metadata.round,
                hop: metadata.hop,
                epoch: metadata.owner,
            },
            kind: header.event_type,
            is_final: payload.is_final,
            reason: payload.reason,
            address: payload.address,
            reply: payload.reply.map(|Text(text)| text),
            when: header.timestamp,
            partition: metadata.partition,
        })
    };
    read().map_err(|what| format!("record {} of {at} is no event: {what}", stored.offset))
}

/// An event with everything that it says. Errors: the record is no event.
pub fn whole_event(at: TopicPartition, stored: &Stored) -> Result<Event, AccountError> {
    let payload = stored.record.payload.as_deref().unwrap_or_default();
    serde_json::from_slice(payload).map_err(|error| AccountError::Event {
        at,
        offset: stored.offset,
        what: error.to_string(),
    })
}

/// Called with records read so far, of about how many.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Is shown where a record stands, and the event or why it is none.
pub type EventVisitor<'v> =
    dyn FnMut(TopicPartition, Offset, Result<EventRecord<'_>, String>) -> ControlFlow<()> + 'v;

const PROGRESS_EVERY: u64 = 10_000;

/// Shows every record of the event topic's `partitions`, those that are no event as errors, until `visit` breaks off.
pub async fn read_events(
    queue: &dyn Queue,
    partitions: Range<Partition>,
    progress: Progress<'_>,
    visit: &mut EventVisitor<'_>,
) -> Result<(), QueueError> {
    let mut all = Vec::new();
    for partition in partitions {
        let at = TopicPartition::new(Topic::Event, partition);
        all.push((at, queue.bounds(at).await?));
    }
    let total = all
        .iter()
        .map(|(_, bounds)| bounds.end - bounds.low_watermark)
        .sum();
    let mut read = 0;
    for (at, bounds) in all {
        let mut flow = ControlFlow::Continue(());
        scan(queue, at, bounds.low_watermark, bounds.end, &mut |stored| {
            read += 1;
            if read % PROGRESS_EVERY == 0 {
                progress(read, total);
            }
            flow = visit(at, stored.offset, event(at, &stored));
            flow
        })
        .await?;
        if flow.is_break() {
            return Ok(());
        }
    }
    progress(total, total);
    Ok(())
}
