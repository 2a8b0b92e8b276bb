//! A message between the feed that gave it and the attempt that ends it: exactly one attempt, whatever happens.

use super::Feed;
use crate::domain::outcome::Attempt;
use std::time::SystemTime;

/// Tells the feed what became of a message when it is settled, or when it is dropped: a conversation that is given
/// up in the middle still says whether the final dot had been written.
pub struct Taken<'feed> {
    feed: &'feed dyn Feed,
    ticket: u64,
    dot_is_out: bool,
    is_settled: bool,
}

impl<'feed> Taken<'feed> {
    pub fn new(feed: &'feed dyn Feed, ticket: u64) -> Taken<'feed> {
        Taken {
            feed,
            ticket,
            dot_is_out: false,
            is_settled: false,
        }
    }

    pub fn begins(&self) {
        self.feed.begun(self.ticket, SystemTime::now());
    }

    pub fn may_finish(&self) -> bool {
        self.feed.may_finish(self.ticket)
    }

    /// From here on the relay may hold the mail.
    pub fn dot_goes_out(&mut self) {
        self.dot_is_out = true;
    }

    pub fn settle(mut self, attempt: Attempt) {
        self.is_settled = true;
        self.feed.done(self.ticket, attempt);
    }

    pub fn not_sent(self, why: impl Into<String>) {
        self.settle(Attempt::NotSent { why: why.into() });
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        let why = "the conversation was abandoned".to_string();
        let attempt = if self.dot_is_out {
            Attempt::Unanswered { why }
        } else {
            Attempt::NotSent { why }
        };
        self.feed.done(self.ticket, attempt);
    }
}
