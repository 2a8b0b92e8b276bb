//! One look at the queue's progress: the commit strings of every owned partition in one request, then the campaign
//! topic to its end. In this order what left a string in between is found in the ledger.

use super::campaign_topic::{catch_up, read_ledger};
use super::error::AccountError;
use crate::domain::counters::Counters;
use crate::domain::ids::{Offset, Row, RunKey};
use crate::domain::topic::{Topic, TopicPartition};
use crate::protocol::progress::MAX_RUNS;
use crate::protocol::{Ledger, Positions, Progress, RunFacts};
use crate::queue::{Committed, Queue};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone)]
pub struct View {
    pub ledger: Ledger,
    pub strings: Strings,
}

/// The commit strings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Strings {
    /// Every partition of send and the tiers; `None` where nobody has committed yet.
    pub at: BTreeMap<TopicPartition, Option<Progress>>,
    offsets: BTreeMap<TopicPartition, Offset>,
}

/// How far a run has come in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub next: Offset,
    pub last_row: Option<Row>,
    /// Open chunks outside the string, with what is done of them.
    pub left_open: Vec<(Offset, Positions)>,
}

impl View {
    /// `with_letters`: also the ids that replays and purges name, which the counts as shown need.
    pub async fn read(queue: &dyn Queue, with_letters: bool) -> Result<View, AccountError> {
        let mut strings = Strings::read(queue).await?;
        let ledger = read_ledger(queue, with_letters).await?;
        strings.fill(&ledger)?;
        Ok(View { ledger, strings })
    }

    /// What a run's chunks have counted over all partitions: the string counts where it has the run, else the entry
    /// that left. Second: in tiers only.
    pub fn counters(&self, run: &RunFacts) -> (Counters, Counters) {
        let (mut all, mut tiers) = (Counters::default(), Counters::default());
        let known: BTreeSet<TopicPartition> = self
            .strings
            .at
            .keys()
            .chain(run.left.keys())
            .copied()
            .collect();
        for at in known {
            let counters = self.counters_at(run, at);
            all += counters;
            if matches!(at.topic, Topic::Retry(_)) {
                tiers += counters;
            }
        }
        (all, tiers)
    }

    fn counters_at(&self, run: &RunFacts, at: TopicPartition) -> Counters {
        match self.strings.entry(at, run.manifest.key) {
            Some(counters) => counters,
            None => run
                .left
                .get(&at)
                .map(|left| left.counters)
                .unwrap_or_default(),
        }
    }
}

impl Strings {
    /// In one request.
    pub async fn read(queue: &dyn Queue) -> Result<Strings, AccountError> {
        let partitions = queue.partitions();
        let topics = queue.topics().await?.into_iter().filter(Topic::is_owned);
        let at: Vec<TopicPartition> = topics
            .flat_map(|topic| (0..partitions).map(move |p| TopicPartition::new(topic, p)))
            .collect();
        let committed = queue.committed(&at).await?;
        let mut strings = Strings::default();
        for (at, committed) in at.into_iter().zip(committed) {
            if let Some(committed) = &committed {
                strings.offsets.insert(at, committed.offset);
            }
            strings.at.insert(at, parse(at, committed)?);
        }
        Ok(strings)
    }

    /// Where a commit was forgotten, the last checkpoint is what is known of it.
    fn fill(&mut self, ledger: &Ledger) -> Result<(), AccountError> {
        for (at, checkpoint) in ledger.checkpoints() {
            if let Some(unknown @ None) = self.at.get_mut(&at) {
                *unknown = Progress::read(&checkpoint.text)
                    .map_err(|error| AccountError::Text { at, error })?;
                self.offsets.insert(at, checkpoint.offset);
            }
        }
        Ok(())
    }

    fn entry(&self, at: TopicPartition, key: RunKey) -> Option<Counters> {
        let progress = self.at.get(&at)?.as_ref()?;
        progress.runs.get(&key).map(|entry| entry.counters)
    }

    /// Whether a run is at work nowhere because some partition has no entry left to give.
    pub fn leave_no_room_for(&self, run: RunKey) -> bool {
        let sends = self.at.iter().filter(|(at, _)| at.topic == Topic::Send);
        let strings: Vec<&Progress> = sends
            .filter_map(|(_, progress)| progress.as_ref())
            .collect();
        !strings
            .iter()
            .any(|progress| progress.runs.contains_key(&run))
            && strings
                .iter()
                .any(|progress| progress.runs.len() >= MAX_RUNS)
    }

    pub fn progress(&self, at: TopicPartition) -> Option<&Progress> {
        self.at.get(&at)?.as_ref()
    }

    /// Where a run is read from next in a partition of send.
    pub fn cursor(&self, run: &RunFacts, at: TopicPartition) -> Cursor {
        let entry = self
            .progress(at)
            .and_then(|progress| progress.runs.get(&run.manifest.key));
        if let Some(entry) = entry {
            return Cursor {
                next: entry.next,
                last_row: entry.last_row,
                left_open: Vec::new(),
            };
        }
        match run.left.get(&at) {
            Some(left) => Cursor {
                next: left.next,
                last_row: left.last_row,
                left_open: left
                    .open
                    .iter()
                    .map(|(offset, done)| (*offset, Positions::parse(done).unwrap_or_default()))
                    .collect(),
            },
            None => Cursor {
                next: run.first(at.partition),
                last_row: None,
                left_open: Vec::new(),
            },
        }
    }

    /// The committed offset: nothing below it is needed. 0: nobody has committed.
    pub fn committed(&self, at: TopicPartition) -> Offset {
        self.offsets.get(&at).copied().unwrap_or(0)
    }

    pub fn is_move_under_way(&self) -> bool {
        self.at
            .values()
            .flatten()
            .any(|progress| progress.moving.is_some())
    }

    /// The one cursor of a tier's partition.
    pub fn tier_next(&self, at: TopicPartition) -> Offset {
        let committed = self.offsets.get(&at).copied().unwrap_or(0);
        self.progress(at)
            .map_or(committed, |progress| progress.next)
    }
}

fn parse(
    at: TopicPartition,
    committed: Option<Committed>,
) -> Result<Option<Progress>, AccountError> {
    match committed {
        Some(committed) => {
            Progress::read(&committed.text).map_err(|error| AccountError::Text { at, error })
        }
        None => Ok(None),
    }
}

/// Strings first, then what the ledger lacks: see the module's charter.
pub async fn refresh(queue: &dyn Queue, ledger: &mut Ledger) -> Result<Strings, AccountError> {
    let mut strings = Strings::read(queue).await?;
    catch_up(queue, ledger).await?;
    strings.fill(ledger)?;
    Ok(strings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::progress::RunEntry;

    #[test]
    fn a_run_waits_only_where_eight_others_are_at_work() {
        let strings = |topic: Topic, runs: u64| {
            let entries = (1..=runs).map(|key| (RunKey(key), RunEntry::default()));
            let progress = Progress {
                runs: entries.collect(),
                ..Progress::default()
            };
            Strings {
                at: [(TopicPartition::new(topic, 0), Some(progress))].into(),
                ..Strings::default()
            }
        };
        assert!(!strings(Topic::Send, 7).leave_no_room_for(RunKey(9)));
        assert!(strings(Topic::Send, 8).leave_no_room_for(RunKey(9)));
        assert!(!strings(Topic::Send, 8).leave_no_room_for(RunKey(8)));
        let tier = Topic::Retry(std::time::Duration::from_secs(60));
        assert!(!strings(tier, 8).leave_no_room_for(RunKey(9)));
    }
}
