//! Invariants of a commit and of the contents of its chunks.

use super::{Machine, MessageRef};
use crate::domain::chunk::{Chunk, MAX_ROWS};
use crate::domain::ids::{Offset, RunKey};
use crate::domain::topic::TopicPartition;
use crate::protocol::invariant::{Broken, Invariant};
use crate::protocol::ledger::Ledger;
use crate::protocol::positions::Positions;
use crate::protocol::progress::{OpenChunk, Progress};
use std::collections::BTreeMap;

impl Machine {
    pub(super) fn broken(&self, invariant: Invariant, detail: impl std::fmt::Display) -> Broken {
        Broken::new(self.at, invariant, detail)
    }

    /// Every run here has a manifest. Without one its policy is unknown, and its events have no names.
    pub(super) fn check_runs(&self, ledger: &Ledger) -> Result<(), Broken> {
        let open = self.progress.open.values().map(|chunk| chunk.run);
        let mut runs = self.progress.runs.keys().copied().chain(open);
        match runs.find(|run| ledger.run(*run).is_none()) {
            Some(run) => Err(self.broken(Invariant::RunHasManifest, format!("run {run}"))),
            None => Ok(()),
        }
    }

    /// Checks the contents of an open chunk when they have been read.
    pub(super) fn check_contents(
        &self,
        offset: Offset,
        open: &OpenChunk,
        chunk: &Chunk,
    ) -> Result<(), Broken> {
        if chunk.head.key != open.run {
            let detail = format!(
                "offset {offset} holds run {}, not {}",
                chunk.head.key, open.run
            );
            return Err(self.broken(Invariant::ContentsAreOfTheRun, detail));
        }
        let count = chunk.messages.len();
        if count > MAX_ROWS {
            let detail = format!("offset {offset} holds {count}");
            return Err(self.broken(Invariant::ChunkFitsASet, detail));
        }
        let named = open.claimed.with(&open.moving).with(&open.done);
        match named.without(&Positions::first(count)).iter().next() {
            Some(position) => {
                let detail = format!("offset {offset} holds {count}, position {position} is named");
                Err(self.broken(Invariant::SetsFitTheChunk, detail))
            }
            None => Ok(()),
        }
    }
}

/// Checks that the parts of a commit agree, in one that was read as in one that is about to be sent.
pub(super) fn check_progress(at: TopicPartition, progress: &Progress) -> Result<(), Broken> {
    let mut is_move_named = false;
    for (offset, chunk) in &progress.open {
        let broken = |invariant, what: &str| {
            Err(Broken::new(at, invariant, format!("offset {offset}{what}")))
        };
        if !progress.runs.contains_key(&chunk.run) {
            return broken(Invariant::OpenChunkHasRunEntry, "");
        }
        if !chunk.done.and(&chunk.moving).is_empty() {
            return broken(Invariant::MessageEndsOnce, ": done and moving");
        }
        if chunk.moving.is_empty() {
            continue;
        }
        is_move_named = true;
        if progress.moving.as_ref().map(|decided| decided.run) != Some(chunk.run) {
            return broken(Invariant::MoveNamesItsMessages, "");
        }
    }
    match &progress.moving {
        Some(decided) if !is_move_named => {
            let detail = format!("move {} names none", decided.number);
            Err(Broken::new(at, Invariant::MoveNamesItsMessages, detail))
        }
        _ => Ok(()),
    }
}

/// The open chunk that a message lies in.
pub(super) fn open_of(
    at: TopicPartition,
    open: &mut BTreeMap<Offset, OpenChunk>,
    reference: MessageRef,
) -> Result<&mut OpenChunk, Broken> {
    open.get_mut(&reference.offset)
        .ok_or_else(|| not_open(at, reference))
}

pub(super) fn not_open(at: TopicPartition, reference: MessageRef) -> Broken {
    let detail = format!(
        "offset {}, position {}",
        reference.offset, reference.position
    );
    Broken::new(at, Invariant::MessageIsOpen, detail)
}

pub(super) fn no_entry(at: TopicPartition, run: RunKey) -> Broken {
    Broken::new(at, Invariant::OpenChunkHasRunEntry, format!("run {run}"))
}
