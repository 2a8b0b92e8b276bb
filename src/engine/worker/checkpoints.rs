//! On queues that forget commits: each partition's commit is also written to the campaign topic, before the first
//! claim, every minute, and as the last word of an ownership that ends in good order. Where commits are kept, nothing.

use super::journal::{Journal, campaign_record};
use super::settings::WorkerError;
use super::views;
use crate::domain::ids::Offset;
use crate::domain::records::CampaignRecord;
use crate::domain::records::Checkpoint;
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::beginning::{BeginningError, beginning};
use crate::protocol::Ledger;
use crate::protocol::checkpoint::{Position, Start};
use crate::queue::{Commit, Queue, Record, Token};
use std::collections::BTreeMap;
use std::time::Duration;

const CAMPAIGN: TopicPartition = TopicPartition::new(Topic::Campaign, 0);
const EVERY: Duration = Duration::from_secs(60);
/// What only saves a person some work is not waited for longer.
const LAST_WORD: Duration = Duration::from_secs(3);

/// The last acknowledged commit of each owned partition.
#[derive(Default)]
pub struct Checkpoints {
    last: BTreeMap<TopicPartition, Last>,
}

struct Last {
    token: Token,
    number: u64,
    offset: Offset,
    text: String,
    /// What is in the campaign topic, and since when.
    written: Option<(String, Duration)>,
}

/// How an ownership's checkpoint is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Interim,
    Last,
}

/// Every owned partition's commit must be there, or be known from a checkpoint. The ledger was read before the commits
/// are: whoever is at work commits first. Errors: `CommitsLost`.
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
        match beginning(queue, at, committed, ledger.checkpoint(at)).await {
            Ok(Start::Lost) => lost.push(at),
            Err(BeginningError::Queue(error)) => return Err(error.into()),
            // A text that cannot be read is the partition's own trouble, told when it is gained.
            Ok(_) | Err(BeginningError::Text(_)) => {}
        }
    }
    match lost.is_empty() {
        true => Ok(()),
        false => Err(WorkerError::CommitsLost(lost)),
    }
}

impl Journal {
    /// Where to begin in a partition that was gained. Errors: nobody knows, and the worker stops; the queue's.
    pub(super) async fn starting_point(
        &mut self,
        at: TopicPartition,
        committed: Option<Position>,
    ) -> Result<Option<Position>, String> {
        if !self.setup.queue.commits_expire() {
            return Ok(committed);
        }
        let queue = self.setup.queue.clone();
        views::refresh(&mut self.ledger, queue.as_ref())
            .await
            .map_err(|error| error.to_string())?;
        let found = beginning(queue.as_ref(), at, committed, self.ledger.checkpoint(at)).await;
        match found.map_err(|error| error.to_string())? {
            Start::Committed(position) => Ok(Some(position)),
            Start::Restored(position) => {
                tracing::info!(%at, "the commit is lost; continuing from the last owner's checkpoint");
                Ok(Some(position))
            }
            Start::Fresh => Ok(None),
            Start::Lost => {
                let error = WorkerError::CommitsLost(vec![at]);
                let why = error.to_string();
                self.refuse(error);
                Err(why)
            }
        }
    }

    /// A commit was acknowledged. Resolves to whether the partition must be checkpointed before anything is claimed.
    pub(super) fn note_commit(&mut self, commit: &Commit, number: u64) -> bool {
        if !self.setup.queue.commits_expire() {
            return false;
        }
        let known = self.checkpoints.last.get_mut(&commit.at);
        match known.filter(|last| last.token == commit.token) {
            Some(last) => {
                last.offset = commit.offset;
                last.text.clone_from(&commit.text);
                false
            }
            None => {
                let last = Last {
                    token: commit.token,
                    number,
                    offset: commit.offset,
                    text: commit.text.clone(),
                    written: None,
                };
                self.checkpoints.last.insert(commit.at, last);
                true
            }
        }
    }

    /// Ownership is gone: what the last commit says is the next owner's to know.
    pub(super) fn forget_commit(&mut self, at: TopicPartition, token: Token) {
        self.checkpoints
            .last
            .retain(|known, last| *known != at || last.token != token);
    }

    /// Before anything is claimed in them. Retried until durable.
    pub(super) async fn first_checkpoints(
        &mut self,
        gained: &[TopicPartition],
    ) -> Result<(), WorkerError> {
        if gained.is_empty() {
            return Ok(());
        }
        let (gained, mut records) = self.checkpoint_records(gained, Word::Interim);
        records.extend(gained.iter().filter_map(|at| self.outdated(*at)));
        self.append_all(vec![(CAMPAIGN, records)]).await?;
        self.give_back_below(&gained);
        self.note_written(&gained);
        Ok(())
    }

    /// Every minute, where something has changed.
    pub(super) async fn checkpoint_now_and_then(&mut self) {
        let now = self.setup.clock.since_boot();
        let last = self.checkpoints.last.iter();
        let due: Vec<TopicPartition> = last
            .filter(|(_, last)| {
                let written = last.written.as_ref();
                written.is_some_and(|(text, at)| *at + EVERY <= now && *text != last.text)
            })
            .map(|(at, _)| *at)
            .collect();
        self.append_once(&due, Word::Interim).await;
    }

    /// These ownerships end here, and nothing is committed any more.
    pub(super) async fn last_words(&mut self, ending: &[TopicPartition]) {
        self.append_once(ending, Word::Last).await;
        for at in ending {
            self.checkpoints.last.remove(at);
        }
    }

    pub(super) fn checkpointed(&self) -> Vec<TopicPartition> {
        self.checkpoints.last.keys().copied().collect()
    }

    async fn append_once(&mut self, of: &[TopicPartition], word: Word) {
        let (of, records) = self.checkpoint_records(of, word);
        if records.is_empty() {
            return;
        }
        let append = self.setup.queue.append(CAMPAIGN, records);
        match tokio::time::timeout(LAST_WORD, append).await {
            Ok(Ok(_)) => self.give_back_below(&of),
            Ok(Err(error)) => tracing::warn!(%error, "a checkpoint could not be written"),
            Err(_) => tracing::warn!("a checkpoint was not acknowledged"),
        }
        self.note_written(&of);
    }

    /// Their checkpoints are durable.
    fn give_back_below(&mut self, of: &[TopicPartition]) {
        for at in of {
            if let Some(last) = self.checkpoints.last.get(at) {
                self.space.may_go(*at, last.offset);
            }
        }
    }

    fn note_written(&mut self, of: &[TopicPartition]) {
        let now = self.setup.clock.since_boot();
        for at in of {
            if let Some(last) = self.checkpoints.last.get_mut(at) {
                last.written = Some((last.text.clone(), now));
            }
        }
    }

    /// Those of them that have committed under this ownership, with the record of each.
    fn checkpoint_records(
        &mut self,
        of: &[TopicPartition],
        word: Word,
    ) -> (Vec<TopicPartition>, Vec<Record>) {
        let (mut written, mut records) = (Vec::new(), Vec::new());
        for at in of {
            let Some(last) = self.checkpoints.last.get(at) else {
                continue;
            };
            let checkpoint = Checkpoint {
                at: at.to_string(),
                owner: last.number,
                clean: word == Word::Last,
                offset: last.offset,
                text: last.text.clone(),
                claims: self.setup.max_uncommitted as u64,
                by: self.setup.name.clone(),
                written_at: self.timestamp(),
            };
            let record = campaign_record(*at, &CampaignRecord::Checkpoint(checkpoint));
            if let Some(record) = self.or_stand_still(*at, record) {
                written.push(*at);
                records.push(record);
            }
        }
        (written, records)
    }

    /// The last owner's checkpoint is not needed any more, once this one's is there: they land in order.
    fn outdated(&self, at: TopicPartition) -> Option<Record> {
        let old = self.ledger.checkpoint(at)?;
        let new = self.checkpoints.last.get(&at)?;
        (old.owner < new.number).then(|| Record {
            key: Some(Checkpoint::key(&old.at, old.owner)),
            headers: Vec::new(),
            payload: None,
        })
    }
}
