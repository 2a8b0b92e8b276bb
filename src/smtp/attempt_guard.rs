//! A message between the feed that gave it and the result that the feed gets back: exactly one, in every case.

use super::relay::{Feed, SessionEnd};
use crate::domain::outcome::{Attempt, Stage, UnansweredCause};
use std::time::SystemTime;

/// Reports the result of a message to its feed. If the session's future is dropped, so is the guard, and reports
/// whether the final dot had been written.
pub struct AttemptGuard<'feed> {
    feed: &'feed dyn Feed,
    ticket: u64,
    final_dot_sent: bool,
    is_settled: bool,
}

impl<'feed> AttemptGuard<'feed> {
    pub fn new(feed: &'feed dyn Feed, ticket: u64) -> AttemptGuard<'feed> {
        AttemptGuard {
            feed,
            ticket,
            final_dot_sent: false,
            is_settled: false,
        }
    }

    /// To be called right before MAIL FROM is written.
    pub fn begin(&self) {
        self.feed.begun(self.ticket, SystemTime::now());
    }

    /// Whether the claim is still valid. To be asked right before the final dot is written.
    pub fn may_finish(&self) -> bool {
        self.feed.may_finish(self.ticket)
    }

    /// To be called before the final dot is written: from then on the relay may have the message (RFC 1047).
    pub fn final_dot_is_sent(&mut self) {
        self.final_dot_sent = true;
    }

    pub fn settle(mut self, attempt: Attempt) {
        self.is_settled = true;
        self.feed.done(self.ticket, attempt);
    }

    /// The session ended before the message did.
    pub fn broken_off(self, end: &SessionEnd) {
        let why = end.why().to_string();
        match end {
            SessionEnd::Failed { stage, .. } if *stage >= Stage::RcptTo => {
                let stage = *stage;
                self.settle(Attempt::BrokenOff { stage, why });
            }
            _ => self.not_sent(why),
        }
    }

    pub fn not_sent(self, why: impl Into<String>) {
        self.settle(Attempt::NotSent { why: why.into() });
    }
}

impl Drop for AttemptGuard<'_> {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        let why = "the session was abandoned".to_string();
        let attempt = if self.final_dot_sent {
            let cause = UnansweredCause::ConnectionLost;
            Attempt::Unanswered { cause, why }
        } else {
            Attempt::NotSent { why }
        };
        self.feed.done(self.ticket, attempt);
    }
}
