//! Decides what happens after one attempt: (class, scope, stage, tries) -> decision. Pure: no clock, no I/O, one table.

mod schedule;

pub use schedule::{RetrySchedule, Schedule};

use crate::domain::outcome::{Class, Reason, Reply, Scope, Stage, Verdict};
use crate::domain::records::InDoubtPolicy;
use std::time::Duration;

/// What becomes of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Delivered,
    /// The address is dead.
    Bounced,
    /// We stop trying.
    Dead,
    /// Into the tier of this delay.
    Retry {
        delay: Duration,
        uses_try: bool,
    },
    /// Kept for a person: the relay may hold the mail.
    HoldInDoubt,
    /// Not sent: goes back unclaimed, nobody's try is used.
    Unused,
}

/// What the breakers are told, beside what `End` tells them about connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    None,
    /// The relay refuses us, or is gone.
    Relay,
    /// Deferred for a reason that is about more than one recipient.
    Site,
    /// Refused for what we are or send.
    Sender,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ruling {
    pub decision: Decision,
    pub trouble: Trouble,
    /// The address goes into the suppression list.
    pub suppress: bool,
}

impl Ruling {
    pub const DELIVERED: Ruling = Ruling::new(Decision::Delivered, Trouble::None);
    pub const NOT_SENT: Ruling = Ruling::new(Decision::Unused, Trouble::None);

    const fn new(decision: Decision, trouble: Trouble) -> Ruling {
        Ruling {
            decision,
            trouble,
            suppress: false,
        }
    }
}

/// The final dot was written and has no reply, so the relay may hold the mail (RFC 1047). Out of tries the message is
/// in doubt, not dead: nobody refused it.
pub fn unanswered(tries: u32, schedule: &Schedule, in_doubt: InDoubtPolicy) -> Ruling {
    let mut ruling = match in_doubt {
        InDoubtPolicy::Hold => Ruling::new(Decision::HoldInDoubt, Trouble::Relay),
        InDoubtPolicy::Resend => retry_or(
            Decision::HoldInDoubt,
            schedule.temporary(tries),
            tries,
            schedule,
        ),
    };
    ruling.trouble = Trouble::Relay;
    ruling
}

/// The table: class × scope. `tries`: retries that the message had used before this attempt.
pub fn rejected(
    stage: Stage,
    reply: &Reply,
    verdict: &Verdict,
    tries: u32,
    schedule: &Schedule,
) -> Ruling {
    let delay = schedule.delay(verdict, tries);
    match (verdict.class, verdict.scope) {
        (Class::Hard, scope) => Ruling {
            decision: Decision::Bounced,
            trouble: Trouble::None,
            suppress: scope == Scope::Recipient,
        },
        // Once a recipient was named the relay may mean only this one: the message makes room for the next probe.
        (_, Scope::Relay) if stage >= Stage::RcptTo => Ruling::new(
            Decision::Retry {
                delay,
                uses_try: false,
            },
            Trouble::Relay,
        ),
        (_, Scope::Relay) => Ruling::new(Decision::Unused, Trouble::Relay),
        (Class::Temporary, Scope::Site) => Ruling::new(
            Decision::Retry {
                delay,
                uses_try: false,
            },
            if reply.code == 421 {
                Trouble::Relay
            } else {
                Trouble::Site
            },
        ),
        (Class::Soft, Scope::Message | Scope::Sender) => {
            Ruling::new(Decision::Dead, Trouble::Sender)
        }
        (Class::Soft, Scope::Recipient | Scope::Site)
        | (Class::Temporary, Scope::Recipient | Scope::Message | Scope::Sender) => Ruling {
            trouble: wider(verdict, tries),
            ..retry_or(Decision::Dead, delay, tries, schedule)
        },
    }
}

/// A server's own error may be about everybody. Only first attempts are counted: what waits in the retry tiers is
/// there because it was deferred, and says nothing about the rest.
fn wider(verdict: &Verdict, tries: u32) -> Trouble {
    match verdict.reason {
        _ if tries > 0 || verdict.class != Class::Temporary => Trouble::None,
        Reason::RemoteError | Reason::RemoteFull | Reason::Network | Reason::Reputation => {
            Trouble::Site
        }
        _ => Trouble::None,
    }
}

fn retry_or(end: Decision, delay: Duration, tries: u32, schedule: &Schedule) -> Ruling {
    let decision = if tries < schedule.tries() {
        Decision::Retry {
            delay,
            uses_try: true,
        }
    } else {
        end
    };
    Ruling::new(decision, Trouble::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule() -> Schedule {
        Schedule::from(&RetrySchedule::default())
    }

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(60 * count)
    }

    fn verdict(class: Class, scope: Scope) -> Verdict {
        Verdict {
            class,
            reason: Reason::Unknown,
            scope,
            delay: None,
            rule: "test",
        }
    }

    fn rule(stage: Stage, code: u16, verdict: &Verdict, tries: u32) -> Ruling {
        let reply = Reply {
            code,
            enhanced: None,
            text: String::new(),
        };
        rejected(stage, &reply, verdict, tries, &schedule())
    }

    fn retry(delay: Duration, uses_try: bool) -> Decision {
        Decision::Retry { delay, uses_try }
    }

    /// Every scope × class × number of tries, at RCPT TO, of unknown reason.
    #[test]
    fn the_whole_table() {
        use Class::*;
        use Scope::*;
        for tries in 0..5 {
            let temporary = schedule().temporary(tries);
            let or_dead = |delay| match tries {
                0..3 => retry(delay, true),
                _ => Decision::Dead,
            };
            for (class, scope, decision, trouble) in [
                (Temporary, Recipient, or_dead(temporary), Trouble::None),
                (Temporary, Message, or_dead(temporary), Trouble::None),
                (Temporary, Sender, or_dead(temporary), Trouble::None),
                (Temporary, Site, retry(temporary, false), Trouble::Site),
                (Temporary, Relay, retry(temporary, false), Trouble::Relay),
                (Soft, Recipient, or_dead(minutes(30)), Trouble::None),
                (Soft, Message, Decision::Dead, Trouble::Sender),
                (Soft, Sender, Decision::Dead, Trouble::Sender),
                (Soft, Site, or_dead(minutes(30)), Trouble::None),
                (Soft, Relay, retry(minutes(30), false), Trouble::Relay),
                (Hard, Recipient, Decision::Bounced, Trouble::None),
                (Hard, Message, Decision::Bounced, Trouble::None),
                (Hard, Sender, Decision::Bounced, Trouble::None),
                (Hard, Site, Decision::Bounced, Trouble::None),
                (Hard, Relay, Decision::Bounced, Trouble::None),
            ] {
                let ruling = rule(Stage::RcptTo, 450, &verdict(class, scope), tries);
                let suppress = class == Hard && scope == Recipient;
                let expected = Ruling {
                    decision,
                    trouble,
                    suppress,
                };
                assert_eq!(ruling, expected, "{class} {scope} after {tries}");
            }
        }
    }

    #[test]
    fn nobodys_try_is_used_before_a_recipient_is_named() {
        for stage in [Stage::Connect, Stage::Ehlo, Stage::Auth, Stage::MailFrom] {
            for tries in 0..5 {
                let ruling = rule(stage, 550, &verdict(Class::Temporary, Scope::Relay), tries);
                assert_eq!(ruling, Ruling::new(Decision::Unused, Trouble::Relay));
            }
        }
    }

    #[test]
    fn replies_may_lengthen_their_delay() {
        let mut asking = verdict(Class::Temporary, Scope::Recipient);
        let decision = |verdict: &Verdict| rule(Stage::RcptTo, 451, verdict, 1).decision;
        for (asked, given) in [(10, 2), (121, 4), (241, 30), (7_200, 30)] {
            asking.delay = Some(Duration::from_secs(asked));
            assert_eq!(decision(&asking), retry(minutes(given), true), "{asked}");
        }
        asking.delay = None;
        for slow in [Reason::Greylisted, Reason::MailboxFull] {
            asking.reason = slow;
            assert_eq!(decision(&asking), retry(minutes(30), true), "{slow}");
        }
    }

    #[test]
    fn trouble_is_told_of_421_and_of_first_attempts() {
        let site = verdict(Class::Temporary, Scope::Site);
        assert_eq!(rule(Stage::RcptTo, 421, &site, 0).trouble, Trouble::Relay);
        let mut own = verdict(Class::Temporary, Scope::Recipient);
        own.reason = Reason::RemoteError;
        assert_eq!(rule(Stage::RcptTo, 451, &own, 0).trouble, Trouble::Site);
        assert_eq!(rule(Stage::RcptTo, 451, &own, 1).trouble, Trouble::None);
    }

    #[test]
    fn an_unanswered_message_is_resent_or_held_and_in_doubt_when_out_of_tries() {
        let it = schedule();
        for tries in 0..5 {
            let held = unanswered(tries, &it, InDoubtPolicy::Hold);
            assert_eq!(held, Ruling::new(Decision::HoldInDoubt, Trouble::Relay));
            let resent = match tries {
                0..3 => retry(it.temporary(tries), true),
                _ => Decision::HoldInDoubt,
            };
            let ruling = unanswered(tries, &it, InDoubtPolicy::Resend);
            assert_eq!(ruling, Ruling::new(resent, Trouble::Relay));
        }
    }
}
