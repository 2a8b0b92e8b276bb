//! A chunk: the messages of a fixed range of rows of one run, as plain values. The bytes are `queue::chunk`'s.

use super::content::MessageContent;
use super::ids::{Row, RunKey};
use super::topic::TopicPartition;
use serde::{Deserialize, Serialize};

/// A chunk holds at most this many rows: a set of positions is a bitset of 500.
pub const MAX_ROWS: usize = 500;
/// Compressed size, below what Kafka's brokers take by default (1,048,588 bytes) with room for headers.
pub const MAX_COMPRESSED_BYTES: usize = 512 * 1024;
/// Size before compression, shared text included: a worker holds what it has opened in memory.
pub const MAX_STORED_BYTES: usize = 8 * 1024 * 1024;

/// No message is longer.
pub const MAX_MESSAGE_BYTES: usize = MAX_STORED_BYTES;

/// What the record's headers say of a chunk, readable without decompressing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkHead {
    pub campaign: String,
    pub run: String,
    pub key: RunKey,
    /// Of the run's inputs; a chunk with another one than the manifest's is void.
    pub fingerprint: String,
    pub first_row: Row,
    pub last_row: Row,
    pub count: u32,
    /// Set on copies in retry tiers: the partition that the messages came from and the number of the move.
    pub moved_from: Option<(TopicPartition, u64)>,
    /// Correlates everything of one enqueue or one worker's life (header `traceId`).
    pub trace_id: String,
}

/// The JSON line before each message's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageLine {
    pub row: Row,
    /// Line of the recipients file, from 1.
    pub line: u64,
    pub address: String,
    /// Without the angle brackets; the same through retries, replays and hosts.
    pub id: String,
    pub return_path: String,
    /// Retries used so far.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tries: u32,
    /// Moves so far in this round.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hop: u32,
    /// Replays so far.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub round: u32,
    /// Suppressed at enqueue, and why: the line stands without bytes and the worker writes the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<String>,
    /// Length of the message in bytes, zero for a suppressed one. No `Date` field: it is set when the message is sent.
    pub bytes: u32,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// One message of an opened chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub line: MessageLine,
    pub content: MessageContent,
}

/// A decoded chunk. A message's position in `messages` is what the sets of a commit string count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    pub head: ChunkHead,
    pub messages: Vec<Message>,
}
