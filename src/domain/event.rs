//! An outcome as it is written to the event topic and printed by `mailq events`: one JSON document each.

use super::counters::Final;
use super::ids::{Row, RunKey};
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
    /// The worker, `host/pid/number`.
    pub source: String,
    pub trace_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventPayload {
    pub campaign: String,
    /// The run that the message counts for, for replayed messages too.
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
    /// Nothing more happens to the message in this round.
    #[serde(rename = "final")]
    pub is_final: bool,
}

/// What an event tells beside whom it is about: where it was tried and what was answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventDetails {
    pub relay: Option<String>,
    pub reply: Option<String>,
    pub class: Option<Class>,
    pub reason: Option<Reason>,
    pub scope: Option<Scope>,
}

/// (round, hop, owner) ranks the final events of one row: the highest is the one that the counters hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventMetadata {
    /// Retries used before this attempt.
    pub retry_count: u32,
    #[serde(default)]
    pub tags: Vec<String>,
    pub round: u32,
    pub hop: u32,
    /// The owner number of the partition under which this was written.
    pub owner: u64,
    /// `topic/partition` that the message was in.
    pub partition: String,
}

impl Event {
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
    /// The end that a final event of this type stands for. `Deferred` is never final.
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
