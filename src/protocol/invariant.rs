//! What must always hold, and the error for when it does not.
//!
//! Nothing from outside can break these: a record or a commit that cannot be read has an error of its own. A broken
//! invariant is a defect of mailq, or a queue that does not keep its contract. The machine that finds one must not be
//! used any further: the worker stops working on the partition and commits nothing more there, so no message is marked
//! done and none is skipped, and the next owner continues from the last acknowledged commit.

use crate::domain::topic::TopicPartition;
use std::fmt;

/// An invariant of one partition that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("broken invariant: {invariant} ({detail})")]
pub struct Broken {
    pub at: TopicPartition,
    pub invariant: Invariant,
    /// Which offset, position, run or epoch.
    pub detail: String,
}

impl Broken {
    pub fn new(at: TopicPartition, invariant: Invariant, detail: impl fmt::Display) -> Broken {
        Broken {
            at,
            invariant,
            detail: detail.to_string(),
        }
    }
}

/// Each variant's text says what must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// Events, moves and counters need the run's names and policy.
    RunHasManifest,
    /// The entry has the counters, in which each message's end must be counted.
    OpenChunkHasRunEntry,
    /// A position outside the chunk is no message, so it could never be done.
    SetsFitTheChunk,
    /// Another run's contents under an open offset would be sent in its name.
    ContentsAreOfTheRun,
    ChunkFitsASet,
    /// What is claimed, moved or ended is a message of an open chunk whose contents have been read.
    MessageIsOpen,
    /// An answer is of a message that this ownership has handed over, and comes once.
    AnswerIsAwaited,
    ReadIsAwaited,
    /// A claim that is taken back was in the commit.
    ReleasedWasClaimed,
    MessageEndsOnce,
    /// A move names at least one message, and all of them are of its run.
    MoveNamesItsMessages,
    /// Without a source and a number a moved chunk cannot be told from its repetition.
    CopyNamesItsSource,
    EntryLeavesOnce,
    EffectsAreAwaited,
    CommitIsAwaited,
    /// The queue refuses a longer one every time.
    TextFitsACommit,
    /// Open and unread records are at or above the low watermark.
    NeededRecordsAreKept,
    /// A queue answers for each partition that it was asked about.
    QueueAnswersForEach,
    /// A partition is lost before it is gained again.
    OwnedOnce,
    RecordCanBeWritten,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Invariant::RunHasManifest => "every run has a manifest in the campaign topic",
            Invariant::OpenChunkHasRunEntry => {
                "the run of every open chunk has an entry in the commit"
            }
            Invariant::SetsFitTheChunk => {
                "the sets of an open chunk name only messages that it holds"
            }
            Invariant::ContentsAreOfTheRun => "an open chunk holds messages of its run",
            Invariant::ChunkFitsASet => "a chunk has no more rows than a set has positions",
            Invariant::MessageIsOpen => "a message that is acted on lies in an open chunk",
            Invariant::AnswerIsAwaited => "each message in flight is answered once",
            Invariant::ReadIsAwaited => "only what was asked for is read, once",
            Invariant::ReleasedWasClaimed => "a claim that is taken back was claimed",
            Invariant::MessageEndsOnce => "a message comes to one end here",
            Invariant::MoveNamesItsMessages => "a move names messages, all of its run",
            Invariant::CopyNamesItsSource => {
                "a chunk in a retry tier names the move that brought it"
            }
            Invariant::EntryLeavesOnce => "an entry that leaves the commit was in it",
            Invariant::EffectsAreAwaited => "effects become durable once",
            Invariant::CommitIsAwaited => "a commit that is acknowledged was composed",
            Invariant::TextFitsACommit => "the commit fits the queue's limit",
            Invariant::NeededRecordsAreKept => "records that are still needed are kept",
            Invariant::QueueAnswersForEach => "the queue answers for each partition",
            Invariant::OwnedOnce => "a partition is lost before it is gained again",
            Invariant::RecordCanBeWritten => "every record can be written",
        })
    }
}
