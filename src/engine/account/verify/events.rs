//! Reads the events that bear on the sum.

use crate::domain::counters::Final;
use crate::domain::ids::Offset;
use crate::engine::read_model::AccountError;
use crate::engine::read_model::event::{EventRecord, Progress, read_events};
use crate::engine::read_model::fact::{Detail, EventFact, Fact};
use crate::engine::read_model::facts::Facts;
use crate::protocol::Ledger;
use crate::queue::Queue;
use std::ops::ControlFlow;

/// `before`: the ends of the event partitions as they were before the view was read.
pub(super) async fn collect_events(
    facts: &mut Facts,
    queue: &dyn Queue,
    ledger: &Ledger,
    before: &[Offset],
    progress: Progress<'_>,
) -> Result<(), AccountError> {
    let partitions = 0..queue.partitions();
    read_events(queue, partitions, progress, &mut |at, offset, event| {
        let event = match event {
            Ok(event) => event,
            Err(what) => {
                facts.findings.add(what);
                return ControlFlow::Continue(());
            }
        };
        if !facts.is_asked(event.run) && ledger.run(event.run).is_none() {
            let run = event.run;
            let line = format!("event {offset} of {at} is of run {run}, which nobody enqueued");
            facts.findings.add(line);
        }
        let before = before.get(at.partition as usize);
        let is_earlier = before.is_some_and(|before| offset < *before);
        match fact(&event, is_earlier) {
            Some(fact) => facts.add(event.run, event.row, &fact),
            None => ControlFlow::Continue(()),
        }
    })
    .await?;
    facts.check()
}

/// Only final events and doubts bear on the sum.
fn fact(event: &EventRecord<'_>, is_earlier: bool) -> Option<Fact<'static>> {
    let end = event.kind.end();
    let is_doubt = end == Some(Final::InDoubt);
    let counts = end.is_some() && (event.is_final || is_doubt);
    counts.then_some(Fact::Event(EventFact {
        rank: event.rank,
        kind: event.kind,
        is_final: event.is_final,
        is_earlier,
        is_worker_lost: false,
        detail: Detail::None,
    }))
}
