//! Messages of open chunks, with all that their records need, so that the worker never asks the machine again.

use crate::domain::chunk::{ChunkHead, Message};
use crate::domain::ids::{Offset, RunKey};
use crate::domain::topic::TopicPartition;
use std::rc::Rc;
use std::time::SystemTime;

/// Where a message is: the offset of its chunk and its position in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageRef {
    pub offset: Offset,
    pub position: usize,
}

/// A message of an open chunk.
#[derive(Debug, Clone)]
pub struct OpenMessage {
    pub at: TopicPartition,
    /// The owner's epoch, under which events are written.
    pub epoch: u64,
    pub reference: MessageRef,
    pub run: RunKey,
    pub message: Message,
    /// Of the chunk that has it.
    pub head: Rc<ChunkHead>,
    /// When it was due: in a tier by its delay, in send when its chunk was appended.
    pub due_at: SystemTime,
}
