//! From what a connection said of a message to what becomes of it: the classifier's verdict, the policy's decision,
//! the breakers' signals.

use super::lanes::Answer;
use crate::bounce;
use crate::domain::counters::Final;
use crate::domain::event::EventDetails;
use crate::domain::outcome::{Attempt, Class, Reason, Scope, Verdict};
use crate::domain::records::InDoubtPolicy;
use crate::engine::breaker::Signal;
use crate::engine::policy::{self, Decision, Schedule, Trouble};
use crate::protocol::Fate;
use std::rc::Rc;

pub struct Judgement {
    pub fate: Fate,
    pub note: Rc<EventDetails>,
    /// The address is to be suppressed.
    pub suppress: bool,
    pub relay: Option<Signal>,
    pub site: Option<Signal>,
}

pub fn judge(answer: &Answer, schedule: &Schedule, in_doubt: InDoubtPolicy) -> Judgement {
    if answer.suppressed {
        let note = Rc::new(EventDetails {
            reason: Some(Reason::Manual),
            ..EventDetails::default()
        });
        let fate = Fate::Ended(Final::Suppressed);
        return Judgement {
            fate,
            note,
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
    let (relay, site) = signals(&answer.attempt, ruling.trouble);
    Judgement {
        fate: fate(ruling.decision, &answer.attempt),
        note: Rc::new(note(answer, verdict.as_ref())),
        suppress: ruling.suppress,
        relay,
        site,
    }
}

fn fate(decision: Decision, attempt: &Attempt) -> Fate {
    let in_doubt = matches!(attempt, Attempt::Unanswered { .. });
    match decision {
        Decision::Delivered => Fate::Ended(Final::Delivered),
        Decision::Bounced => Fate::Ended(Final::Bounced),
        Decision::Dead => Fate::Dead,
        Decision::Retry { delay, uses_try } => Fate::Retry {
            delay,
            uses_try,
            in_doubt,
        },
        Decision::HoldInDoubt => Fate::Held,
        Decision::Unused => Fate::Unused,
    }
}

fn note(answer: &Answer, verdict: Option<&Verdict>) -> EventDetails {
    let relay = answer.relay.clone();
    match &answer.attempt {
        Attempt::Delivered(reply) | Attempt::Rejected { reply, .. } => EventDetails {
            relay,
            reply: Some(reply.to_string()),
            class: verdict.map(|verdict| verdict.class),
            reason: verdict.map(|verdict| verdict.reason),
            scope: verdict.map(|verdict| verdict.scope),
        },
        Attempt::Unanswered { why } => {
            let silent = why.starts_with("no reply");
            let reason = if silent {
                Reason::NoReply
            } else {
                Reason::ConnectionLost
            };
            EventDetails {
                relay,
                reply: Some(why.clone()),
                class: Some(Class::Temporary),
                reason: Some(reason),
                scope: Some(Scope::Relay),
            }
        }
        Attempt::NotSent { .. } => EventDetails {
            relay,
            ..EventDetails::default()
        },
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
