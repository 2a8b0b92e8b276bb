//! An event: what happened to one message, as a JSON document in the event topic. `mailq events` prints it as it is.

use super::counters::Final;
use super::ids::{Row, RunKey, shown_row};
use super::named::named;
use super::outcome::{Class, Reason, Scope};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub header: EventHeader,
    pub payload: EventPayload,
    pub metadata: EventMetadata,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventHeader {
    pub message_id: String,
    pub event_type: EventType,
    pub event_version: u32,
    /// RFC 3339, UTC.
    pub timestamp: String,
    /// Name of the worker, `host/process/random`.
    pub source: String,
    pub trace_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventPayload {
    pub campaign: String,
    /// The run that counts the message. A replayed message counts for its first run.
    pub run: String,
    pub key: RunKey,
    pub row: Row,
    pub address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<String>,
    pub site: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// The message has ended, unless its dead letter is replayed.
    #[serde(rename = "final")]
    pub is_final: bool,
}

/// What an event says about an attempt: the relay, its reply, and what the reply means.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventDetails {
    pub relay: Option<String>,
    pub reply: Option<String>,
    pub class: Option<Class>,
    pub reason: Option<Reason>,
    pub scope: Option<Scope>,
}

/// A row can have several final events, from replays or from workers that lost a partition. The counters hold the one
/// with the highest (round, hop, owner).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventMetadata {
    /// Retries used before this attempt.
    pub retry_count: u32,
    #[serde(default)]
    pub tags: Vec<String>,
    pub round: u32,
    pub hop: u32,
    /// Epoch of the partition's owner that wrote this.
    pub owner: u64,
    /// `topic/partition` that held the message.
    pub partition: String,
}

impl Event {
    /// As it is printed: with its row counted from 1.
    pub fn shown(mut self) -> Event {
        self.payload.row = shown_row(self.payload.row);
        self
    }

    pub fn rank(&self) -> (u32, u32, u64) {
        (self.metadata.round, self.metadata.hop, self.metadata.owner)
    }
}

named! {
    pub enum EventType {
        Delivered = "mail.delivered",
        Deferred = "mail.deferred",
        Bounced = "mail.bounced",
        Dead = "mail.dead",
        Suppressed = "mail.suppressed",
        Expired = "mail.expired",
        Cancelled = "mail.cancelled",
        InDoubt = "mail.in_doubt",
    }
}

impl EventType {
    /// Whether a message was handed to a relay: each such attempt has one event.
    pub fn is_attempt(self) -> bool {
        matches!(
            self,
            EventType::Delivered
                | EventType::Deferred
                | EventType::Bounced
                | EventType::Dead
                | EventType::InDoubt
        )
    }

    /// How the message ended, if the event is final. `Deferred` never is.
    pub fn end(self) -> Option<Final> {
        Some(match self {
            EventType::Delivered => Final::Delivered,
            EventType::Bounced => Final::Bounced,
            EventType::Dead => Final::Dead,
            EventType::Suppressed => Final::Suppressed,
            EventType::Expired => Final::Expired,
            EventType::Cancelled => Final::Cancelled,
            EventType::InDoubt => Final::InDoubt,
            EventType::Deferred => return None,
        })
    }
}

impl From<Final> for EventType {
    fn from(end: Final) -> EventType {
        match end {
            Final::Delivered => EventType::Delivered,
            Final::Bounced => EventType::Bounced,
            Final::Dead => EventType::Dead,
            Final::Suppressed => EventType::Suppressed,
            Final::Expired => EventType::Expired,
            Final::Cancelled => EventType::Cancelled,
            Final::InDoubt => EventType::InDoubt,
        }
    }
}
