//! `mailq events`: outcomes as they were written, partition by partition in the order of their logs.

use crate::domain::event::{Event, EventType};
use crate::domain::ids::Offset;
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::read_model::AccountError;
use crate::engine::read_model::event::whole_event;
use crate::engine::read_model::scan::scan;
use crate::queue::Queue;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

/// How often the ends of the logs are looked at when following.
const POLL: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    pub campaign: Option<String>,
    pub kind: Option<EventType>,
    pub message_id: Option<String>,
}

impl EventFilter {
    pub fn takes(&self, event: &Event) -> bool {
        self.campaign
            .as_ref()
            .is_none_or(|name| *name == event.payload.campaign)
            && self.kind.is_none_or(|kind| kind == event.header.event_type)
            && self
                .message_id
                .as_ref()
                .is_none_or(|id| *id == event.header.message_id)
    }
}

/// Gives events that pass the filter until `out` breaks off. `follow`: goes on with what is appended later, for ever.
/// Errors: a record that is no event.
pub async fn events(
    queue: &dyn Queue,
    filter: &EventFilter,
    follow: bool,
    out: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<(), AccountError> {
    let mut next: BTreeMap<TopicPartition, Offset> = BTreeMap::new();
    loop {
        for partition in 0..queue.partitions() {
            let at = TopicPartition::new(Topic::Event, partition);
            let bounds = queue.bounds(at).await?;
            let from = next
                .get(&at)
                .copied()
                .unwrap_or(0)
                .max(bounds.low_watermark);
            next.insert(at, bounds.end.max(from));
            let mut ended = None;
            scan(queue, at, from, bounds.end, &mut |stored| {
                match whole_event(at, &stored) {
                    Err(error) => ended = Some(Err(error)),
                    Ok(event) => {
                        if !filter.takes(&event) || out(event).is_continue() {
                            return ControlFlow::Continue(());
                        }
                        ended = Some(Ok(()));
                    }
                }
                ControlFlow::Break(())
            })
            .await?;
            if let Some(ended) = ended {
                return ended;
            }
        }
        if !follow {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}
