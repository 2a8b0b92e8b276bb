//! Decides what happens after one attempt: (class, scope, stage, tries) -> outcome. Pure: no clock, no I/O, one table.

mod decision;
mod schedule;

pub use decision::{Decision, HardBounce};
pub use schedule::{RetrySchedule, Schedule};

use crate::domain::counters::Final;
use crate::domain::outcome::{Class, Reason, Reply, Scope, Stage, TOO_MANY_CONNECTIONS, Verdict};
use crate::domain::records::InDoubtPolicy;
use crate::protocol::Outcome;
use std::time::Duration;

/// Which circuit breaker an attempt counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    None,
    /// Deferred for the sake of one recipient, or so the words say.
    Recipient,
    /// The relay refuses us, or is gone.
    Relay,
    /// Deferred for a reason that is about more than one recipient.
    Site,
    /// Refused for what we are or send.
    Sender,
}

/// What is known of a message beside the reply to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Circumstances {
    /// Retries used before this attempt.
    pub tries: u32,
    /// Moves before it, whether they used a try or not.
    pub moves: u32,
    /// Sessions that broke off at this message since it was moved last.
    pub broken_off: u32,
    /// The relay has taken other messages since this one was last tried.
    pub takes_others: bool,
    /// The site is paused over this relay.
    pub is_paused: bool,
}

/// After so many broken sessions a message goes behind the rest.
const BROKEN_OFF: u32 = 3;
/// After so many moves a refusal is about the message, whatever its words are: else it would never end.
const PATIENCE: u32 = 10;

impl Circumstances {
    /// Whether a failure that names no recipient is about this message all the same.
    fn blames_message(&self) -> bool {
        let is_repeated = self.moves > 0 || self.broken_off > 0;
        self.moves >= PATIENCE || (is_repeated && self.takes_others)
    }

    fn retry_or_dead(&self, delay: Duration, schedule: &Schedule) -> Option<Outcome> {
        match self.tries < schedule.tries() {
            true => retry(delay, true),
            false => Some(Outcome::Dead),
        }
    }
}

/// The session broke off at this message.
fn after_break(told: &Circumstances, schedule: &Schedule) -> Option<Outcome> {
    let delay = schedule.temporary(told.tries);
    if told.blames_message() {
        return told.retry_or_dead(delay, schedule);
    }
    match told.broken_off + 1 >= BROKEN_OFF {
        true => retry(delay, false),
        false => None,
    }
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
/// It gets no event, and its claim is taken back.
pub fn after_rejection(
    stage: Stage,
    reply: &Reply,
    verdict: &Verdict,
    told: &Circumstances,
    schedule: &Schedule,
) -> (Option<Outcome>, Trouble) {
    let tries = told.tries;
    let delay = schedule.delay(verdict, tries);
    match (verdict.class, verdict.scope) {
        (Class::Hard, _) => (Some(Outcome::Ended(Final::Bounced)), Trouble::None),
        // Once a recipient was named the relay may mean only this one: the message makes room for the next probe.
        (_, Scope::Relay) if stage >= Stage::RcptTo => {
            let outcome = match told.blames_message() {
                true => told.retry_or_dead(delay, schedule),
                false => retry(delay, false),
            };
            (outcome, Trouble::Relay)
        }
        (_, Scope::Relay) => (None, Trouble::Relay),
        (Class::Temporary, Scope::Site) => {
            let trouble = match reply.code {
                421 => Trouble::Relay,
                // The relay works with fewer connections, which the lanes see to.
                TOO_MANY_CONNECTIONS => Trouble::None,
                _ => Trouble::Site,
            };
            (retry(delay, false), trouble)
        }
        (Class::Soft, Scope::Message | Scope::Sender) => (Some(Outcome::Dead), Trouble::Sender),
        (Class::Soft, Scope::Recipient | Scope::Site)
        | (Class::Temporary, Scope::Recipient | Scope::Message | Scope::Sender) => {
            // What many get in a row is about us, whatever the words are.
            let is_about_us = told.is_paused && verdict.class == Class::Temporary;
            let outcome = match is_about_us && told.moves < PATIENCE {
                true => retry(delay, false),
                false => told.retry_or_dead(delay, schedule),
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

/// A server's own error may be about everybody, if it comes at a first attempt: what waits in the retry tiers is there
/// because it was deferred, and says nothing about the rest. A site that greylists is well.
fn wider(verdict: &Verdict, tries: u32) -> Trouble {
    match verdict.reason {
        _ if verdict.class != Class::Temporary => Trouble::None,
        Reason::RemoteError | Reason::RemoteFull | Reason::Network | Reason::Reputation
            if tries == 0 =>
        {
            Trouble::Site
        }
        Reason::Greylisted => Trouble::None,
        _ => Trouble::Recipient,
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
        let told = Circumstances {
            tries,
            ..Circumstances::default()
        };
        after_rejection(stage, &reply, verdict, &told, &schedule())
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
                (Temporary, Recipient, or_dead(temporary), Trouble::Recipient),
                (Temporary, Message, or_dead(temporary), Trouble::Recipient),
                (Temporary, Sender, or_dead(temporary), Trouble::Recipient),
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
        assert_eq!(rule(Stage::RcptTo, 451, &own, 1).1, Trouble::Recipient);
        own.reason = Reason::Greylisted;
        assert_eq!(rule(Stage::RcptTo, 451, &own, 0).1, Trouble::None);
    }

    #[test]
    fn a_message_is_to_blame_once_the_relay_has_taken_others_since() {
        let it = schedule();
        let minute = minutes(1);
        let refused = |told: Circumstances| {
            let reply = Reply {
                code: 421,
                enhanced: None,
                text: String::new(),
            };
            let verdict = verdict(Class::Temporary, Scope::Relay);
            after_rejection(Stage::RcptTo, &reply, &verdict, &told, &it).0
        };
        let first = Circumstances {
            takes_others: true,
            ..Circumstances::default()
        };
        assert_eq!(after_break(&first, &it), None);
        assert_eq!(refused(first), retry(minute, false));
        let again = Circumstances { moves: 1, ..first };
        let broken = Circumstances {
            broken_off: 1,
            ..first
        };
        assert_eq!(refused(again), retry(minute, true));
        assert_eq!(after_break(&again, &it), retry(minute, true));
        assert_eq!(after_break(&broken, &it), retry(minute, true));
        let spent = Circumstances { tries: 3, ..again };
        assert_eq!(refused(spent), Some(Outcome::Dead));
        assert_eq!(after_break(&spent, &it), Some(Outcome::Dead));
    }

    #[test]
    fn without_others_a_message_goes_behind_the_rest_and_is_to_blame_in_the_end() {
        let it = schedule();
        let alone = |broken_off, moves| {
            let told = Circumstances {
                broken_off,
                moves,
                ..Circumstances::default()
            };
            after_break(&told, &it)
        };
        assert_eq!(alone(1, 0), None);
        assert_eq!(alone(2, 0), retry(minutes(1), false));
        assert_eq!(alone(0, 9), None);
        assert_eq!(alone(0, 10), retry(minutes(1), true));
    }

    #[test]
    fn a_deferral_while_the_site_is_paused_uses_no_try() {
        let it = schedule();
        let after = |class, tries, moves| {
            let reply = Reply {
                code: 451,
                enhanced: None,
                text: String::new(),
            };
            let told = Circumstances {
                tries,
                moves,
                is_paused: true,
                ..Circumstances::default()
            };
            after_rejection(
                Stage::RcptTo,
                &reply,
                &verdict(class, Scope::Recipient),
                &told,
                &it,
            )
            .0
        };
        assert_eq!(after(Class::Temporary, 0, 0), retry(minutes(1), false));
        assert_eq!(after(Class::Temporary, 3, 4), retry(minutes(4), false));
        assert_eq!(after(Class::Temporary, 3, 10), Some(Outcome::Dead));
        assert_eq!(after(Class::Soft, 0, 0), retry(minutes(30), true));
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
