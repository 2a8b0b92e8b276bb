//! Decides what happens after one attempt: (attempt, verdict, tries) -> decision. Pure: no clock, no I/O, one table.
//! Also the delays: every delay is a tier, because a tier is a topic.

use crate::domain::outcome::{Attempt, Class, Reason, Reply, Scope, Stage, Verdict};
use crate::domain::records::InDoubtPolicy;
use std::collections::BTreeSet;
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
    const fn new(decision: Decision, trouble: Trouble) -> Ruling {
        Ruling {
            decision,
            trouble,
            suppress: false,
        }
    }
}

/// A message for whose sake so often nobody's try was used is itself what the relay has trouble with: from then on it
/// pays with its own.
const MOST_WAITS: u32 = 30;

/// What a message has behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// Retries that it has used.
    pub tries: u32,
    /// Moves to a tier, those that used no try included.
    pub moves: u32,
}

impl Past {
    fn waits(self) -> u32 {
        self.moves.saturating_sub(self.tries)
    }
}

/// `[retry]` of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct RetrySchedule {
    pub initial: Duration,
    pub factor: f64,
    pub max: Duration,
    /// Share of the delay by which messages inside a chunk are spread; applied by the reader of the tier.
    pub jitter: f64,
    /// Retries after the first attempt.
    pub tries: u32,
    pub soft_interval: Duration,
}

impl Default for RetrySchedule {
    fn default() -> RetrySchedule {
        RetrySchedule {
            initial: Duration::from_secs(60),
            factor: 2.0,
            max: Duration::from_secs(30 * 60),
            jitter: 0.1,
            tries: 3,
            soft_interval: Duration::from_secs(30 * 60),
        }
    }
}

/// The retry settings as delays: all of them are tiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Delay of each temporary retry; never empty, ascending.
    temporary: Vec<Duration>,
    longest: Duration,
    soft: Duration,
    tries: u32,
}

impl From<&RetrySchedule> for Schedule {
    fn from(settings: &RetrySchedule) -> Schedule {
        let longest = whole(settings.max.max(settings.initial));
        let mut temporary = vec![whole(settings.initial)];
        let mut delay = settings.initial.as_secs_f64();
        for _ in 1..settings.tries {
            delay *= settings.factor;
            let next = Duration::try_from_secs_f64(delay).map_or(longest, whole);
            let last = temporary.last().copied().unwrap_or(longest);
            if last >= longest {
                break;
            }
            temporary.push(next.clamp(last, longest));
        }
        Schedule {
            temporary,
            longest,
            soft: whole(settings.soft_interval),
            tries: settings.tries,
        }
    }
}

/// Whole seconds, or whole milliseconds below one second: what a tier's name can say.
fn whole(delay: Duration) -> Duration {
    let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX).max(1);
    match millis {
        0..1_000 => Duration::from_millis(millis),
        _ => Duration::from_secs(millis.div_ceil(1_000)),
    }
}

impl Schedule {
    /// Retries after the first attempt.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// Every delay that a decision can name: the tiers that must exist.
    pub fn tiers(&self) -> BTreeSet<Duration> {
        self.temporary.iter().copied().chain([self.soft]).collect()
    }

    /// The exponential delay after `tries` retries, the last one from then on.
    pub fn temporary(&self, tries: u32) -> Duration {
        let index = usize::try_from(tries).unwrap_or(usize::MAX);
        let last = self.temporary.last().copied();
        let delay = self.temporary.get(index).copied().or(last);
        delay.unwrap_or(self.longest)
    }

    pub fn soft(&self) -> Duration {
        self.soft
    }

    /// The next tier at or above a delay, or the longest there is.
    pub fn round_up(&self, delay: Duration) -> Duration {
        let tiers = self.tiers();
        let longest = tiers.last().copied().unwrap_or(self.soft);
        tiers.range(delay..).next().copied().unwrap_or(longest)
    }

    /// How long this failure waits: greylisting and soft ones the fixed interval, others the exponential delay, or
    /// longer where the reply asks for it.
    fn delay(&self, verdict: &Verdict, tries: u32) -> Duration {
        if verdict.class == Class::Soft || verdict.reason == Reason::Greylisted {
            return self.soft;
        }
        let own = self.temporary(tries);
        match verdict.delay {
            Some(asked) => self.round_up(asked.max(own)),
            None => own,
        }
    }
}

/// What to do after an attempt. `verdict` is the classifier's for [`Attempt::Rejected`] and not looked at for others; without one a rejection is of unknown cause, temporary.
pub fn decide(
    attempt: &Attempt,
    verdict: Option<&Verdict>,
    past: Past,
    schedule: &Schedule,
    in_doubt: InDoubtPolicy,
) -> Ruling {
    let tries = past.tries;
    match attempt {
        Attempt::Delivered(_) => Ruling::new(Decision::Delivered, Trouble::None),
        Attempt::NotSent { .. } => Ruling::new(Decision::Unused, Trouble::None),
        Attempt::Unanswered { .. } => unanswered(tries, schedule, in_doubt),
        Attempt::Rejected { stage, reply } => match verdict {
            Some(verdict) => rejected(*stage, reply, verdict, past, schedule),
            None => retry_or(Decision::Dead, schedule.temporary(tries), tries, schedule),
        },
    }
}

/// RFC 1047: the relay may hold the mail. Out of tries it is in doubt, not dead: nobody refused it.
fn unanswered(tries: u32, schedule: &Schedule, in_doubt: InDoubtPolicy) -> Ruling {
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

/// The table: class × scope.
fn rejected(
    stage: Stage,
    reply: &Reply,
    verdict: &Verdict,
    past: Past,
    schedule: &Schedule,
) -> Ruling {
    let tries = past.tries;
    let delay = schedule.delay(verdict, tries);
    match (verdict.class, verdict.scope) {
        (Class::Hard, scope) => Ruling {
            decision: Decision::Bounced,
            trouble: Trouble::None,
            suppress: scope == Scope::Recipient,
        },
        // Once a recipient was named the relay may mean only this one: the message makes room for the next probe.
        (_, Scope::Relay) if stage >= Stage::RcptTo => {
            wait_or_retry(past, delay, schedule, Trouble::Relay)
        }
        (_, Scope::Relay) => Ruling::new(Decision::Unused, Trouble::Relay),
        (Class::Temporary, Scope::Site) if reply.code == 421 => {
            wait_or_retry(past, delay, schedule, Trouble::Relay)
        }
        (Class::Temporary, Scope::Site) => wait_or_retry(past, delay, schedule, Trouble::Site),
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

/// Trouble that is not the message's: nobody's try is used. One that comes back into the same trouble may be its cause,
/// and does not stop a relay that takes others.
fn wait_or_retry(past: Past, delay: Duration, schedule: &Schedule, trouble: Trouble) -> Ruling {
    let trouble = match past.waits() {
        0 => trouble,
        _ => Trouble::Site,
    };
    if past.waits() >= MOST_WAITS {
        let ruling = retry_or(Decision::Dead, delay, past.tries, schedule);
        return Ruling { trouble, ..ruling };
    }
    let uses_try = false;
    Ruling::new(Decision::Retry { delay, uses_try }, trouble)
}

fn retry_or(end: Decision, delay: Duration, tries: u32, schedule: &Schedule) -> Ruling {
    let decision = if tries < schedule.tries {
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

    fn rejection(stage: Stage, code: u16) -> Attempt {
        let reply = Reply {
            code,
            enhanced: None,
            text: String::new(),
        };
        Attempt::Rejected { stage, reply }
    }

    /// Each retry was one move.
    fn after(tries: u32) -> Past {
        let moves = tries;
        Past { tries, moves }
    }

    fn rule(stage: Stage, code: u16, verdict: &Verdict, tries: u32) -> Ruling {
        decide(
            &rejection(stage, code),
            Some(verdict),
            after(tries),
            &schedule(),
            InDoubtPolicy::Resend,
        )
    }

    fn retry(delay: Duration, uses_try: bool) -> Decision {
        Decision::Retry { delay, uses_try }
    }

    #[test]
    fn delays_are_those_of_the_configuration() {
        let it = schedule();
        let delays: Vec<_> = (0..5).map(|tries| it.temporary(tries)).collect();
        assert_eq!(delays, [1, 2, 4, 4, 4].map(minutes));
        assert_eq!(it.tiers(), [1, 2, 4, 30].map(minutes).into());
        assert_eq!(it.round_up(Duration::from_secs(61)), minutes(2));
        assert_eq!(it.round_up(minutes(2)), minutes(2));
        assert_eq!(it.round_up(minutes(90)), minutes(30));
        assert_eq!(it.round_up(Duration::ZERO), minutes(1));
    }

    #[test]
    fn odd_settings_still_make_tiers() {
        let odd = |initial: u64, factor: f64, max: u64, tries: u32| {
            let settings = RetrySchedule {
                initial: Duration::from_millis(initial),
                factor,
                max: Duration::from_millis(max),
                tries,
                ..RetrySchedule::default()
            };
            Schedule::from(&settings).temporary
        };
        let millis = |list: &[u64]| -> Vec<Duration> {
            list.iter().copied().map(Duration::from_millis).collect()
        };
        assert_eq!(odd(1_000, 2.0, 4_000, 6), millis(&[1_000, 2_000, 4_000]));
        assert_eq!(
            odd(60_000, 1.5, 600_000, 4),
            millis(&[60_000, 90_000, 135_000, 203_000])
        );
        assert_eq!(odd(500, 3.0, 10_000, 3), millis(&[500, 2_000, 5_000]));
        assert_eq!(odd(60_000, 2.0, 1_000, 3), millis(&[60_000]));
        assert_eq!(odd(60_000, 2.0, 600_000, 0), millis(&[60_000]));
        assert_eq!(odd(0, 2.0, 0, 3), millis(&[1]));
        assert_eq!(odd(1_000, 0.5, 8_000, 3), millis(&[1_000; 3]));
        assert_eq!(odd(1_000, f64::NAN, 8_000, 3), millis(&[1_000, 8_000]));
        assert_eq!(odd(1_000, 1e300, 8_000, 1_000_000), millis(&[1_000, 8_000]));
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
    fn a_message_that_is_the_trouble_itself_ends() {
        let site = verdict(Class::Temporary, Scope::Site);
        let ruling = |tries, moves| {
            let past = Past { tries, moves };
            let attempt = rejection(Stage::RcptTo, 421);
            decide(
                &attempt,
                Some(&site),
                past,
                &schedule(),
                InDoubtPolicy::Resend,
            )
        };
        assert_eq!(
            ruling(0, 0),
            Ruling::new(retry(minutes(1), false), Trouble::Relay)
        );
        for moves in [1, MOST_WAITS - 1] {
            let waiting = Ruling::new(retry(minutes(1), false), Trouble::Site);
            assert_eq!(ruling(0, moves), waiting);
        }
        let paying = Ruling::new(retry(minutes(1), true), Trouble::Site);
        assert_eq!(ruling(0, MOST_WAITS), paying);
        assert_eq!(ruling(3, 3 + MOST_WAITS).decision, Decision::Dead);
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
        asking.reason = Reason::Greylisted;
        assert_eq!(decision(&asking), retry(minutes(30), true));
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
    fn other_attempts() {
        let it = schedule();
        let why = || "the connection ended".to_string();
        let not_sent = Attempt::NotSent { why: why() };
        let unanswered = Attempt::Unanswered { why: why() };
        let decision =
            |attempt: &Attempt, tries, policy| decide(attempt, None, after(tries), &it, policy);
        for tries in 0..5 {
            let ruling = decision(&not_sent, tries, InDoubtPolicy::Hold);
            assert_eq!(ruling, Ruling::new(Decision::Unused, Trouble::None));
            let held = decision(&unanswered, tries, InDoubtPolicy::Hold);
            assert_eq!(held, Ruling::new(Decision::HoldInDoubt, Trouble::Relay));
            let resent = match tries {
                0..3 => retry(it.temporary(tries), true),
                _ => Decision::HoldInDoubt,
            };
            let ruling = decision(&unanswered, tries, InDoubtPolicy::Resend);
            assert_eq!(ruling, Ruling::new(resent, Trouble::Relay));
        }
        let unjudged = decision(&rejection(Stage::Data, 451), 3, InDoubtPolicy::Resend);
        assert_eq!(unjudged.decision, Decision::Dead);
    }
}
