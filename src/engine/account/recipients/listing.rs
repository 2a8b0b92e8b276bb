//! Puts events and places into the files, and gives what they come to.

use super::shelves::{Entry, Kind, Shelves};
use crate::domain::event::Event;
use crate::domain::ids::{Row, RunKey};
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::account::row::enqueued;
use crate::engine::read_model::naming::namings;
use crate::engine::read_model::places::{Place, PlaceKind, Scope, Visitor, walk};
use crate::engine::read_model::scan::scan;
use crate::engine::read_model::{AccountError, View};
use crate::protocol::ledger::Standing;
use crate::queue::Queue;
use serde::Serialize;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::SystemTime;

/// One recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecipientRow {
    pub row: Row,
    /// Empty where a cancelled run's chunk was dropped unopened.
    pub address: String,
    /// `pending`, `retrying`, or the name of a [`crate::domain::counters::Final`].
    pub state: &'static str,
    /// The last one.
    pub reply: Option<String>,
    /// Of the last event, RFC 3339.
    pub when: Option<String>,
    pub attempts: u32,
}

/// Which run, and where temporary files may be.
#[derive(Debug, Clone, Copy)]
pub struct Recipients<'a> {
    pub run: RunKey,
    /// Empty: all.
    pub states: &'a [String],
    /// A folder; what is made in it is removed.
    pub scratch: &'a Path,
}

/// Gives every recipient in the wanted states, by row, until `out` breaks off. `progress`: records read, of about how
/// many.
pub async fn recipients(
    queue: &dyn Queue,
    asked: Recipients<'_>,
    now: SystemTime,
    progress: &mut dyn FnMut(u64, u64),
    out: &mut dyn FnMut(RecipientRow) -> ControlFlow<()>,
) -> Result<(), AccountError> {
    let view = View::read(queue, true).await?;
    let Some(run) = view.ledger.run(asked.run) else {
        return Ok(());
    };
    let rows = enqueued(run);
    let is_cancelled = view.ledger.standing(asked.run, now) == Standing::Cancelled;
    let mut shelves = Shelves::new(asked.scratch, rows)?;
    let scope = Scope {
        only: Some(asked.run),
        with_lines: true,
        with_cancelled: true,
        now,
    };
    let mut places = Places {
        shelves: &mut shelves,
        wrong: None,
    };
    walk(queue, &view, scope, &mut places).await?;
    if let Some(error) = places.wrong {
        return Err(error);
    }
    read_events(queue, asked.run, &mut shelves, progress).await?;
    let replayed = replayed(&view, asked.run)?;
    let wanted = |row: &RecipientRow| {
        asked.states.is_empty() || asked.states.iter().any(|state| state == row.state)
    };
    for shelf in shelves.finish()? {
        for (row, fold) in shelf.read()? {
            let recipient = fold.close(row, is_cancelled, replayed.get(&row).copied());
            if wanted(&recipient) && out(recipient).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Rows whose letters were sent again, with the highest round of them.
fn replayed(view: &View, run: RunKey) -> Result<HashMap<Row, u32>, AccountError> {
    let mut rounds: HashMap<Row, u32> = HashMap::new();
    for naming in namings(&view.ledger)? {
        if naming.origin != run || !naming.is_replayed() {
            continue;
        }
        for letter in naming.letters {
            let round = rounds.entry(letter.row).or_default();
            *round = letter.round.max(*round);
        }
    }
    Ok(rounds)
}

async fn read_events(
    queue: &dyn Queue,
    run: RunKey,
    shelves: &mut Shelves,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), AccountError> {
    let mut all = Vec::new();
    for partition in 0..queue.partitions() {
        let at = TopicPartition::new(Topic::Event, partition);
        all.push((at, queue.bounds(at).await?));
    }
    let total = all.iter().map(|(_, bounds)| bounds.end - bounds.low).sum();
    let (mut read, mut wrong) = (0, None);
    for (at, bounds) in all {
        scan(queue, at, bounds.low, bounds.end, &mut |stored| {
            read += 1;
            if read % 10_000 == 0 {
                progress(read, total);
            }
            let payload = stored.record.payload.as_deref().unwrap_or_default();
            let event = serde_json::from_slice::<Event>(payload).ok();
            let event = event.filter(|event| event.payload.key == run);
            match event.map(|event| shelves.put(&Entry::event(event))) {
                Some(Err(error)) => {
                    wrong = Some(error);
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            }
        })
        .await?;
        if let Some(error) = wrong.take() {
            return Err(error);
        }
    }
    progress(total, total);
    Ok(())
}

struct Places<'a> {
    shelves: &'a mut Shelves,
    wrong: Option<AccountError>,
}

impl Visitor for Places<'_> {
    fn place(&mut self, place: Place<'_>) {
        let Some(line) = place.line.filter(|_| self.wrong.is_none()) else {
            return;
        };
        let entry = Entry {
            row: place.row,
            rank: (line.round, line.hop, u64::MAX),
            kind: match (place.is_moving, place.kind) {
                (true, _) => Kind::Moving,
                (false, PlaceKind::Pending) => Kind::Pending,
                (false, PlaceKind::Retrying) => Kind::Retrying,
            },
            is_final: false,
            address: line.address.clone(),
            reply: None,
            when: None,
        };
        self.wrong = self.shelves.put(&entry).err();
    }

    /// `verify` is who reports these.
    fn trouble(&mut self, what: String) {
        tracing::warn!("{what}");
    }
}
