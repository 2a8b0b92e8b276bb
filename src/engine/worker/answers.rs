//! From what a connection said of a message to what becomes of it: the classifier's verdict, the policy's decision,
//! the breakers' signals.

use super::lanes::Answer;
use crate::bounce;
use crate::domain::counters::Final;
use crate::domain::event::EventDetails;
use crate::domain::outcome::{Attempt, Class, Reason, Reply, Scope, UnansweredCause, Verdict};
use crate::domain::records::InDoubtPolicy;
use crate::engine::breaker::Signal;
use crate::engine::policy::{self, Decision, Ruling, Schedule, Trouble};
use crate::protocol::Fate;
use std::rc::Rc;

pub struct Judgement {
    pub fate: Fate,
    pub note: Rc<EventDetails>,
    /// The address is to be suppressed.
    pub suppress: Option<HardBounce>,
    pub relay: Option<Signal>,
    pub site: Option<Signal>,
}

/// Why an address is suppressed: the reason, and the reply's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HardBounce {
    pub reason: Reason,
    pub reply: String,
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
            suppress: None,
            relay: None,
            site: None,
        };
    }
    let tries = answer.handed.message.line.tries;
    let mut suppress = None;
    let (ruling, note) = match &answer.attempt {
        Attempt::Delivered(reply) => (Ruling::DELIVERED, replied(reply)),
        Attempt::NotSent { .. } => (Ruling::NOT_SENT, EventDetails::default()),
        Attempt::Unanswered { cause, why } => {
            let ruling = policy::unanswered(tries, schedule, in_doubt);
            (ruling, unanswered(*cause, why))
        }
        Attempt::Rejected { stage, reply } => {
            let verdict = bounce::classify(*stage, reply);
            let ruling = policy::rejected(*stage, reply, &verdict, tries, schedule);
            suppress = ruling.suppress.then(|| HardBounce {
                reason: verdict.reason,
                reply: reply.to_string(),
            });
            (ruling, rejected(reply, &verdict))
        }
    };
    let relay = answer.relay.clone();
    let (relay_signal, site_signal) = signals(&answer.attempt, ruling.trouble);
    Judgement {
        fate: fate(ruling.decision, &answer.attempt),
        note: Rc::new(EventDetails { relay, ..note }),
        suppress,
        relay: relay_signal,
        site: site_signal,
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

fn replied(reply: &Reply) -> EventDetails {
    EventDetails {
        reply: Some(reply.to_string()),
        ..EventDetails::default()
    }
}

fn rejected(reply: &Reply, verdict: &Verdict) -> EventDetails {
    EventDetails {
        class: Some(verdict.class),
        reason: Some(verdict.reason),
        scope: Some(verdict.scope),
        ..replied(reply)
    }
}

fn unanswered(cause: UnansweredCause, why: &str) -> EventDetails {
    let reason = match cause {
        UnansweredCause::NoReply => Reason::NoReply,
        UnansweredCause::ConnectionLost => Reason::ConnectionLost,
    };
    EventDetails {
        reply: Some(why.to_string()),
        class: Some(Class::Temporary),
        reason: Some(reason),
        scope: Some(Scope::Relay),
        relay: None,
    }
}

/// Trouble with a site or with what we send pauses the site's lane; the relay has answered all the same.
fn signals(attempt: &Attempt, trouble: Trouble) -> (Option<Signal>, Option<Signal>) {
    let Some(signal) = Signal::of(attempt, trouble) else {
        return (None, None);
    };
    match (attempt, trouble) {
        // One connection lost is no outage; most of them lost is.
        (Attempt::Unanswered { why, .. }, _) => (Some(Signal::Deferred(why.clone())), None),
        (_, Trouble::Relay) => (Some(signal), None),
        (_, Trouble::None) => (Some(Signal::Fine), Some(Signal::Fine)),
        (_, Trouble::Site | Trouble::Sender) => (Some(Signal::Fine), Some(signal)),
    }
}
