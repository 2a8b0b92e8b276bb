//! One look at the queue's progress: the commit strings of every owned partition in one request, then the campaign
//! topic to its end. In this order what left a string in between is found in the ledger.

use super::campaign_topic::{catch_up, read_ledger};
use super::error::AccountError;
use crate::domain::counters::Counters;
use crate::domain::ids::{Offset, Row, RunKey};
use crate::domain::records::LeftEntry;
use crate::domain::topic::{Topic, TopicPartition};
use crate::protocol::progress::MAX_RUNS;
use crate::protocol::{Bases, Ledger, OpenChunk, Positions, Progress, RunFacts};
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
    /// Open chunks outside the string.
    pub left_open: BTreeMap<Offset, OpenChunk>,
}

impl View {
    /// `with_letters`: also the ids that replays and purges name, which the counts as shown need.
    pub async fn read(queue: &dyn Queue, with_letters: bool) -> Result<View, AccountError> {
        let commits = commits(queue).await?;
        let mut ledger = read_ledger(queue, with_letters).await?;
        let strings = read(queue, commits, &mut ledger).await?;
        Ok(View { ledger, strings })
    }

    /// Brings it up to date.
    pub async fn refresh(&mut self, queue: &dyn Queue) -> Result<(), AccountError> {
        self.strings = refresh(queue, &mut self.ledger).await?;
        Ok(())
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
    /// Where a commit was forgotten, the last checkpoint is what is known of it.
    fn parse(commits: &[Commit], ledger: &Ledger) -> Result<Strings, AccountError> {
        let mut strings = Strings::default();
        for (at, committed) in commits {
            let mut known = None;
            if let Some(committed) = committed {
                strings.offsets.insert(*at, committed.offset);
                known = match progress(*at, &committed.text, &ledger.bases(*at)) {
                    // An old commit came back after its base was deleted: that is a lost commit.
                    Err(error) if error.is_missing_base() && is_older(*at, committed, ledger) => {
                        None
                    }
                    known => known?,
                };
            }
            if let (None, Some(last)) = (&known, ledger.checkpoint(*at)) {
                strings.offsets.insert(*at, last.offset);
                known = progress(*at, &last.text, &())?;
            }
            strings.at.insert(*at, known);
        }
        Ok(strings)
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

    /// Where a run is read from next in a partition of send. Errors: what was left of it cannot be read.
    pub fn cursor(&self, run: &RunFacts, at: TopicPartition) -> Result<Cursor, AccountError> {
        let entry = self
            .progress(at)
            .and_then(|progress| progress.runs.get(&run.manifest.key));
        if let Some(entry) = entry {
            return Ok(Cursor {
                next: entry.next,
                last_row: entry.last_row,
                left_open: BTreeMap::new(),
            });
        }
        Ok(match run.left.get(&at) {
            Some(left) => Cursor {
                next: left.next,
                last_row: left.last_row,
                left_open: left_open(at, left)?,
            },
            None => Cursor {
                next: run.first(at.partition),
                last_row: None,
                left_open: BTreeMap::new(),
            },
        })
    }

    /// The last move number that was given out in a partition.
    pub fn last_move(&self, at: TopicPartition) -> u64 {
        self.progress(at).map_or(0, |progress| progress.last_move)
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

/// The commit's epoch is below that of the last checkpoint.
fn is_older(at: TopicPartition, committed: &Committed, ledger: &Ledger) -> bool {
    let epoch = Progress::epoch_of(&committed.text).ok().flatten();
    let last = ledger.checkpoint(at);
    epoch.is_some_and(|epoch| last.is_some_and(|last| epoch < last.owner))
}

type Commit = (TopicPartition, Option<Committed>);

/// Of every partition of send and the tiers, in one request.
async fn commits(queue: &dyn Queue) -> Result<Vec<Commit>, AccountError> {
    let partitions = queue.partitions();
    let topics = queue.topics().await?.into_iter().filter(Topic::is_owned);
    let at: Vec<TopicPartition> = topics
        .flat_map(|topic| (0..partitions).map(move |p| TopicPartition::new(topic, p)))
        .collect();
    let committed = queue.committed(&at).await?;
    Ok(at.into_iter().zip(committed).collect())
}

/// What a commit string says; every string that is read back is read here. `None`: nobody has owned the partition.
pub fn progress(
    at: TopicPartition,
    text: &str,
    bases: &dyn Bases,
) -> Result<Option<Progress>, AccountError> {
    Progress::read(text, bases).map_err(|error| AccountError::Text { at, error })
}

/// The open chunks of a run's entry that has left the string.
pub fn left_open(
    at: TopicPartition,
    left: &LeftEntry,
) -> Result<BTreeMap<Offset, OpenChunk>, AccountError> {
    let open = left.open.iter().map(|(offset, text)| {
        let done = Positions::parse(text).ok_or_else(|| AccountError::Left {
            run: left.key,
            at,
            what: format!("the bitset `{text}` of chunk {offset}"),
        })?;
        let open = OpenChunk {
            run: left.key,
            done,
            ..OpenChunk::default()
        };
        Ok((*offset, open))
    });
    open.collect()
}

/// Strings first, then what the ledger lacks: see the module's charter.
pub async fn refresh(queue: &dyn Queue, ledger: &mut Ledger) -> Result<Strings, AccountError> {
    let commits = commits(queue).await?;
    catch_up(queue, ledger).await?;
    read(queue, commits, ledger).await
}

/// What the commits say, with a ledger that was read after them. An owner deletes a base when it has committed again
/// without it, so a commit whose base is gone is read again.
async fn read(
    queue: &dyn Queue,
    mut last: Vec<Commit>,
    ledger: &mut Ledger,
) -> Result<Strings, AccountError> {
    loop {
        match Strings::parse(&last, ledger) {
            Err(error) if error.is_missing_base() => {
                let newer = commits(queue).await?;
                if newer == last {
                    return Err(error);
                }
                last = newer;
                catch_up(queue, ledger).await?;
            }
            parsed => return parsed,
        }
    }
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
