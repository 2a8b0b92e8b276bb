//! Reads the queue into the tables: places, events, letters. Each log once.

use super::findings::Findings;
use super::table::Table;
use crate::domain::event::EventType;
use crate::domain::ids::{Offset, Row, RunKey};
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::read_model::letter;
use crate::engine::read_model::naming::{By, namings};
use crate::engine::read_model::places::{Place, Scope, Visitor, walk};
use crate::engine::read_model::scan::scan;
use crate::engine::read_model::{AccountError, View};
use crate::queue::{Queue, Stored, chunk};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;
use std::time::SystemTime;

/// One table for each run that is verified, and what was found on the way.
pub(super) struct Books {
    tables: BTreeMap<RunKey, Table>,
    findings: Findings,
}

/// What of an event the account needs.
#[derive(Deserialize)]
struct Told {
    header: ToldHeader,
    payload: ToldPayload,
    metadata: ToldMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToldHeader {
    event_type: EventType,
}

#[derive(Deserialize)]
struct ToldPayload {
    key: RunKey,
    row: Row,
    #[serde(rename = "final")]
    is_final: bool,
}

#[derive(Deserialize)]
struct ToldMetadata {
    round: u32,
    hop: u32,
    owner: u64,
}

/// A letter that is in the dlq now.
struct Kept {
    origin: RunKey,
    row: Row,
    in_doubt: bool,
}

impl Books {
    pub fn new(tables: BTreeMap<RunKey, Table>, findings: Findings) -> Books {
        Books { tables, findings }
    }

    pub fn into_parts(self) -> (BTreeMap<RunKey, Table>, Findings) {
        (self.tables, self.findings)
    }

    /// Resolves to whether some of it had been dropped since the view was read.
    pub async fn places(
        &mut self,
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
        walk(queue, view, scope, self).await
    }

    /// `before`: the ends of the event partitions as they were before the view was read.
    pub async fn events(
        &mut self,
        queue: &dyn Queue,
        view: &View,
        before: &[Offset],
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), AccountError> {
        let mut all = Vec::new();
        for (partition, before) in (0..queue.partitions()).zip(before) {
            let at = TopicPartition::new(Topic::Event, partition);
            all.push((at, queue.bounds(at).await?, *before));
        }
        let total = all
            .iter()
            .map(|(_, bounds, _)| bounds.end - bounds.low)
            .sum();
        let mut read = 0;
        for (at, bounds, before) in all {
            scan(queue, at, bounds.low, bounds.end, &mut |stored| {
                read += 1;
                if read % 10_000 == 0 {
                    progress(read, total);
                }
                self.event(at, &stored, view, stored.offset < before);
                ControlFlow::Continue(())
            })
            .await?;
        }
        progress(total, total);
        Ok(())
    }

    fn event(&mut self, at: TopicPartition, stored: &Stored, view: &View, is_before: bool) {
        let payload = stored.record.payload.as_deref().unwrap_or_default();
        let told: Told = match serde_json::from_slice(payload) {
            Ok(told) => told,
            Err(error) => {
                let offset = stored.offset;
                let line = format!("record {offset} of {at} is no event: {error}");
                return self.findings.add(line);
            }
        };
        let key = told.payload.key;
        let Some(table) = self.tables.get_mut(&key) else {
            if view.ledger.run(key).is_none() {
                let offset = stored.offset;
                let line = format!("event {offset} of {at} is of run {key}, which nobody enqueued");
                self.findings.add(line);
            }
            return;
        };
        let rank = (told.metadata.round, told.metadata.hop, told.metadata.owner);
        match told.header.event_type.end() {
            Some(end) if told.payload.is_final => {
                table.ended(told.payload.row, rank, end, &mut self.findings);
                if is_before {
                    table.happened(told.payload.row, &mut self.findings);
                }
            }
            Some(_) if told.header.event_type == EventType::InDoubt => {
                table.doubted(told.payload.row, rank);
            }
            _ => {}
        }
    }

    pub async fn letters(&mut self, queue: &dyn Queue, view: &View) -> Result<(), AccountError> {
        let namings = namings(&view.ledger)?;
        let mut void = HashSet::new();
        for naming in namings.iter().filter(|naming| naming.is_void()) {
            let mut table = self.tables.get_mut(&naming.origin);
            for letter in &naming.letters {
                void.insert((letter.id.as_str(), letter.round));
                if let Some(table) = table.as_deref_mut() {
                    match naming.by {
                        By::Purge => table.purged(letter.row, letter.round),
                        By::Replay { .. } => table.replayed(letter.row, letter.round),
                    }
                }
            }
        }
        for partition in 0..queue.partitions() {
            let at = TopicPartition::new(Topic::Dlq, partition);
            for (key, kept) in self.kept(queue, at, view).await? {
                let Some((id, round)) = letter::place(&key) else {
                    self.findings
                        .add(format!("letter `{key}` of {at} has no round"));
                    continue;
                };
                if let Some(table) = self.tables.get_mut(&kept.origin)
                    && !void.contains(&(id, round))
                {
                    table.letter(kept.row, round, kept.in_doubt, &mut self.findings);
                }
            }
        }
        Ok(())
    }

    /// Of each key the last record, unless that is a tombstone.
    async fn kept(
        &mut self,
        queue: &dyn Queue,
        at: TopicPartition,
        view: &View,
    ) -> Result<HashMap<String, Kept>, AccountError> {
        let bounds = queue.bounds(at).await?;
        let mut kept = HashMap::new();
        scan(queue, at, bounds.low, bounds.end, &mut |stored| {
            let key = stored.record.key.clone().unwrap_or_default();
            if stored.record.payload.is_none() {
                kept.remove(&key);
                return ControlFlow::Continue(());
            }
            match read(&stored, view) {
                Ok(letter) => {
                    kept.insert(key, letter);
                }
                Err(what) => self.findings.add(what),
            }
            ControlFlow::Continue(())
        })
        .await?;
        Ok(kept)
    }
}

fn read(stored: &Stored, view: &View) -> Result<Kept, String> {
    let letter = letter::letter(stored).map_err(|error| error.to_string())?;
    let head = chunk::head(&stored.record)
        .map_err(|error| format!("letter {} cannot be read: {error}", stored.offset))?;
    Ok(Kept {
        origin: view.ledger.counts_for(letter.key),
        row: head.first_row,
        in_doubt: letter.in_doubt,
    })
}

impl Visitor for Books {
    fn place(&mut self, place: Place<'_>) {
        let Some(table) = self.tables.get_mut(&place.run) else {
            return;
        };
        match place.line {
            Some(line) if place.is_moving => {
                let rank = (line.round, line.hop);
                table.moving(place.row, place.kind, rank, &mut self.findings);
            }
            _ => table.queued(place.row, place.kind, &mut self.findings),
        }
        if place.is_unread {
            table.unread(place.row);
        }
    }

    fn trouble(&mut self, what: String) {
        self.findings.add(what);
    }
}
