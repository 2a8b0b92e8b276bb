//! Messages at which sessions broke off, and that have not been moved since.

use crate::domain::topic::TopicPartition;
use crate::protocol::machine::MessageRef;
use crate::queue::Token;
use std::collections::HashMap;
use std::time::Duration;

/// A message under one ownership.
type Key = (TopicPartition, Token, MessageRef);

/// More are not remembered: then a message is as if it broke no session yet.
const MOST: usize = 10_000;

#[derive(Debug, Default)]
pub struct BrokenSessions {
    by_message: HashMap<Key, (u32, Duration)>,
}

impl BrokenSessions {
    /// How many sessions broke off at the message, and when the last one did.
    pub fn of(&self, key: &Key) -> Option<(u32, Duration)> {
        self.by_message.get(key).copied()
    }

    /// One more. The message is tried again at once.
    pub fn add(&mut self, key: Key, now: Duration) {
        if self.by_message.len() >= MOST {
            self.by_message.clear();
        }
        let (count, last) = self.by_message.entry(key).or_default();
        (*count, *last) = (*count + 1, now);
    }

    /// The message was answered or moved.
    pub fn forget(&mut self, key: &Key) {
        self.by_message.remove(key);
    }
}
