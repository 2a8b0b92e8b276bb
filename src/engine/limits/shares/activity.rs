//! Which workers have something to send, from the commit texts and the campaign topic. No chunk is read for it.

use super::split::Place;
use crate::domain::ids::RunKey;
use crate::domain::topic::{Topic, TopicPartition};
use crate::protocol::{Ledger, Progress, RunFacts, TextError};
use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

/// The commit texts of every partition of send and the tiers; partitions without a commit are left out.
pub type Texts = BTreeMap<TopicPartition, String>;

/// Workers by name, as one observation shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activity {
    /// Workers that own a partition.
    pub owners: BTreeSet<String>,
    /// Those with something to send now, or whose commits have moved within [`super::EFFECTIVE_AFTER`].
    pub senders: BTreeSet<String>,
}

impl Activity {
    /// A text that cannot be read counts for nobody, because its partition is stopped wherever it is. `before`:
    /// observations within [`super::EFFECTIVE_AFTER`] before this one. Observations of two workers are no further
    /// apart, so work that one of them observes the other observes too, or observes that the commit has moved.
    pub fn take<'a>(
        texts: &Texts,
        before: impl Iterator<Item = &'a Texts> + Clone,
        ledger: &Ledger,
        now: SystemTime,
    ) -> Activity {
        let check = WorkCheck { ledger, now };
        let mut activity = Activity::default();
        for (at, text) in texts {
            // A base that is gone was deleted after the owner's next commit, so the owner was at work just now.
            let (progress, is_at_work) = match Progress::read(text, &ledger.bases(*at)) {
                Ok(progress) => (progress, false),
                Err(TextError::NoBase(_)) => (Progress::without_base(text).ok().flatten(), true),
                Err(_) => (None, false),
            };
            let Some(progress) = progress.filter(|progress| !progress.owner.is_empty()) else {
                continue;
            };
            let mut before = before.clone().filter_map(|texts| texts.get(at));
            let mut has_moved = || before.any(|before| has_moved(&progress, text, before));
            if is_at_work || check.has_work(*at, &progress) || has_moved() {
                activity.senders.insert(progress.owner.clone());
            }
            activity.owners.insert(progress.owner);
        }
        activity
    }

    pub(super) fn remove(&mut self, gone: &BTreeSet<String>) {
        self.owners.retain(|name| !gone.contains(name));
        self.senders.retain(|name| !gone.contains(name));
    }

    /// Workers with something to send share the limit. While nobody has anything, all owners share it, so that a first
    /// message need not wait until its worker's share has grown.
    pub fn place(&self, name: &str) -> Option<Place> {
        if self.senders.is_empty() {
            Place::of(name, &self.owners)
        } else {
            Place::of(name, &self.senders)
        }
    }
}

/// The owner has committed again since. The first commit of another owner says nothing of work.
fn has_moved(progress: &Progress, text: &str, before: &str) -> bool {
    let last = Some(before).filter(|last| *last != text);
    let last = last.and_then(|last| Progress::without_base(last).ok()?);
    last.is_some_and(|last| (last.epoch, last.owner) == (progress.epoch, progress.owner.clone()))
}

struct WorkCheck<'a> {
    ledger: &'a Ledger,
    now: SystemTime,
}

impl WorkCheck<'_> {
    /// A run that may be sent now has an open chunk here, or an unread one in send. Unread chunks of a tier are not
    /// due, because due chunks are opened at once, without a slot.
    fn has_work(&self, at: TopicPartition, progress: &Progress) -> bool {
        let is_open = progress
            .open
            .values()
            .any(|chunk| self.may_be_sent(chunk.run));
        is_open
            || self.ledger.sealed().any(|run| {
                self.may_be_sent(run.manifest.key)
                    && !progress.runs.contains_key(&run.manifest.key)
                    && run.left.get(&at).is_some_and(|left| !left.open.is_empty())
            })
            || (at.topic == Topic::Send
                && self
                    .ledger
                    .sealed()
                    .any(|run| is_unread(at, progress, run) && self.may_be_sent(run.manifest.key)))
    }

    /// Paused, scheduled, unsealed, cancelled and expired messages need no slots.
    fn may_be_sent(&self, run: RunKey) -> bool {
        self.ledger.may_send(run, self.now)
    }
}

fn is_unread(at: TopicPartition, progress: &Progress, run: &RunFacts) -> bool {
    let entry = progress.runs.get(&run.manifest.key).map(|entry| entry.next);
    let left = run.left.get(&at).map(|left| left.next);
    let next = entry.or(left).unwrap_or(run.first(at.partition));
    run.last(at.partition).is_some_and(|last| next <= last)
}
