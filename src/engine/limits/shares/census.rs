//! Who has something to send, from the commit strings and the campaign topic; no chunk is read for it.

use super::split::Place;
use crate::domain::ids::RunKey;
use crate::domain::topic::{Topic, TopicPartition};
use crate::protocol::ledger::Standing;
use crate::protocol::{Ledger, Progress, RunFacts};
use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

/// The commit strings of every partition of send and the tiers; those without a commit are left out.
pub type Texts = BTreeMap<TopicPartition, String>;

/// Workers by name, as one view shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// Own a partition.
    pub owners: BTreeSet<String>,
    /// Own one with something that may go now, or that was at work within [`super::VIEW_LASTS`].
    pub senders: BTreeSet<String>,
}

impl Census {
    /// A string that cannot be read names nobody: its partition stands still, wherever it is.
    /// `before`: what was read within [`super::VIEW_LASTS`] before this. Views of two workers are no further apart, so what
    /// one of them has seen at work the other sees too, that or its trace.
    pub fn take<'a>(
        texts: &Texts,
        before: impl Iterator<Item = &'a Texts> + Clone,
        ledger: &Ledger,
        now: SystemTime,
    ) -> Census {
        let look = Look { ledger, now };
        let mut census = Census::default();
        for (at, text) in texts {
            let Ok(progress) = Progress::parse(text) else {
                continue;
            };
            if progress.owner.is_empty() {
                continue;
            }
            let mut before = before.clone().filter_map(|texts| texts.get(at));
            let mut has_moved = || before.any(|before| has_moved(&progress, text, before));
            if look.has_work(*at, &progress) || has_moved() {
                census.senders.insert(progress.owner.clone());
            }
            census.owners.insert(progress.owner);
        }
        census
    }

    pub(super) fn remove(&mut self, gone: &BTreeSet<String>) {
        self.owners.retain(|name| !gone.contains(name));
        self.senders.retain(|name| !gone.contains(name));
    }

    /// Those with something to send share; while nobody has anything all do, so that a first message need not wait
    /// until its worker's share has grown.
    pub fn place(&self, name: &str) -> Option<Place> {
        if self.senders.is_empty() {
            Place::of(name, &self.owners)
        } else {
            Place::of(name, &self.senders)
        }
    }
}

/// The owner has committed something of its own since. Another owner's first commit says nothing of work.
fn has_moved(progress: &Progress, text: &str, before: &str) -> bool {
    let last = Some(before).filter(|last| *last != text);
    let last = last.and_then(|last| Progress::parse(last).ok());
    last.is_some_and(|last| (last.epoch, last.owner) == (progress.epoch, progress.owner.clone()))
}

struct Look<'a> {
    ledger: &'a Ledger,
    now: SystemTime,
}

impl Look<'_> {
    /// Of a run that may be sent now, a chunk is open, or one in send is not read yet. What a tier holds unread is not
    /// due: due chunks are opened at once, without a slot.
    fn has_work(&self, at: TopicPartition, progress: &Progress) -> bool {
        let is_open = progress.open.values().any(|chunk| self.goes(chunk.run));
        is_open
            || self.ledger.sealed().any(|run| {
                self.goes(run.manifest.key)
                    && !progress.runs.contains_key(&run.manifest.key)
                    && run.left.get(&at).is_some_and(|left| !left.open.is_empty())
            })
            || (at.topic == Topic::Send
                && self
                    .ledger
                    .sealed()
                    .any(|run| is_unread(at, progress, run) && self.goes(run.manifest.key)))
    }

    /// Paused, scheduled, unsealed, cancelled and expired messages need no slots.
    fn goes(&self, run: RunKey) -> bool {
        self.ledger.standing(run, self.now) == Standing::Sending
            && self.ledger.expires_at(run).is_none_or(|at| at > self.now)
    }
}

fn is_unread(at: TopicPartition, progress: &Progress, run: &RunFacts) -> bool {
    let entry = progress.runs.get(&run.manifest.key).map(|entry| entry.next);
    let left = run.left.get(&at).map(|left| left.next);
    let next = entry.or(left).unwrap_or(run.first(at.partition));
    run.last(at.partition).is_some_and(|last| next <= last)
}
