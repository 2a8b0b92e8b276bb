//! Records of the campaign topic and of the dlq, as JSON. Both topics are compacted, so the key of a record decides
//! which earlier record it replaces.

use super::counters::Counters;
use super::digest::leading_64_bits;
use super::event::Event;
use super::ids::{Offset, Row, RunId, RunKey};
use super::rate::Rate;
use super::reservation::Reservation;
use super::topic::TopicPartition;
use super::worker_name;
use ring::digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::AddAssign;

/// One record of the campaign topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CampaignRecord {
    Manifest(Manifest),
    /// Part of the letters that a replay sends again. A replay of many letters needs several records.
    Letters(Letters),
    /// Letters that a person purged from the dlq. Their messages stay dead, and `verify` does not look for the letters.
    Purged(Letters),
    Batch(BatchState),
    Seal(Seal),
    Control(Control),
    Cancel(Cancel),
    Left(LeftEntry),
    Rate(RateInForce),
    /// An unsealed run that is void, because its inputs changed or its period ended.
    Dropped(Dropped),
    /// A copy of a partition's commit, for queues that expire commits.
    Checkpoint(Checkpoint),
    /// A state of a partition's open chunks that its commits refer to, so that they stay short.
    Base(Base),
    /// Fingerprint of the project key, for queues that have no other place for it.
    Key(KeyInForce),
    /// Messages of a relay's daily quota, for one worker.
    Reservation(Reservation),
}

impl CampaignRecord {
    /// The record's key. Of several manifests, seals or drops of one run the first in the log counts, so compaction
    /// must keep all of them: each append, also a repeated one, has a random number in its key.
    pub fn key(&self) -> String {
        match self {
            CampaignRecord::Manifest(m) => format!("manifest/{}/{}", m.key, m.draw),
            CampaignRecord::Letters(l) => format!("letters/{}/{}/{}", l.key, l.draw, l.piece),
            CampaignRecord::Purged(l) => format!("purged/{}/{}/{}", l.key, l.draw, l.piece),
            CampaignRecord::Batch(b) => format!("batch/{}/{}/{}", b.key, b.manifest, b.batch),
            CampaignRecord::Seal(s) => format!("seal/{}/{}", s.key, s.draw),
            CampaignRecord::Control(c) => format!("control/{}", c.key),
            CampaignRecord::Cancel(c) => format!("cancel/{}", c.key),
            CampaignRecord::Left(l) => format!("left/{}/{}/{}", l.key, l.at, l.owner),
            CampaignRecord::Rate(_) => "rate".to_string(),
            CampaignRecord::Dropped(d) => format!("dropped/{}/{}/{}", d.key, d.draw, d.append),
            CampaignRecord::Checkpoint(c) => Checkpoint::key(&c.at, c.owner),
            CampaignRecord::Base(b) => Base::key(&b.at, &b.id),
            CampaignRecord::Key(k) => format!("key/{}", k.draw),
            CampaignRecord::Reservation(r) => r.key(),
        }
    }
}

/// Opens a run. Chunks and their partitions follow from the row numbers alone, so two processes that enqueue the same
/// run write the same chunks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    #[serde(flatten)]
    pub id: RunId,
    pub key: RunKey,
    /// Random number of this append.
    pub draw: u64,
    /// SHA-256 of the inputs in hexadecimal; of a replay, SHA-256 of the ids of its letters.
    pub fingerprint: String,
    /// Fingerprint of each input (`recipients`, `campaign`, `templates`, `limit`), to say which one changed.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// The run whose dead letters this one sends again. The messages count for that run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<RunKey>,
    /// For each partition of the send topic, the lowest offset that a chunk of this run can have.
    pub first: Vec<Offset>,
    pub chunk_rows: u64,
    pub batch_rows: u64,
    /// Rows in chunks: enqueued and suppressed.
    pub rows: u64,
    /// RFC 3339, UTC.
    pub created_at: String,
    /// Earliest time of the first attempt (`--at`). RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// Counted from the seal, or from `not_before` if it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after_seconds: Option<u64>,
    pub in_doubt: InDoubtPolicy,
    /// Each batch is sealed as soon as it is written.
    #[serde(default)]
    pub stream: bool,
    /// Absolute path of the recipients file, to name it in messages.
    #[serde(default)]
    pub recipients: String,
    /// How that file was read. Reading it again in the same way gives the same rows.
    #[serde(default)]
    pub reading: Box<FileReading>,
    /// Fingerprint of which rows have a message, where rows were left out because earlier runs have their addresses.
    /// Chunks depend on it, so a process goes on with this run only if it leaves out the same rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_fingerprint: Option<String>,
    /// Number of [`Letters`] records of this manifest; 0 for a run from a recipients file.
    #[serde(default)]
    pub pieces: u32,
}

impl Manifest {
    /// The partition of chunk 0, before the remainder. Different for each run, so that small runs do not all go to
    /// partition 0.
    pub fn first_partition(&self) -> u64 {
        let mut hash = digest::Context::new(&digest::SHA256);
        for part in [&self.id.campaign, &self.id.run, &self.fingerprint] {
            hash.update(part.as_bytes());
            hash.update(&[0]);
        }
        leading_64_bits(hash.finish().as_ref())
    }
}

/// Settings that decide which rows of a recipients file are accepted, besides the limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FileReading {
    pub email_column: String,
    /// Name of the encoding if the campaign gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    #[serde(default, skip_serializing_if = "SeveralPolicy::is_error")]
    pub several: SeveralPolicy,
    /// One message has all rows of a mailbox.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub group: bool,
    /// Sheet of a workbook if the campaign gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// Columns that templates of headers use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub header_columns: Vec<String>,
}

/// What to do with a cell that holds several addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeveralPolicy {
    /// The row is invalid.
    #[default]
    Error,
    /// One message to each address.
    Each,
}

impl SeveralPolicy {
    fn is_error(&self) -> bool {
        *self == SeveralPolicy::Error
    }
}

/// What to do with a message that the relay may or may not have accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InDoubtPolicy {
    /// Send it again under the same Message-ID.
    #[default]
    Resend,
    /// Keep it in the dlq until a person decides.
    Hold,
}

/// Letters of a replay, each identified by message id and round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Letters {
    pub key: RunKey,
    pub draw: u64,
    pub piece: u32,
    pub letters: Vec<LetterRef>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LetterRef {
    pub row: Row,
    pub id: String,
    pub round: u32,
    /// The message counts as in doubt, not as dead.
    #[serde(default)]
    pub in_doubt: bool,
}

/// A batch whose chunks are all durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchState {
    pub key: RunKey,
    /// `draw` of the manifest that it belongs to.
    pub manifest: u64,
    pub batch: u64,
    /// Offset of the run's last chunk in each partition, this batch included; `None` if the partition has none yet.
    pub last: Vec<Option<Offset>>,
    pub tally: Tally,
}

/// Counts of enqueue. `recipients = enqueued + duplicates + invalid + suppressed + already_sent` always holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    pub recipients: u64,
    pub enqueued: u64,
    pub duplicates: u64,
    pub invalid: u64,
    pub suppressed: u64,
    /// Rows left out because an earlier run of the campaign has their address (`--only-new`, `--replace`).
    #[serde(default)]
    pub already_sent: u64,
    pub batches: u64,
    pub chunks: u64,
    pub bytes_rendered: u64,
    pub bytes_queued: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.recipients += other.recipients;
        self.enqueued += other.enqueued;
        self.duplicates += other.duplicates;
        self.invalid += other.invalid;
        self.suppressed += other.suppressed;
        self.already_sent += other.already_sent;
        self.batches += other.batches;
        self.chunks += other.chunks;
        self.bytes_rendered += other.bytes_rendered;
        self.bytes_queued += other.bytes_queued;
    }
}

/// Closes a run: all its chunks are durable, none above offset `last`. Only a sealed run is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    pub key: RunKey,
    /// `draw` of the manifest that it belongs to.
    pub manifest: u64,
    pub draw: u64,
    pub last: Vec<Option<Offset>>,
    pub tally: Tally,
    pub sealed_at: String,
    /// With `--stream`, only rows below this number are sealed. `None`: the whole run is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_below: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    pub key: RunKey,
    pub paused: bool,
    pub at: String,
    pub by: String,
}

/// A cancel is final. It has a key of its own, so that a later resume does not replace it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    pub key: RunKey,
    pub at: String,
    pub by: String,
}

/// The entry of a run in one partition, moved from the commit string to here because the run is paused or has ended
/// there. It equals the entry in the last acknowledged commit, and has neither claims nor pending moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeftEntry {
    pub key: RunKey,
    /// `topic/partition`.
    pub at: String,
    /// Epoch of the owner that wrote it. Of several entries the one with the highest epoch counts, then the last.
    pub owner: u64,
    /// The run is read from here on. In a retry tier this is the tier's cursor: all of the run below it is in
    /// `counters`.
    pub next: Offset,
    pub last_row: Option<Row>,
    /// Open chunks: offset, and the bitset of done messages as text.
    #[serde(default, deserialize_with = "open_chunks")]
    pub open: BTreeMap<Offset, String>,
    pub counters: Counters,
}

/// Keys of JSON objects are text, and serde cannot read numbers from them inside a tagged enum.
fn open_chunks<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<Offset, String>, D::Error> {
    let by_text: BTreeMap<String, String> = BTreeMap::deserialize(deserializer)?;
    by_text
        .into_iter()
        .map(|(offset, done)| Ok((offset.parse().map_err(serde::de::Error::custom)?, done)))
        .collect()
}

/// The rate belongs to the queue. Every worker follows the newest record within 2 s.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateInForce {
    pub rate: Rate,
    pub burst: u32,
    /// Of a rate given by flag: the name of the worker, which begins with its host.
    pub host: String,
    /// `--rate`, `MAILQ_RATE`, `mailq.toml:4`, `default`.
    pub source: String,
    pub at: String,
}

impl RateInForce {
    /// The worker that was given it by flag. The rate ends with it.
    pub fn given_to(&self) -> Option<&str> {
        self.source.starts_with("--").then_some(&self.host)
    }

    /// The host, for people.
    pub fn host(&self) -> &str {
        match self.given_to() {
            Some(worker) => worker_name::host_of(worker),
            None => &self.host,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    pub key: RunKey,
    /// `draw` of the manifest that is void.
    pub draw: u64,
    /// Random number of this append. If a repeated append replaced the first, a manifest between the two would come
    /// before the drop and be void too.
    pub append: u64,
    pub why: String,
}

/// A copy of a partition's last commit. The copy with the highest epoch counts, then the last in the log. Each epoch
/// has a key of its own, so that a late append of a former owner does not replace the copy of its successor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// `topic/partition`.
    pub at: String,
    /// Epoch in `text`.
    pub owner: u64,
    /// The last commit of this epoch: the owner gave the partition up and commits nothing more. It may contain claims, if
    /// the time to stop was over.
    pub clean: bool,
    pub offset: Offset,
    /// The commit's text without a base, so of any length.
    pub text: String,
    /// The owner's `max_uncommitted`: at no time were more messages claimed and not done.
    pub claims: u64,
    /// Name of the worker.
    pub by: String,
    pub written_at: String,
}

impl Checkpoint {
    pub fn key(at: &str, owner: u64) -> String {
        format!("checkpoint/{at}/{owner}")
    }
}

/// A state of a partition's open chunks. Commits say what has changed since. Each has a key of its own, because the last
/// commit may refer to the base before the last. When no commit refers to a base any more, its record is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// `topic/partition`.
    pub at: String,
    /// `epoch.number.digest`.
    pub id: String,
    /// As a commit's text, of any length.
    pub text: String,
}

impl Base {
    pub fn key(at: &str, id: &str) -> String {
        format!("base/{at}/{id}")
    }

    /// The reverse of [`Base::key`]: partition and id. `None`: the key of another kind of record.
    pub fn of_key(key: &str) -> Option<(&str, &str)> {
        key.strip_prefix("base/")?.rsplit_once('/')
    }
}

/// The project key's fingerprint. The first record in the log counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyInForce {
    pub fingerprint: String,
    /// Random number of this append, so that compaction keeps the first record.
    pub draw: u64,
    pub host: String,
    pub made_at: String,
}

/// A dead letter: a record of the dlq topic with the key `{message id}/{round}`. A chunk with the one message follows,
/// so a replay sends the same bytes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The run that counts the message.
    pub key: RunKey,
    pub campaign: String,
    pub run: String,
    /// The event that ended the message. `None` if the partition's next owner repeated the move: it knows the decision
    /// and not the reply. The event topic has the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
    /// The message counts as in doubt, not as dead.
    #[serde(default)]
    pub in_doubt: bool,
    /// Number of attempts. The event topic has the events of each.
    pub attempts: u32,
    /// Partition and number of the move that brought the letter here.
    pub from: TopicPartitionText,
    pub number: u64,
}

/// A [`TopicPartition`] as JSON text, `send/3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicPartitionText(pub TopicPartition);

impl Serialize for TopicPartitionText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TopicPartitionText {
    fn deserialize<D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<TopicPartitionText, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map(TopicPartitionText)
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_with_open_chunks_survives_json() {
        let left = CampaignRecord::Left(LeftEntry {
            key: RunKey(1),
            at: "send/0".into(),
            owner: 3,
            next: 9,
            last_row: Some(41),
            open: [(7, "AQ".to_string())].into(),
            counters: Counters::default(),
        });
        let json = serde_json::to_vec(&left).unwrap();
        assert_eq!(
            serde_json::from_slice::<CampaignRecord>(&json).unwrap(),
            left
        );
    }
}
