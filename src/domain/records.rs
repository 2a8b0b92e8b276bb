//! What stands in the campaign topic and the dlq, as JSON. Each kind has its key; the topic is compacted by key.

use super::counters::Counters;
use super::event::Event;
use super::ids::{Offset, Row, RunId, RunKey};
use super::rate::Rate;
use super::topic::TopicPartition;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One record of the campaign topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CampaignRecord {
    Manifest(Manifest),
    /// A piece of a replay manifest's ids: they are many, records are small.
    Letters(Letters),
    /// Letters of a run that somebody removed: their messages stay dead and are not missed.
    Purged(Letters),
    Batch(BatchState),
    Seal(Seal),
    Control(Control),
    Cancel(Cancel),
    Left(Left),
    Rate(RateInForce),
    /// An unsealed run that other inputs, or a later period, have made void.
    Dropped(Dropped),
    /// Where a partition stood, for queues that forget commits.
    Checkpoint(Checkpoint),
    /// Which key the queue belongs to, for queues that have no other place to say so.
    Key(KeyInForce),
}

impl CampaignRecord {
    /// Manifests, seals and drops carry a number drawn for each append, repeated ones too, so that compaction keeps
    /// each: the first in the log counts.
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
            CampaignRecord::Key(k) => format!("key/{}", k.draw),
        }
    }
}

/// Opens a run. Rows decide which chunk goes where, so two processes that enqueue the same run write the same chunks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    #[serde(flatten)]
    pub id: RunId,
    pub key: RunKey,
    /// Drawn at random for each append.
    pub draw: u64,
    /// SHA-256 of the inputs in hexadecimal. For a replay: of the ids.
    pub fingerprint: String,
    /// Of the parts, to say what changed: `recipients`, `campaign`, `templates`, `limit`.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// The run whose dead letters this one sends again; they count for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<RunKey>,
    /// First offset that a chunk of this run can have, for each partition of the send topic.
    pub first: Vec<Offset>,
    pub chunk_rows: u64,
    pub batch_rows: u64,
    /// Rows that will be in chunks: enqueued and suppressed together.
    pub rows: u64,
    /// RFC 3339, UTC.
    pub created_at: String,
    /// Nothing is sent before this (`--at`). RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// From the seal, or from `not_before`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after_seconds: Option<u64>,
    pub in_doubt: InDoubtPolicy,
    /// Sealed batch by batch.
    #[serde(default)]
    pub stream: bool,
    /// Absolute path of the recipients file, for messages.
    #[serde(default)]
    pub recipients: String,
    /// How that file was read: whoever reads it again must find the same rows.
    #[serde(default)]
    pub reading: FileReading,
    /// Pieces of [`Letters`] that belong to this manifest; 0 for a run from a CSV.
    #[serde(default)]
    pub pieces: u32,
}

/// What decides, beside its bytes and the limit, which rows of a recipients file are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FileReading {
    pub email_column: String,
    /// Columns whose cells reach a header of the message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub header_columns: Vec<String>,
}

/// What is done with a message that the relay may or may not have taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InDoubtPolicy {
    /// Send it again under the same Message-ID.
    #[default]
    Resend,
    /// Keep it as an in-doubt letter for a person to decide.
    Hold,
}

/// Letters that a replay manifest names: (message id, round), with the row they have in their run.
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
    /// Counted as in doubt, not as dead.
    #[serde(default)]
    pub in_doubt: bool,
}

/// A batch whose chunks are all durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchState {
    pub key: RunKey,
    /// The draw of the manifest that it belongs to.
    pub manifest: u64,
    pub batch: u64,
    /// Highest offset in each partition so far, this batch included; `None` where the run has nothing yet.
    pub last: Vec<Option<Offset>>,
    pub tally: Tally,
}

/// What enqueue counted. Law: `recipients = enqueued + duplicates + invalid + suppressed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    pub recipients: u64,
    pub enqueued: u64,
    pub duplicates: u64,
    pub invalid: u64,
    pub suppressed: u64,
    pub batches: u64,
    pub chunks: u64,
    pub bytes_rendered: u64,
    pub bytes_queued: u64,
}

/// Closes a run: all its chunks are durable and lie at or below `last`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    pub key: RunKey,
    /// The draw of the manifest that it belongs to.
    pub manifest: u64,
    pub draw: u64,
    pub last: Vec<Option<Offset>>,
    pub tally: Tally,
    pub sealed_at: String,
    /// For `--stream`: rows below this are sealed; the last seal has all of them. `None`: the whole run.
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

/// Final: it has a key of its own and wins over any later resume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    pub key: RunKey,
    pub at: String,
    pub by: String,
}

/// A run's entry of one partition that has left the commit string: paused, or nothing of it is left there.
/// Exactly what the last acknowledged commit held, with no claim and no move under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Left {
    pub key: RunKey,
    /// `topic/partition`.
    pub at: String,
    /// The owner number under which it left; the highest counts, then the last in the log.
    pub owner: u64,
    /// Where the run is read from next; in a tier, where the tier was: below it all of the run is in `counters`.
    pub next: Offset,
    pub last_row: Option<Row>,
    /// Open chunks, offset to the done positions as bitset text.
    #[serde(default, deserialize_with = "open_chunks")]
    pub open: BTreeMap<Offset, String>,
    pub counters: Counters,
}

/// Keys of JSON objects are text, and serde does not read numbers from them inside a tagged enum.
fn open_chunks<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<Offset, String>, D::Error> {
    let by_text: BTreeMap<String, String> = BTreeMap::deserialize(deserializer)?;
    by_text
        .into_iter()
        .map(|(offset, done)| Ok((offset.parse().map_err(serde::de::Error::custom)?, done)))
        .collect()
}

/// The rate belongs to the queue: the newest record wins at every worker within 2 s.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateInForce {
    pub rate: Rate,
    pub burst: u32,
    pub host: String,
    /// `--rate`, `MAILQ_RATE`, `mailq.toml:4`, `default`.
    pub source: String,
    pub at: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    pub key: RunKey,
    /// Of the manifest that is void.
    pub draw: u64,
    /// Drawn at random for each append. Were a repeated one to replace the first, a manifest between them would no
    /// longer come after the drop.
    pub append: u64,
    pub why: String,
}

/// A partition's last commit as its owner knew it. The highest owner number counts, then the last in the log: what a
/// former owner appends late must not replace what its successor wrote, so each number has a key of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// `topic/partition`.
    pub at: String,
    /// That of `text`.
    pub owner: u64,
    /// Nothing is committed after this under this number.
    pub clean: bool,
    pub offset: Offset,
    /// The commit string.
    pub text: String,
    /// K of the owner: as many messages at most were claimed and not done at any moment.
    pub claims: u64,
    /// The worker's name.
    pub by: String,
    pub written_at: String,
}

impl Checkpoint {
    pub fn key(at: &str, owner: u64) -> String {
        format!("checkpoint/{at}/{owner}")
    }
}

/// The project key's fingerprint. The first in the log counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyInForce {
    pub fingerprint: String,
    /// Drawn at random for each append, so that compaction keeps the first.
    pub draw: u64,
    pub host: String,
    pub made_at: String,
}

/// A dead letter: a record of the dlq topic, under the key `{message id}/{round}`. The message's bytes follow in a
/// chunk of one message, so what is replayed is what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The run that the message counts for.
    pub key: RunKey,
    pub campaign: String,
    pub run: String,
    /// Why it stopped: the event that ended it. `None`: a decided move was repeated by the partition's next owner, who
    /// knows the decision and not the reply; the event itself is in the event topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
    /// Counted as in doubt, not as dead.
    #[serde(default)]
    pub in_doubt: bool,
    /// The first delivery attempt's events in order are in the event topic; how many attempts there were is here.
    pub attempts: u32,
    /// Where the move came from and under which number.
    pub from: TopicPartitionText,
    pub number: u64,
}

/// A [`TopicPartition`] in JSON.
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
    fn an_entry_that_left_with_open_chunks_comes_back() {
        let left = CampaignRecord::Left(Left {
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
