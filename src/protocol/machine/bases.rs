//! The base that a partition's commits refer to: replaced when they grow long, and deleted when no commit that may count
//! refers to it.

use super::Machine;
use crate::domain::records::Base;
use crate::protocol::progress::{BaseId, Progress};
use std::rc::Rc;

/// With so few open chunks a text without a base may be the shorter one.
const FEW_CHUNKS: usize = 8;

#[derive(Debug, Default)]
pub(super) struct OwnBases {
    /// Commits refer to it.
    current: Option<(BaseId, Rc<Progress>)>,
    /// Being appended.
    next: Option<(BaseId, Rc<Progress>)>,
    /// The number of the last base.
    count: u64,
    /// The last acknowledged commit may still refer to these.
    replaced: Vec<BaseId>,
    /// No commit that counts refers to these: they are deleted.
    unused: Vec<BaseId>,
    /// Characters of the last text, and of what it has beside open chunks.
    length: usize,
    fixed: usize,
}

impl OwnBases {
    /// `known`: every base of the partition, also those of former owners.
    pub fn new(current: Option<(BaseId, Rc<Progress>)>, known: Vec<BaseId>) -> OwnBases {
        let in_use = current.as_ref().map(|(id, _)| *id);
        // No name is used again: this worker may have had the partition under the same epoch before, and a record that
        // deletes a base of that time may still land.
        let count = known.iter().map(|id| id.number).max().unwrap_or(0);
        let replaced = known.into_iter().filter(|id| Some(*id) != in_use);
        OwnBases {
            count,
            replaced: replaced.collect(),
            current,
            ..OwnBases::default()
        }
    }

    pub fn text(&mut self, progress: &Progress) -> String {
        let text = self.shortest(progress);
        let base = self.current.as_ref();
        let base = base.map_or(0, |(id, _)| Progress::base_field(*id).len());
        self.length = text.len();
        self.fixed = progress.head().len() + base;
        text
    }

    fn shortest(&mut self, progress: &Progress) -> String {
        let Some((id, base)) = &self.current else {
            return progress.text();
        };
        let text = progress.text_from(*id, base);
        if progress.open.len() <= FEW_CHUNKS {
            let whole = progress.text();
            if whole.len() <= text.len() {
                self.replaced.push(*id);
                self.current = None;
                return whole;
            }
        }
        text
    }

    /// The next base is durable, and these are deleted.
    pub fn durable(&mut self, deleted: &[BaseId]) {
        self.unused.retain(|id| !deleted.contains(id));
        if let Some(next) = self.next.take() {
            let old = self.current.replace(next);
            self.replaced.extend(old.map(|(id, _)| id));
            self.length = 0;
        }
    }

    /// A commit that refers to no other base than the current one is acknowledged.
    pub fn committed(&mut self) {
        self.unused.append(&mut self.replaced);
    }

    pub fn unused(&self) -> Vec<BaseId> {
        self.unused.clone()
    }
}

impl Machine {
    /// A new base, where open chunks take much of the last text: half of the room is left to claims.
    pub(super) fn next_base(&mut self) -> Option<Base> {
        let room = self.rules.max_text.saturating_sub(self.bases.fixed);
        let changes = self.bases.length.saturating_sub(self.bases.fixed);
        if changes <= self.rules.base_after.min(room / 2) {
            return None;
        }
        self.bases.count += 1;
        let (id, base) = self.progress.as_base(self.at, self.bases.count);
        self.bases.next = Some((id, Rc::new(self.progress.clone())));
        Some(base)
    }
}
