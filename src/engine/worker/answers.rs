//! From what a connection said of a message to what becomes of it: the classifier's verdict, the policy's decision,
//! the breakers' signals.

use super::lanes::Answer;
use crate::bounce;
use crate::domain::counters::Final;
use crate::domain::event::Note;
use crate::domain::outcome::{Attempt, Class, Reason, Scope};
use crate::domain::records::InDoubtPolicy;
use crate::engine::breaker::Signal;
use crate::engine::policy::{self, Decision, Schedule, Trouble};
use crate::protocol::Fate;
use std::rc::Rc;

pub struct Judgement {
    pub fate: Fate,
    pub note: Rc<Note>,
    /// The address is to be suppressed.
    pub suppress: bool,
    pub relay: Option<Signal>,
    pub site: Option<Signal>,
}

pub fn judge(answer: &Answer, schedule: &Schedule, in_doubt: InDoubtPolicy) -> Judgement {
    if answer.suppressed {
        let note = Note {
            reason: Some(Reason::Manual),
            ..Note::default()
        };
        return Judgement {
            fate: Fate::Ended(Final::Suppressed),
            note: Rc::new(note),
            suppress: false,
            relay: None,
            site: None,
        };
    }
    let verdict = match &answer.attempt {
        Attempt::Rejected { stage, reply } => Some(bounce::classify(*stage, reply)),
        _ => None,
    };
    let tries = answer.handed.message.line.tries;
    let ruling = policy::decide(&answer.attempt, verdict.as_ref(), tries, schedule, in_doubt);
    let unanswered = matches!(answer.attempt, Attempt::Unanswered { .. });
    let fate = match ruling.decision {
        Decision::Delivered => Fate::Ended(Final::Delivered),
        Decision::Bounced => Fate::Ended(Final::Bounced),
        Decision::Dead => Fate::Dead,
        Decision::Retry { delay, uses_try } => Fate::Retry {
            delay,
            uses_try,
            in_doubt: unanswered,
        },
        Decision::HoldInDoubt => Fate::Held,
        Decision::Unused => Fate::Unused,
    };
    let mut note = Note {
        relay: answer.relay.clone(),
        ..Note::default()
    };
    match &answer.attempt {
        Attempt::Delivered(reply) | Attempt::Rejected { reply, .. } => {
            note.reply = Some(reply.to_string())
        }
        Attempt::Unanswered { why } => {
            note.reply = Some(why.clone());
            note.class = Some(Class::Temporary);
            note.scope = Some(Scope::Relay);
            note.reason = Some(if why.starts_with("no reply") {
                Reason::NoReply
            } else {
                Reason::ConnectionLost
            });
        }
        Attempt::NotSent { .. } => {}
    }
    if let Some(verdict) = &verdict {
        (note.class, note.reason, note.scope) = (
            Some(verdict.class),
            Some(verdict.reason),
            Some(verdict.scope),
        );
    }
    let (relay, site) = signals(&answer.attempt, ruling.trouble);
    Judgement {
        fate,
        note: Rc::new(note),
        suppress: ruling.suppress,
        relay,
        site,
    }
}

/// Trouble with a site or with what we send pauses the site's lane; the relay has answered all the same.
fn signals(attempt: &Attempt, trouble: Trouble) -> (Option<Signal>, Option<Signal>) {
    let Some(signal) = Signal::of(attempt, trouble) else {
        return (None, None);
    };
    match (attempt, trouble) {
        // One connection lost is no outage; most of them lost is.
        (Attempt::Unanswered { why }, _) => (Some(Signal::Deferred(why.clone())), None),
        (_, Trouble::Relay) => (Some(signal), None),
        (_, Trouble::None) => (Some(Signal::Fine), Some(Signal::Fine)),
        (_, Trouble::Site | Trouble::Sender) => (Some(Signal::Fine), Some(signal)),
    }
}
