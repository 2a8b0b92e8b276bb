//! Decides what happens after one attempt: (class, scope, stage, tries) -> outcome. Pure: no clock, no I/O, one table.

mod decision;
mod schedule;

pub use decision::{Decision, HardBounce};
pub use schedule::{RetrySchedule, Schedule};

use crate::domain::counters::Final;
use crate::domain::outcome::{Class, Reason, Reply, Scope, Stage, Verdict};
use crate::domain::records::InDoubtPolicy;
use crate::protocol::Outcome;
use std::time::Duration;

/// Which circuit breaker an attempt counts against.
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

/// The final dot was written and has no reply, so the relay may hold the mail (RFC 1047). Out of tries the message is
/// in doubt, not dead: nobody refused it.
fn after_no_reply(tries: u32, schedule: &Schedule, in_doubt: InDoubtPolicy) -> Outcome {
    if in_doubt == InDoubtPolicy::Hold || tries >= schedule.tries() {
        return Outcome::HeldInDoubt;
    }
    Outcome::Retry {
        delay: schedule.temporary(tries),
        uses_try: true,
        in_doubt: true,
    }
}

/// The table: class × scope. `None`: the relay refused before it knew the recipient, so the message was not attempted.
/// It gets no event, and its claim is taken back. `tries`: retries that the message had used before this attempt.
pub fn after_rejection(
    stage: Stage,
    reply: &Reply,
    verdict: &Verdict,
    tries: u32,
    schedule: &Schedule,
) -> (Option<Outcome>, Trouble) {
    let delay = schedule.delay(verdict, tries);
    match (verdict.class, verdict.scope) {
        (Class::Hard, _) => (Some(Outcome::Ended(Final::Bounced)), Trouble::None),
        // Once a recipient was named the relay may mean only this one: the message makes room for the next probe.
        (_, Scope::Relay) if stage >= Stage::RcptTo => (retry(delay, false), Trouble::Relay),
        (_, Scope::Relay) => (None, Trouble::Relay),
        (Class::Temporary, Scope::Site) => {
            let trouble = match reply.code {
                421 => Trouble::Relay,
                _ => Trouble::Site,
            };
            (retry(delay, false), trouble)
        }
        (Class::Soft, Scope::Message | Scope::Sender) => (Some(Outcome::Dead), Trouble::Sender),
        (Class::Soft, Scope::Recipient | Scope::Site)
        | (Class::Temporary, Scope::Recipient | Scope::Message | Scope::Sender) => {
            let outcome = match tries < schedule.tries() {
                true => retry(delay, true),
                false => Some(Outcome::Dead),
            };
            (outcome, wider(verdict, tries))
        }
    }
}

/// The address takes no mail, whatever is sent to it.
fn is_hard_bounce(verdict: &Verdict) -> bool {
    (verdict.class, verdict.scope) == (Class::Hard, Scope::Recipient)
}

fn retry(delay: Duration, uses_try: bool) -> Option<Outcome> {
    Some(Outcome::Retry {
        delay,
        uses_try,
        in_doubt: false,
    })
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

    fn rule(stage: Stage, code: u16, verdict: &Verdict, tries: u32) -> (Option<Outcome>, Trouble) {
        let reply = Reply {
            code,
            enhanced: None,
            text: String::new(),
        };
        after_rejection(stage, &reply, verdict, tries, &schedule())
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
                _ => Some(Outcome::Dead),
            };
            for (class, scope, outcome, trouble) in [
                (Temporary, Recipient, or_dead(temporary), Trouble::None),
                (Temporary, Message, or_dead(temporary), Trouble::None),
                (Temporary, Sender, or_dead(temporary), Trouble::None),
                (Temporary, Site, retry(temporary, false), Trouble::Site),
                (Temporary, Relay, retry(temporary, false), Trouble::Relay),
                (Soft, Recipient, or_dead(minutes(30)), Trouble::None),
                (Soft, Message, Some(Outcome::Dead), Trouble::Sender),
                (Soft, Sender, Some(Outcome::Dead), Trouble::Sender),
                (Soft, Site, or_dead(minutes(30)), Trouble::None),
                (Soft, Relay, retry(minutes(30), false), Trouble::Relay),
                (
                    Hard,
                    Recipient,
                    Some(Outcome::Ended(Final::Bounced)),
                    Trouble::None,
                ),
                (
                    Hard,
                    Message,
                    Some(Outcome::Ended(Final::Bounced)),
                    Trouble::None,
                ),
                (
                    Hard,
                    Sender,
                    Some(Outcome::Ended(Final::Bounced)),
                    Trouble::None,
                ),
                (
                    Hard,
                    Site,
                    Some(Outcome::Ended(Final::Bounced)),
                    Trouble::None,
                ),
                (
                    Hard,
                    Relay,
                    Some(Outcome::Ended(Final::Bounced)),
                    Trouble::None,
                ),
            ] {
                let decided = rule(Stage::RcptTo, 450, &verdict(class, scope), tries);
                assert_eq!(decided, (outcome, trouble), "{class} {scope} after {tries}");
            }
        }
    }

    #[test]
    fn no_try_is_used_before_a_recipient_is_named() {
        for stage in [Stage::Connect, Stage::Ehlo, Stage::Auth, Stage::MailFrom] {
            for tries in 0..5 {
                let decided = rule(stage, 550, &verdict(Class::Temporary, Scope::Relay), tries);
                assert_eq!(decided, (None, Trouble::Relay));
            }
        }
    }

    #[test]
    fn replies_may_lengthen_their_delay() {
        let mut asking = verdict(Class::Temporary, Scope::Recipient);
        let outcome = |verdict: &Verdict| rule(Stage::RcptTo, 451, verdict, 1).0;
        for (asked, given) in [(10, 2), (121, 4), (241, 30), (7_200, 30)] {
            asking.delay = Some(Duration::from_secs(asked));
            assert_eq!(outcome(&asking), retry(minutes(given), true), "{asked}");
        }
        asking.delay = None;
        for slow in [Reason::Greylisted, Reason::MailboxFull] {
            asking.reason = slow;
            assert_eq!(outcome(&asking), retry(minutes(30), true), "{slow}");
        }
    }

    #[test]
    fn a_421_and_first_attempts_report_trouble() {
        let site = verdict(Class::Temporary, Scope::Site);
        assert_eq!(rule(Stage::RcptTo, 421, &site, 0).1, Trouble::Relay);
        let mut own = verdict(Class::Temporary, Scope::Recipient);
        own.reason = Reason::RemoteError;
        assert_eq!(rule(Stage::RcptTo, 451, &own, 0).1, Trouble::Site);
        assert_eq!(rule(Stage::RcptTo, 451, &own, 1).1, Trouble::None);
    }

    #[test]
    fn an_unanswered_message_is_resent_or_held() {
        let it = schedule();
        for tries in 0..5 {
            let held = after_no_reply(tries, &it, InDoubtPolicy::Hold);
            assert_eq!(held, Outcome::HeldInDoubt);
            let resent = match tries {
                0..3 => Outcome::Retry {
                    delay: it.temporary(tries),
                    uses_try: true,
                    in_doubt: true,
                },
                _ => Outcome::HeldInDoubt,
            };
            assert_eq!(after_no_reply(tries, &it, InDoubtPolicy::Resend), resent);
        }
    }
}
