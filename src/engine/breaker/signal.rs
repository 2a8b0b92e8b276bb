//! What an attempt says to the breakers of its relay and its site.

use crate::domain::outcome::{Attempt, Stage};
use crate::engine::policy::Trouble;
use crate::smtp::LoginProblem;

/// An event for a breaker. The text is the relay's reply or the error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// A reply that is no failure of the relay or site.
    Fine,
    /// 4xx of relay or site scope.
    Deferred(String),
    /// 4xx for the sake of one recipient, or so the words say.
    DeferredOne(String),
    /// No connection, no TLS, no login, 421, relay access denied: further messages would fail too.
    Refused(String),
    /// The same words once a recipient was named: they may be about this message alone.
    RefusedOne(String),
    /// The login is refused for good.
    LoginRefused(LoginProblem, String),
    /// 5xx of sender or message scope.
    SenderRefused(String),
}

impl Signal {
    /// The signal of an attempt; `None` if it says nothing about the other side.
    pub fn of(attempt: &Attempt, trouble: Trouble) -> Option<Signal> {
        let words = match attempt {
            // The end of its session is reported for itself.
            Attempt::BrokenOff { .. } | Attempt::NotSent { .. } => return None,
            Attempt::Delivered(reply) | Attempt::Rejected { reply, .. } => reply.to_string(),
            Attempt::Unanswered { why, .. } => why.clone(),
        };
        Some(match trouble {
            Trouble::None => Signal::Fine,
            Trouble::Recipient => Signal::DeferredOne(words),
            Trouble::Site => Signal::Deferred(words),
            Trouble::Relay => Signal::Refused(words),
            Trouble::Sender => Signal::SenderRefused(words),
        })
    }

    /// The relay's words; empty where nothing is wrong.
    pub(super) fn words(&self) -> &str {
        match self {
            Signal::Fine => "",
            Signal::Deferred(words)
            | Signal::DeferredOne(words)
            | Signal::Refused(words)
            | Signal::RefusedOne(words)
            | Signal::LoginRefused(_, words)
            | Signal::SenderRefused(words) => words,
        }
    }

    /// The other side takes mail, and wants less or later. One that is away has no limit of its own.
    pub(super) fn is_deferral(&self) -> bool {
        matches!(
            self,
            Signal::Deferred(_) | Signal::DeferredOne(_) | Signal::RefusedOne(_)
        )
    }

    /// A refusal at RCPT TO or later.
    pub fn of_one(self) -> Signal {
        match self {
            Signal::Refused(words) => Signal::RefusedOne(words),
            other => other,
        }
    }
}

/// The signals of an attempt for the breakers of its relay and of its site. Trouble with a site, or with what we send,
/// pauses the site's lane, because the relay itself has answered.
pub fn signals(attempt: &Attempt, trouble: Trouble) -> (Option<Signal>, Option<Signal>) {
    let Some(signal) = Signal::of(attempt, trouble) else {
        return (None, None);
    };
    match (attempt, trouble) {
        // One lost connection is no outage, but many are.
        (Attempt::Unanswered { why, .. }, _) => (Some(Signal::Deferred(why.clone())), None),
        (Attempt::Rejected { stage, .. }, Trouble::Relay) if *stage >= Stage::RcptTo => {
            (Some(signal.of_one()), None)
        }
        (_, Trouble::Relay) => (Some(signal), None),
        (_, Trouble::None) => (Some(Signal::Fine), Some(Signal::Fine)),
        (_, Trouble::Recipient | Trouble::Site | Trouble::Sender) => {
            (Some(Signal::Fine), Some(signal))
        }
    }
}
