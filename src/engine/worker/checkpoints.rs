//! On queues that forget commits, each partition's commit is also written to the campaign topic: before the first
//! claim, every minute, and marked clean when an ownership ends in good order. Where commits are kept, nothing is
//! written.

use super::records::{CAMPAIGN, campaign_record, timestamp};
use super::settings::{Setup, WorkerError};
use crate::domain::ids::Offset;
use crate::domain::records::{CampaignRecord, Checkpoint};
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::starting_point::{StartError, starting_point};
use crate::protocol::checkpoint::Start;
use crate::protocol::invariant::Broken;
use crate::protocol::{Ledger, Progress};
use crate::queue::{Commit, Queue, Record, Token};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(60);
/// A checkpoint that only saves a person some work is not waited for longer.
const LONGEST_APPEND: Duration = Duration::from_secs(3);

/// The last acknowledged commit of each owned partition.
pub struct Checkpoints {
    setup: Rc<Setup>,
    last: BTreeMap<TopicPartition, Last>,
}

struct Last {
    token: Token,
    offset: Offset,
    progress: Rc<Progress>,
    /// What the last checkpoint says, and when it was written.
    written: Option<(Rc<Progress>, Duration)>,
}

/// Whether the ownership goes on after a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Interim,
    /// Nothing is committed after it: the next owner may continue from it.
    Clean,
}

/// Checkpoints to append, of these partitions.
#[derive(Default)]
pub struct Batch {
    pub of: Vec<TopicPartition>,
    pub records: Vec<Record>,
    /// A partition's could not be written.
    pub broken: Vec<Broken>,
}

/// Checkpoints that are durable, and what they allow to be truncated.
#[derive(Default)]
pub struct Durable {
    pub below: Vec<(TopicPartition, Offset)>,
    /// A partition's could not be written.
    pub broken: Vec<Broken>,
}

/// Every owned partition's commit must be there, or be known from a checkpoint. The ledger must have been read before
/// the commits are: an owner commits its epoch before it writes a checkpoint, so a checkpoint in the ledger always has
/// a commit that is read here. Errors: `CommitsLost`.
pub async fn require(queue: &dyn Queue, ledger: &Ledger) -> Result<(), WorkerError> {
    if !queue.commits_expire() {
        return Ok(());
    }
    let partitions = queue.partitions();
    let topics = queue.topics().await?.into_iter().filter(Topic::is_owned);
    let at: Vec<TopicPartition> = topics
        .flat_map(|topic| (0..partitions).map(move |p| TopicPartition::new(topic, p)))
        .collect();
    let committed = queue.committed(&at).await?;
    let mut lost = Vec::new();
    for (at, committed) in at.into_iter().zip(committed) {
        let committed = committed.map(|last| (last.offset, last.text));
        match starting_point(queue, at, committed, ledger.checkpoint(at)).await {
            Ok(Start::Lost) => lost.push(at),
            Err(StartError::Queue(error)) => return Err(error.into()),
            // A text that cannot be read stops only its partition, when that is gained.
            Ok(_) | Err(StartError::Text(_)) => {}
        }
    }
    match lost.is_empty() {
        true => Ok(()),
        false => Err(WorkerError::CommitsLost(lost)),
    }
}

impl Checkpoints {
    pub fn new(setup: Rc<Setup>) -> Checkpoints {
        Checkpoints {
            setup,
            last: BTreeMap::new(),
        }
    }

    /// A commit was acknowledged. Returns whether the partition must be checkpointed before anything is claimed.
    pub fn acknowledged(&mut self, commit: &Commit, progress: Rc<Progress>) -> bool {
        if !self.setup.queue.commits_expire() {
            return false;
        }
        let known = self.last.get_mut(&commit.at);
        match known.filter(|last| last.token == commit.token) {
            Some(last) => {
                last.offset = commit.offset;
                last.progress = progress;
                false
            }
            None => {
                let last = Last {
                    token: commit.token,
                    offset: commit.offset,
                    progress,
                    written: None,
                };
                self.last.insert(commit.at, last);
                true
            }
        }
    }

    /// Ownership is gone: the next owner commits, and a checkpoint of this one would be out of date.
    pub fn forget(&mut self, at: TopicPartition, token: Token) {
        self.last
            .retain(|known, last| *known != at || last.token != token);
    }

    /// Those that must be durable before anything is claimed in these partitions; then [`Checkpoints::appended`]. The
    /// last owners' checkpoints are deleted after them in the same append: they land in order.
    pub fn first(&self, gained: &[TopicPartition], ledger: &Ledger) -> Batch {
        let mut batch = self.batch(gained, Kind::Interim);
        let outdated = batch.of.iter().filter_map(|at| self.outdated(*at, ledger));
        batch.records.extend(outdated.collect::<Vec<_>>());
        batch
    }

    /// Checkpoints of these are durable.
    pub fn appended(&mut self, of: &[TopicPartition]) -> Vec<(TopicPartition, Offset)> {
        self.note_written(of);
        self.offsets(of)
    }

    /// Every minute, where something has changed.
    pub async fn now_and_then(&mut self) -> Durable {
        let now = self.setup.clock.since_boot();
        let due = self.last.iter().filter(|(_, last)| {
            let written = last.written.as_ref();
            written.is_some_and(|(written, at)| *at + EVERY <= now && *written != last.progress)
        });
        let due: Vec<TopicPartition> = due.map(|(at, _)| *at).collect();
        self.append_once(&due, Kind::Interim).await
    }

    /// These ownerships end here, and nothing is committed any more.
    pub async fn close(&mut self, ending: &[TopicPartition]) -> Durable {
        let durable = self.append_once(ending, Kind::Clean).await;
        for at in ending {
            self.last.remove(at);
        }
        durable
    }

    pub async fn close_all(&mut self) -> Durable {
        let all: Vec<TopicPartition> = self.last.keys().copied().collect();
        self.close(&all).await
    }

    async fn append_once(&mut self, of: &[TopicPartition], kind: Kind) -> Durable {
        let batch = self.batch(of, kind);
        let mut durable = Durable {
            broken: batch.broken,
            ..Durable::default()
        };
        if batch.records.is_empty() {
            return durable;
        }
        let append = self.setup.queue.append(CAMPAIGN, batch.records);
        match tokio::time::timeout(LONGEST_APPEND, append).await {
            Ok(Ok(_)) => durable.below = self.offsets(&batch.of),
            Ok(Err(error)) => tracing::warn!(%error, "a checkpoint could not be written"),
            Err(_) => tracing::warn!("a checkpoint was not acknowledged"),
        }
        self.note_written(&batch.of);
        durable
    }

    fn offsets(&self, of: &[TopicPartition]) -> Vec<(TopicPartition, Offset)> {
        let known = of.iter().filter_map(|at| Some((*at, self.last.get(at)?)));
        known.map(|(at, last)| (at, last.offset)).collect()
    }

    fn note_written(&mut self, of: &[TopicPartition]) {
        let now = self.setup.clock.since_boot();
        for at in of {
            if let Some(last) = self.last.get_mut(at) {
                last.written = Some((last.progress.clone(), now));
            }
        }
    }

    /// Those of them that have committed under this ownership, with the record of each.
    fn batch(&self, of: &[TopicPartition], kind: Kind) -> Batch {
        let mut batch = Batch::default();
        let known = of.iter().filter_map(|at| Some((*at, self.last.get(at)?)));
        for (at, last) in known {
            let checkpoint = Checkpoint {
                at: at.to_string(),
                owner: last.progress.epoch,
                clean: kind == Kind::Clean,
                offset: last.offset,
                text: last.progress.text(),
                claims: self.setup.max_uncommitted as u64,
                by: self.setup.name.clone(),
                written_at: timestamp(self.setup.clock.now()),
            };
            match campaign_record(at, &CampaignRecord::Checkpoint(checkpoint)) {
                Ok(record) => {
                    batch.of.push(at);
                    batch.records.push(record);
                }
                Err(broken) => batch.broken.push(broken),
            }
        }
        batch
    }

    /// The last owner's checkpoint, to be deleted once this one's is there.
    fn outdated(&self, at: TopicPartition, ledger: &Ledger) -> Option<Record> {
        let old = ledger.checkpoint(at)?;
        let new = self.last.get(&at)?;
        (old.owner < new.progress.epoch).then(|| Record {
            key: Some(Checkpoint::key(&old.at, old.owner)),
            headers: Vec::new(),
            payload: None,
        })
    }
}
