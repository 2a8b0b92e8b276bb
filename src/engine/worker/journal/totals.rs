//! What this process has done so far, for the operator only: nothing is decided from it. A worker for one run counts
//! that run; what else is in the queue is sent beside it.

use crate::domain::event::EventType;
use crate::domain::ids::RunKey;
use crate::engine::worker::settings::{Goal, LeftWork, Summary};
use crate::protocol::machine::PendingEvent;
use std::time::Duration;

pub struct Totals {
    summary: Summary,
    /// `None`: every run counts.
    only: Option<RunKey>,
    started_at: Duration,
}

impl Totals {
    pub fn new(started_at: Duration, goal: Goal) -> Totals {
        Totals {
            summary: Summary::default(),
            only: match goal {
                Goal::Run { run, .. } => Some(run),
                Goal::Serve | Goal::Drain { .. } => None,
            },
            started_at,
        }
    }

    /// Counts events that are durable.
    pub fn count(&mut self, events: &[PendingEvent]) {
        for event in events {
            let kind = event.outcome.event_type();
            if self.only.is_some_and(|run| run != event.message.run) {
                self.summary.delivered_of_others += u64::from(kind == EventType::Delivered);
                continue;
            }
            let counter = match kind {
                EventType::Delivered => &mut self.summary.delivered,
                EventType::Deferred => &mut self.summary.deferred,
                EventType::Bounced => &mut self.summary.bounced,
                EventType::Dead => &mut self.summary.dead,
                EventType::Suppressed => &mut self.summary.suppressed,
                EventType::Expired => &mut self.summary.expired,
                EventType::Cancelled => &mut self.summary.cancelled,
                EventType::InDoubt if event.outcome.is_final() => &mut self.summary.in_doubt,
                EventType::InDoubt => &mut self.summary.deferred,
            };
            *counter += 1;
        }
    }

    pub fn summary(&self, attempts: u64, now: Duration, left_work: Option<LeftWork>) -> Summary {
        Summary {
            attempts,
            elapsed: now.saturating_sub(self.started_at),
            left_work,
            ..self.summary.clone()
        }
    }
}
