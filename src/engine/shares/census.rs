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
    last.is_some_and(|last| (last.number, last.owner) == (progress.number, progress.owner.clone()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::counters::Final;
    use crate::domain::ids::RunId;
    use crate::domain::records::{CampaignRecord, Cancel, Control};
    use crate::engine::account::story::{MINUTE, Script, minute, send};
    use std::time::Duration;

    /// 2026-01-01T01:00:00Z: an hour after everything was sealed.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_229_200)
    }

    fn ledger(script: &Script) -> Ledger {
        let mut ledger = Ledger::default();
        let campaign = TopicPartition::new(Topic::Campaign, 0);
        for (offset, record) in (0..).zip(&script.logs[&campaign]) {
            let key = record.key.as_deref().unwrap();
            ledger
                .apply(offset, key, record.payload.as_deref())
                .unwrap();
        }
        ledger
    }

    fn texts(script: &Script) -> Texts {
        let progress = script.progress.iter();
        progress.map(|(at, known)| (*at, known.text())).collect()
    }

    fn take(script: &Script, before: Option<&Script>) -> Census {
        let before = before.map(texts);
        Census::take(&texts(script), before.iter(), &ledger(script), now())
    }

    fn senders(script: &Script) -> Vec<String> {
        take(script, None).senders.into_iter().collect()
    }

    /// A run with a chunk in each partition of send; the first is anna's, the second ben's, their tiers cara's.
    fn three_workers() -> (Script, RunKey) {
        let mut script = Script::default();
        let id = RunId::new("spring", "1");
        let key = script.enqueue(&id, &[(0, 0..1), (1, 1..2)], &[]);
        for (at, owner) in [(0, "anna"), (1, "ben")] {
            script.at(send(at)).owner = owner.to_string();
            script.at(minute(at)).owner = "cara".to_string();
        }
        (script, key)
    }

    #[test]
    fn whoever_has_chunks_to_read_or_finish_sends() {
        let (mut script, _) = three_workers();
        assert_eq!(senders(&script), ["anna", "ben"]);
        script.open(send(0), 0);
        assert_eq!(senders(&script), ["anna", "ben"]);
        script.end(send(0), 0, 0, Final::Delivered);
        assert_eq!(senders(&script), ["ben"]);
    }

    #[test]
    fn a_tier_counts_from_when_its_chunk_is_opened() {
        let (mut script, _) = three_workers();
        script.open(send(0), 0);
        script.retry(send(0), 0, 0, MINUTE);
        assert_eq!(senders(&script), ["ben"]);
        script.open(minute(0), 0);
        assert_eq!(senders(&script), ["ben", "cara"]);
    }

    #[test]
    fn what_may_not_go_holds_no_share() {
        let (script, key) = three_workers();
        let (at, by) = (String::new(), String::new());
        let mut paused = script.clone();
        paused.announce(CampaignRecord::Control(Control {
            key,
            paused: true,
            at: at.clone(),
            by: by.clone(),
        }));
        assert!(senders(&paused).is_empty());
        let mut cancelled = script;
        cancelled.open(send(0), 0);
        cancelled.announce(CampaignRecord::Cancel(Cancel { key, at, by }));
        assert!(senders(&cancelled).is_empty());
        // Then all owners share, so that whoever has the next message may send it at once.
        let census = take(&cancelled, None);
        assert_eq!(census.owners.len(), 3);
        let place = census.place("cara").unwrap();
        assert_eq!((place.workers(), place.number_of(4)), (3, 1));
    }

    #[test]
    fn an_entry_that_left_with_open_chunks_is_work() {
        let (mut script, key) = three_workers();
        script.open(send(0), 0);
        script.leave(send(0), key);
        assert_eq!(senders(&script), ["anna", "ben"]);
    }

    #[test]
    fn a_string_that_moved_counts_like_work() {
        let (mut before, _) = three_workers();
        before.open(send(0), 0);
        let mut after = before.clone();
        after.end(send(0), 0, 0, Final::Delivered);
        let names = |census: Census| census.senders.into_iter().collect::<Vec<_>>();
        assert_eq!(names(take(&after, Some(&before))), ["anna", "ben"]);
        assert_eq!(names(take(&after, Some(&after))), ["ben"]);
        // A new owner's first commit is no work.
        after.at(send(0)).number += 1;
        assert_eq!(names(take(&after, Some(&before))), ["ben"]);
    }

    #[test]
    fn strings_from_elsewhere_name_nobody() {
        let (script, _) = three_workers();
        let mut texts = texts(&script);
        texts.insert(send(0), "mq9;o1,eve".to_string());
        texts.insert(send(1), "mq1;o1,".to_string());
        let census = Census::take(&texts, [].iter(), &ledger(&script), now());
        assert!(census.senders.is_empty());
        assert_eq!(census.owners, ["cara".to_string()].into());
    }
}
