//! What the campaign topic says: a fold of its records in log order. Of manifests and seals the first counts, of
//! everything else the last of its key. Every process folds the same log and so comes to the same answer.

use super::positions::Positions;
use super::progress::{BaseId, Progress};
use super::reservations::Reservations;
use super::text::Bases;
use crate::domain::ids::{Offset, Partition, RunKey};
use crate::domain::records::{
    Base, BatchState, CampaignRecord, Cancel, Checkpoint, Control, Dropped, LeftEntry, Letters,
    Manifest, RateInForce, Seal,
};
use crate::domain::topic::{Topic, TopicPartition};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// Everything known of every run, up to (not including) an offset of the campaign topic.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    position: Offset,
    runs: BTreeMap<RunKey, RunFacts>,
    /// Oldest seal first.
    sealed: Vec<RunKey>,
    rate: Option<RateInForce>,
    /// After the last cancel.
    cancels_below: Offset,
    /// Of each partition the one with the highest epoch, then the last.
    checkpoints: BTreeMap<TopicPartition, Checkpoint>,
    /// All that are not deleted: what commits refer to, and a few more.
    bases: BTreeMap<(TopicPartition, BaseId), Rc<Progress>>,
    /// Of the project's key.
    key_fingerprint: Option<String>,
    /// Replay manifests' ids, where they were asked for.
    letters: BTreeMap<(RunKey, u64), Vec<Letters>>,
    /// What was purged, with its place in the log, where ids were asked for.
    purged: Vec<(Offset, Letters)>,
    keeps_letters: bool,
    reservations: Reservations,
}

/// One run.
#[derive(Debug, Clone)]
pub struct RunFacts {
    /// The manifest that counts, and its offset.
    pub manifest: Manifest,
    pub manifest_offset: Offset,
    /// The seal that counts; with `--stream` the one that reaches farthest.
    pub seal: Option<Seal>,
    /// Of that seal.
    sealed_at: Option<SystemTime>,
    not_before: Option<SystemTime>,
    pub batches: BTreeMap<u64, BatchState>,
    pub control: Option<Control>,
    pub cancel: Option<Cancel>,
    pub dropped: Option<Dropped>,
    /// Entries that left a commit string: of each partition the one with the highest epoch, then the last.
    pub left: BTreeMap<TopicPartition, LeftEntry>,
}

/// What may be done with a run's messages now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Not sealed yet: nothing of it may be sent.
    Enqueuing,
    /// Not before this time.
    Scheduled(SystemTime),
    Sending,
    Paused,
    Cancelled,
    /// Void: it is never sent, and its chunks need not be kept.
    Dropped,
}

/// A record of the campaign topic that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {offset} of the campaign topic (key `{key}`) cannot be read: {what}")]
pub struct LedgerError {
    pub offset: Offset,
    pub key: String,
    pub what: String,
}

impl Ledger {
    /// Also keeps the ids of replay manifests: for replays, not for workers, whose memory must not grow with them.
    pub fn with_letters() -> Ledger {
        Ledger {
            keeps_letters: true,
            ..Ledger::default()
        }
    }

    /// The next offset to read.
    pub fn position(&self) -> Offset {
        self.position
    }

    /// What precedes `position` has been read or was compacted away.
    pub fn read_to(&mut self, position: Offset) {
        self.position = self.position.max(position);
    }

    /// Folds one record in. Records are given in log order; one below the position is ignored.
    pub fn apply(
        &mut self,
        offset: Offset,
        key: &str,
        payload: Option<&[u8]>,
    ) -> Result<(), LedgerError> {
        if offset < self.position {
            return Ok(());
        }
        self.position = offset + 1;
        let Some(payload) = payload else {
            self.deleted(key);
            return Ok(());
        };
        let record = serde_json::from_slice(payload).map_err(|error| error.to_string());
        let folded = record.and_then(|record| self.fold(offset, record));
        folded.map_err(|what| LedgerError {
            offset,
            key: key.chars().take(80).collect(),
            what,
        })
    }

    /// Errors: what is wrong with a record that cannot be read. If it were skipped, a message might be sent before its
    /// time, or again.
    fn fold(&mut self, offset: Offset, record: CampaignRecord) -> Result<(), String> {
        match record {
            CampaignRecord::Manifest(manifest) => self.manifest(offset, manifest)?,
            CampaignRecord::Letters(piece) if self.keeps_letters => {
                self.letters
                    .entry((piece.key, piece.draw))
                    .or_default()
                    .push(piece);
            }
            CampaignRecord::Purged(letters) if self.keeps_letters => {
                self.purged.push((offset, letters));
            }
            CampaignRecord::Letters(_) | CampaignRecord::Purged(_) => {}
            CampaignRecord::Rate(rate) => self.rate = Some(rate),
            CampaignRecord::Batch(batch) => self.with(batch.key, |run| run.batch(batch)),
            CampaignRecord::Seal(seal) => self.seal(seal)?,
            CampaignRecord::Control(control) => {
                self.with(control.key, |run| run.control = Some(control))
            }
            CampaignRecord::Cancel(cancel) => {
                self.cancels_below = offset + 1;
                self.with(cancel.key, |run| {
                    run.cancel.get_or_insert(cancel);
                });
            }
            CampaignRecord::Dropped(dropped) => self.with(dropped.key, |run| run.drop(dropped)),
            CampaignRecord::Left(left) => {
                let at = left.at.parse()?;
                let mut open = left.open.values();
                if let Some(text) = open.find(|text| Positions::parse(text).is_none()) {
                    return Err(format!("`{text}` is not a set of positions"));
                }
                self.with(left.key, |run| run.left(at, left));
            }
            CampaignRecord::Checkpoint(checkpoint) => {
                let at = checkpoint.at.parse()?;
                self.checkpointed(at, checkpoint);
            }
            CampaignRecord::Base(base) => self.base(&base)?,
            CampaignRecord::Reservation(new) => {
                let begins = instant(&new.day)?;
                self.reservations.apply(new, begins);
            }
            CampaignRecord::Key(key) => {
                self.key_fingerprint.get_or_insert(key.fingerprint);
            }
        }
        Ok(())
    }

    /// The first manifest of a run counts, and after that was dropped the next.
    fn manifest(&mut self, offset: Offset, manifest: Manifest) -> Result<(), String> {
        let not_before = manifest.not_before.as_deref().map(instant).transpose()?;
        let known = self.runs.get(&manifest.key);
        if known.is_some_and(|run| run.dropped.is_none()) {
            return Ok(());
        }
        let cancel = known.and_then(|run| run.cancel.clone());
        let run = RunFacts {
            not_before,
            cancel,
            ..RunFacts::new(offset, manifest)
        };
        self.runs.insert(run.manifest.key, run);
        Ok(())
    }

    fn seal(&mut self, seal: Seal) -> Result<(), String> {
        let (key, sealed_at) = (seal.key, instant(&seal.sealed_at)?);
        let run = self.runs.get_mut(&key);
        if run.is_some_and(|run| run.seal(seal, sealed_at)) && !self.sealed.contains(&key) {
            self.sealed.push(key);
        }
        Ok(())
    }

    fn checkpointed(&mut self, at: TopicPartition, new: Checkpoint) {
        let known = self.checkpoints.get(&at);
        if known.is_none_or(|old| new.owner >= old.owner) {
            self.checkpoints.insert(at, new);
        }
    }

    fn base(&mut self, base: &Base) -> Result<(), String> {
        let at = base.at.parse()?;
        let id = BaseId::parse(&base.id).ok_or_else(|| format!("`{}` is no base's id", base.id))?;
        let progress = Progress::parse(&base.text, &()).map_err(|error| error.to_string())?;
        self.bases.insert((at, id), Rc::new(progress));
        Ok(())
    }

    /// Of the records that are deleted only a base is forgotten here. What the others said was true.
    fn deleted(&mut self, key: &str) {
        self.reservations.deleted(key);
        let named = Base::of_key(key);
        let named = named.and_then(|(at, id)| Some((at.parse().ok()?, BaseId::parse(id)?)));
        if let Some(named) = named {
            self.bases.remove(&named);
        }
    }

    /// The bases that the commits of a partition refer to.
    pub fn bases(&self, at: TopicPartition) -> impl Bases {
        PartitionBases { ledger: self, at }
    }

    pub fn base_ids(&self, at: TopicPartition) -> impl Iterator<Item = BaseId> {
        let ids = self.bases.keys().filter(move |(of, _)| *of == at);
        ids.map(|(_, id)| *id)
    }

    /// Ignores a record of a run without a manifest: nothing of that run can have been sent.
    fn with(&mut self, key: RunKey, change: impl FnOnce(&mut RunFacts)) {
        if let Some(run) = self.runs.get_mut(&key) {
            change(run);
        }
    }

    pub fn reservations(&self) -> &Reservations {
        &self.reservations
    }

    pub fn rate(&self) -> Option<&RateInForce> {
        self.rate.as_ref()
    }

    /// All cancels that were read lie below this offset.
    pub fn cancels_below(&self) -> Offset {
        self.cancels_below
    }

    pub fn checkpoint(&self, at: TopicPartition) -> Option<&Checkpoint> {
        self.checkpoints.get(&at)
    }

    pub fn checkpoints(&self) -> impl Iterator<Item = (TopicPartition, &Checkpoint)> {
        self.checkpoints
            .iter()
            .map(|(at, checkpoint)| (*at, checkpoint))
    }

    /// Fingerprint of the project key that the queue belongs to; `None`: not in the campaign topic.
    pub fn key_fingerprint(&self) -> Option<&str> {
        self.key_fingerprint.as_deref()
    }

    pub fn run(&self, key: RunKey) -> Option<&RunFacts> {
        self.runs.get(&key)
    }

    /// All runs by key, void ones included.
    pub fn runs(&self) -> impl Iterator<Item = &RunFacts> {
        self.runs.values()
    }

    /// Oldest seal first.
    pub fn sealed(&self) -> impl Iterator<Item = &RunFacts> {
        self.sealed.iter().filter_map(|key| self.runs.get(key))
    }

    /// A replay is paused or cancelled with the run whose letters it sends.
    pub fn run_state(&self, key: RunKey, now: SystemTime) -> RunState {
        let Some(run) = self.runs.get(&key) else {
            return RunState::Dropped;
        };
        let own = run.state(now);
        match run
            .manifest
            .replay_of
            .and_then(|origin| self.runs.get(&origin))
            .map(|origin| origin.state(now))
        {
            Some(held @ (RunState::Paused | RunState::Cancelled)) if own == RunState::Sending => {
                held
            }
            _ => own,
        }
    }

    /// The run that a run's messages count for: itself, or the one that it replays.
    pub fn counts_for(&self, key: RunKey) -> RunKey {
        self.run(key)
            .and_then(|run| run.manifest.replay_of)
            .unwrap_or(key)
    }

    /// When messages of a run stop being worth sending; a replay's, as those of what it replays.
    pub fn expires_at(&self, key: RunKey) -> Option<SystemTime> {
        self.run(self.counts_for(key))
            .and_then(RunFacts::expires_at)
    }

    pub fn has_expired(&self, key: RunKey, now: SystemTime) -> bool {
        self.expires_at(key).is_some_and(|at| at <= now)
    }

    /// Messages of the run may be handed over now, as far as the run is concerned.
    pub fn may_send(&self, key: RunKey, now: SystemTime) -> bool {
        self.run_state(key, now) == RunState::Sending && !self.has_expired(key, now)
    }

    /// Letters that were purged, oldest first, each piece with its place in the log.
    pub fn purged(&self) -> &[(Offset, Letters)] {
        &self.purged
    }

    /// The pieces of the ids of a replay's manifest, in order.
    pub fn letters(&self, run: &RunFacts) -> Vec<&Letters> {
        let mut pieces: Vec<&Letters> = self
            .letters
            .get(&(run.manifest.key, run.manifest.draw))
            .into_iter()
            .flatten()
            .collect();
        pieces.sort_by_key(|piece| piece.piece);
        pieces.dedup_by_key(|piece| piece.piece);
        pieces
    }
}

struct PartitionBases<'a> {
    ledger: &'a Ledger,
    at: TopicPartition,
}

impl Bases for PartitionBases<'_> {
    fn base(&self, id: BaseId) -> Option<Rc<Progress>> {
        self.ledger.bases.get(&(self.at, id)).cloned()
    }
}

impl RunFacts {
    fn new(offset: Offset, manifest: Manifest) -> RunFacts {
        RunFacts {
            manifest,
            manifest_offset: offset,
            seal: None,
            sealed_at: None,
            not_before: None,
            batches: BTreeMap::new(),
            control: None,
            cancel: None,
            dropped: None,
            left: BTreeMap::new(),
        }
    }

    fn batch(&mut self, batch: BatchState) {
        if batch.manifest == self.manifest.draw {
            self.batches.insert(batch.batch, batch);
        }
    }

    /// The first seal counts; with `--stream` each that reaches farther. After a cancel it is void.
    fn seal(&mut self, seal: Seal, sealed_at: SystemTime) -> bool {
        if seal.manifest != self.manifest.draw || self.dropped.is_some() || self.cancel.is_some() {
            return false;
        }
        let farther = match &self.seal {
            None => true,
            Some(old) => match (old.rows_below, seal.rows_below) {
                (None, _) => false,
                (Some(_), None) => true,
                (Some(old), Some(new)) => new > old,
            },
        };
        if farther {
            self.seal = Some(seal);
            self.sealed_at = Some(sealed_at);
        }
        farther
    }

    fn drop(&mut self, dropped: Dropped) {
        if dropped.draw == self.manifest.draw && self.seal.is_none() {
            self.dropped = Some(dropped);
        }
    }

    fn left(&mut self, at: TopicPartition, left: LeftEntry) {
        if self.left.get(&at).is_none_or(|old| left.owner >= old.owner) {
            self.left.insert(at, left);
        }
    }

    fn state(&self, now: SystemTime) -> RunState {
        if self.dropped.is_some() {
            return RunState::Dropped;
        }
        if self.cancel.is_some() {
            return RunState::Cancelled;
        }
        if self.seal.is_none() {
            return RunState::Enqueuing;
        }
        if self.control.as_ref().is_some_and(|control| control.paused) {
            return RunState::Paused;
        }
        match self.not_before() {
            Some(start) if start > now => RunState::Scheduled(start),
            _ => RunState::Sending,
        }
    }

    /// No more chunks will be appended.
    pub fn is_complete(&self) -> bool {
        self.seal
            .as_ref()
            .is_some_and(|seal| seal.rows_below.is_none())
    }

    /// The first offset that a chunk of this run can have in a partition of the send topic. A partition that was added
    /// since has nothing of it: 0 is below all that is there.
    pub fn first(&self, partition: Partition) -> Offset {
        self.manifest
            .first
            .get(partition as usize)
            .copied()
            .unwrap_or(0)
    }

    /// The last offset that counts in a partition of the send topic; `None`: nothing there, or not sealed.
    pub fn last(&self, partition: Partition) -> Option<Offset> {
        let last = (*self.seal.as_ref()?.last.get(partition as usize)?)?;
        (last >= self.first(partition)).then_some(last)
    }

    pub fn not_before(&self) -> Option<SystemTime> {
        self.not_before
    }

    /// The first moment at which a message of it could be sent: the seal, or `--at` where that is later. `None`: not
    /// sealed.
    pub fn starts_at(&self) -> Option<SystemTime> {
        let sealed = self.sealed_at?;
        Some(self.not_before.map_or(sealed, |start| start.max(sealed)))
    }

    pub fn expires_at(&self) -> Option<SystemTime> {
        let after = Duration::from_secs(self.manifest.expires_after_seconds?);
        self.starts_at()?.checked_add(after)
    }

    /// Whether an entry that left had nothing more to read in a partition of the send topic.
    pub fn is_finished_at(&self, partition: Partition) -> bool {
        let Some(last) = self.last(partition) else {
            return self.is_complete();
        };
        let at = TopicPartition::new(Topic::Send, partition);
        self.is_complete()
            && self
                .left
                .get(&at)
                .is_some_and(|left| left.next > last && left.open.is_empty())
    }
}

/// RFC 3339 to an instant.
fn instant(text: &str) -> Result<SystemTime, String> {
    let parsed = text.parse::<jiff::Timestamp>();
    let instant = parsed.map_err(|_| format!("`{text}` is not a time"))?;
    Ok(SystemTime::from(instant))
}
