//! All that follows from one attempt: the message's outcome and event, the breakers' signal, the suppression list.

use super::{Circumstances, Schedule, Trouble};
use super::{after_break, after_no_reply, after_rejection, is_hard_bounce};
use crate::bounce;
use crate::domain::counters::Final;
use crate::domain::event::EventDetails;
use crate::domain::outcome::{Attempt, Class, Reason, Reply, Scope, UnansweredCause, Verdict};
use crate::domain::records::InDoubtPolicy;
use crate::protocol::Outcome;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// `None`: not attempted. The claim is taken back, and no event is written.
    pub outcome: Option<Outcome>,
    /// What the event says, without the relay's name.
    pub details: EventDetails,
    pub trouble: Trouble,
    /// The address goes into the suppression list.
    pub suppress: Option<HardBounce>,
}

/// Why an address is suppressed: the reason, and the reply's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HardBounce {
    pub reason: Reason,
    pub reply: String,
}

impl Decision {
    pub fn after(
        attempt: &Attempt,
        told: &Circumstances,
        schedule: &Schedule,
        in_doubt: InDoubtPolicy,
    ) -> Decision {
        match attempt {
            Attempt::Delivered(reply) => {
                Decision::new(Some(Outcome::Ended(Final::Delivered)), replied(reply))
            }
            Attempt::NotSent { .. } => Decision::new(None, EventDetails::default()),
            Attempt::BrokenOff { why, .. } => Decision::new(
                after_break(told, schedule),
                without_reply(UnansweredCause::ConnectionLost, why),
            ),
            Attempt::Unanswered { cause, why } => Decision {
                trouble: Trouble::Relay,
                ..Decision::new(
                    Some(after_no_reply(told.tries, schedule, in_doubt)),
                    without_reply(*cause, why),
                )
            },
            Attempt::Rejected { stage, reply } => {
                let verdict = bounce::classify(*stage, reply);
                let (outcome, trouble) = after_rejection(*stage, reply, &verdict, told, schedule);
                Decision {
                    outcome,
                    trouble,
                    suppress: is_hard_bounce(&verdict).then(|| HardBounce {
                        reason: verdict.reason,
                        reply: reply.to_string(),
                    }),
                    details: classified(reply, &verdict),
                }
            }
        }
    }

    /// The address was on the suppression list when the message's turn came.
    pub fn suppressed() -> Decision {
        let details = EventDetails {
            reason: Some(Reason::Manual),
            ..EventDetails::default()
        };
        Decision::new(Some(Outcome::Ended(Final::Suppressed)), details)
    }

    fn new(outcome: Option<Outcome>, details: EventDetails) -> Decision {
        Decision {
            outcome,
            details,
            trouble: Trouble::None,
            suppress: None,
        }
    }
}

fn replied(reply: &Reply) -> EventDetails {
    EventDetails {
        reply: Some(reply.to_string()),
        ..EventDetails::default()
    }
}

fn classified(reply: &Reply, verdict: &Verdict) -> EventDetails {
    EventDetails {
        class: Some(verdict.class),
        reason: Some(verdict.reason),
        scope: Some(verdict.scope),
        ..replied(reply)
    }
}

fn without_reply(cause: UnansweredCause, why: &str) -> EventDetails {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::Stage;
    use crate::engine::policy::RetrySchedule;

    #[test]
    fn a_hard_bounce_of_the_address_alone_is_suppressed() {
        let after = |code: u16, text: &str| {
            let reply = Reply {
                code,
                enhanced: None,
                text: text.to_string(),
            };
            let stage = Stage::RcptTo;
            let schedule = Schedule::from(&RetrySchedule::default());
            let attempt = Attempt::Rejected { stage, reply };
            Decision::after(
                &attempt,
                &Circumstances::default(),
                &schedule,
                InDoubtPolicy::Resend,
            )
        };
        let bounced = after(550, "5.1.1 no such user");
        assert_eq!(bounced.outcome, Some(Outcome::Ended(Final::Bounced)));
        let hard = bounced.suppress.unwrap();
        assert_eq!(hard.reply, "550 5.1.1 no such user");
        assert_eq!(bounced.details.reason, Some(hard.reason));
        assert_eq!(after(451, "4.3.0 try again later").suppress, None);
    }
}
