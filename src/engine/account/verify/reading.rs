//! Reads what `verify` needs into facts: places, events, letters. Each log once.

use crate::domain::ids::Offset;
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::read_model::event::{EventRecord, Progress, read_events};
use crate::engine::read_model::fact::{Detail, EventFact, Fact};
use crate::engine::read_model::facts::Facts;
use crate::engine::read_model::letters::kept_letters;
use crate::engine::read_model::naming::{By, namings};
use crate::engine::read_model::places::{Place, Scope, Visitor, walk};
use crate::engine::read_model::{AccountError, View};
use crate::protocol::Ledger;
use crate::queue::Queue;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::SystemTime;

/// Resolves to whether some of it had been dropped since the view was read.
pub(super) async fn places(
    facts: &mut Facts,
    queue: &dyn Queue,
    view: &View,
    now: SystemTime,
) -> Result<bool, AccountError> {
    let scope = Scope {
        only: None,
        with_lines: false,
        with_cancelled: true,
        now,
    };
    let is_torn = walk(queue, view, scope, &mut Places(facts)).await?;
    facts.check()?;
    Ok(is_torn)
}

struct Places<'f>(&'f mut Facts);

impl Visitor for Places<'_> {
    fn place(&mut self, place: Place<'_>) {
        let Place { run, row, kind, .. } = place;
        let address = "";
        let fact = match place.line {
            Some(line) if place.is_moving => Fact::Moving {
                kind,
                round: line.round,
                hop: line.hop,
                address,
            },
            _ => Fact::Queued {
                kind,
                is_unread: place.is_unread,
                address,
            },
        };
        let _ = self.0.add(run, row, &fact);
    }

    fn trouble(&mut self, what: String) {
        self.0.findings.add(what);
    }
}

/// `before`: the ends of the event partitions as they were before the view was read.
pub(super) async fn events(
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
    let is_doubt = end == Some(crate::domain::counters::Final::InDoubt);
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

/// The letters that the dlq has, and those that replays and purges name.
///
/// A purge names its letters in the campaign topic before it removes them, so that a letter which is lost in any other
/// way is missed.
pub(super) async fn letters(
    facts: &mut Facts,
    queue: &dyn Queue,
    ledger: &Ledger,
    folder: &Path,
) -> Result<(), AccountError> {
    for naming in namings(ledger)?.iter().filter(|naming| naming.is_void()) {
        for letter in &naming.letters {
            let fact = Fact::Named {
                round: letter.round,
                in_doubt: letter.in_doubt,
                replay: match naming.by {
                    By::Replay { run, .. } => Some(run),
                    By::Purge => None,
                },
            };
            let _ = facts.add(naming.origin, letter.row, &fact);
        }
    }
    for partition in 0..queue.partitions() {
        let at = TopicPartition::new(Topic::Dlq, partition);
        kept_letters(queue, at, folder, &mut |letter| match letter {
            Ok(letter) => {
                let fact = Fact::Letter {
                    round: letter.round,
                    in_doubt: letter.in_doubt,
                };
                facts.add(ledger.counts_for(letter.run), letter.row, &fact)
            }
            Err(what) => {
                facts.findings.add(what);
                ControlFlow::Continue(())
            }
        })
        .await?;
    }
    facts.check()
}
