//! The buckets: one for all processes, or one for each.

use super::members::ProcessId;
use crate::queue::slots::{Bucket, gcra};
use crate::queue::{SlotRequest, SlotScope, Slots};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug, Default)]
pub(super) struct Buckets {
    pub scope: SlotScope,
    /// When each process started: its own buckets were empty then.
    started_at: BTreeMap<ProcessId, Duration>,
    /// By name, and by process where each has its own.
    buckets: BTreeMap<(Option<ProcessId>, String), Bucket>,
}

impl Buckets {
    pub fn start(&mut self, process: ProcessId, now: Duration) {
        self.started_at.insert(process, now);
    }

    pub fn take(&mut self, process: ProcessId, now: Duration, request: &SlotRequest) -> Slots {
        let (owner, empty) = match self.scope {
            SlotScope::Queue => (None, None),
            SlotScope::Process => (Some(process), self.started_at.get(&process)),
        };
        let key = (owner, request.bucket.clone());
        let new = empty.map(|started_at| Bucket {
            due: *started_at + request.interval * request.burst.max(1),
            interval: request.interval,
        });
        let bucket = self.buckets.get(&key).copied().or(new);
        let (slots, bucket) = gcra(bucket, now, request);
        self.buckets.insert(key, bucket);
        slots
    }
}
