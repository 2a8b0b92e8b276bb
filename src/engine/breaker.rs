//! Circuit breaker: pauses a relay or a site that fails and probes it, so that an outage uses up no tries and makes no
//! storm of connections. A pure state machine over boot time.

use super::policy::Trouble;
use crate::domain::duration;
use crate::domain::outcome::Attempt;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// A probe leaves at least this often; the first ones sooner.
const PROBES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
/// After refusals of what we send every probe costs a message.
const SENDER_PROBE: Duration = Duration::from_secs(60);
/// An outage that follows the last one so soon continues its waits.
const RELAPSE: Duration = Duration::from_secs(10);
/// Replies over which deferrals are counted; half of them open the breaker.
const WINDOW: usize = 20;
/// So many refusals of what we send in a row open it.
const SENDER_REFUSALS: u32 = 5;
const MAX_WORDS: usize = 200;

/// An event for a breaker. The text is the relay's reply or the error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// A reply that is no failure of the relay or site.
    Fine,
    /// 4xx of relay or site scope.
    Deferred(String),
    /// No connection, no TLS, no login, 421, relay access denied: further messages would fail too.
    Refused(String),
    /// 5xx of sender or message scope.
    SenderRefused(String),
}

impl Signal {
    /// The signal of an attempt; `None` if it says nothing about the other side.
    pub fn of(attempt: &Attempt, trouble: Trouble) -> Option<Signal> {
        let words = match attempt {
            Attempt::NotSent { .. } => return None,
            Attempt::Delivered(reply) | Attempt::Rejected { reply, .. } => reply.to_string(),
            Attempt::Unanswered { why, .. } => why.clone(),
        };
        Some(match trouble {
            Trouble::None => Signal::Fine,
            Trouble::Site => Signal::Deferred(words),
            Trouble::Relay => Signal::Refused(words),
            Trouble::Sender => Signal::SenderRefused(words),
        })
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
        (_, Trouble::Relay) => (Some(signal), None),
        (_, Trouble::None) => (Some(Signal::Fine), Some(Signal::Fine)),
        (_, Trouble::Site | Trouble::Sender) => (Some(Signal::Fine), Some(signal)),
    }
}

/// Whether a connection may be opened or a message may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    Go,
    /// One connection or one message; its result is to be reported.
    Probe,
    /// Ask again then (boot time).
    Wait(Duration),
}

/// One line for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    Opened { what: String, words: String },
    Closed { what: String, after: Duration },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Opened { what, words } => {
                write!(f, "{what} is paused and probed: {words}")
            }
            Notice::Closed { what, after } => {
                write!(f, "{what} works again after {}", duration::human(*after))
            }
        }
    }
}

/// The breaker of one relay or one site.
#[derive(Debug, Clone)]
pub struct Breaker {
    /// For notices: ``relay `smtp.example.net:587` ``.
    what: String,
    open: Option<Open>,
    /// The last replies, `true` for a deferral.
    replies: VecDeque<bool>,
    sender_refusals: u32,
    /// Of the last outage: when it ended and how many of its probes had failed.
    last: Option<(Duration, usize)>,
}

#[derive(Debug, Clone)]
struct Open {
    since: Duration,
    about_us: bool,
    failed_probes: usize,
    next_probe_at: Duration,
    /// A probe is in flight.
    probing: bool,
}

impl Open {
    fn wait(&self) -> Duration {
        if self.about_us {
            return SENDER_PROBE;
        }
        let [.., longest] = PROBES;
        PROBES.get(self.failed_probes).copied().unwrap_or(longest)
    }
}

impl Breaker {
    pub fn new(what: impl Into<String>) -> Breaker {
        Breaker {
            what: what.into(),
            open: None,
            replies: VecDeque::with_capacity(WINDOW),
            sender_refusals: 0,
            last: None,
        }
    }

    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Open, and no probe is due yet.
    pub fn is_holding(&self, now: Duration) -> bool {
        self.open
            .as_ref()
            .is_some_and(|open| now < open.next_probe_at)
    }

    /// Asked before each connection and each message. A `Probe` counts as begun; one that has not come back when the
    /// next is due does not hold it up.
    pub fn may_try(&mut self, now: Duration) -> Permit {
        let Some(open) = &mut self.open else {
            return Permit::Go;
        };
        if now < open.next_probe_at {
            return Permit::Wait(open.next_probe_at);
        }
        let [.., longest] = PROBES;
        open.probing = true;
        open.next_probe_at = now + open.wait().max(longest);
        Permit::Probe
    }

    /// Takes a signal. Returns a notice when the state changes.
    pub fn report(&mut self, now: Duration, signal: Signal) -> Option<Notice> {
        if self.open.is_some() {
            return self.report_open(now, &signal);
        }
        let (opens, about_us, words) = match signal {
            Signal::Fine => {
                self.sender_refusals = 0;
                self.count(false);
                return None;
            }
            Signal::Deferred(words) => (self.count(true), false, words),
            Signal::Refused(words) => (true, false, words),
            Signal::SenderRefused(words) => {
                self.count(false);
                self.sender_refusals += 1;
                (self.sender_refusals >= SENDER_REFUSALS, true, words)
            }
        };
        opens.then(|| self.open(now, about_us, &words))
    }

    /// Only probes count: other answers are to messages that began before the outage.
    fn report_open(&mut self, now: Duration, signal: &Signal) -> Option<Notice> {
        let open = self.open.as_mut().filter(|open| open.probing)?;
        let works = match signal {
            Signal::Fine => true,
            Signal::SenderRefused(_) => !open.about_us,
            Signal::Deferred(_) | Signal::Refused(_) => false,
        };
        if works {
            return self.close(now, signal);
        }
        open.probing = false;
        open.failed_probes += 1;
        open.next_probe_at = now + open.wait();
        None
    }

    fn open(&mut self, now: Duration, about_us: bool, words: &str) -> Notice {
        let failed_probes = match self.last {
            Some((ended, failed)) if now < ended + RELAPSE => failed + 1,
            _ => 0,
        };
        let mut open = Open {
            since: now,
            about_us,
            failed_probes,
            next_probe_at: now,
            probing: false,
        };
        open.next_probe_at = now + open.wait();
        self.open = Some(open);
        self.replies.clear();
        Notice::Opened {
            what: self.what.clone(),
            words: printable(words),
        }
    }

    fn close(&mut self, now: Duration, signal: &Signal) -> Option<Notice> {
        let open = self.open.take()?;
        self.last = Some((now, open.failed_probes));
        self.sender_refusals = u32::from(matches!(signal, Signal::SenderRefused(_)));
        Some(Notice::Closed {
            what: self.what.clone(),
            after: now.saturating_sub(open.since),
        })
    }

    /// Adds a reply to the window; whether the window is full and at least half of it deferred.
    fn count(&mut self, deferred: bool) -> bool {
        if self.replies.len() >= WINDOW {
            self.replies.pop_front();
        }
        self.replies.push_back(deferred);
        let deferrals = self.replies.iter().filter(|deferred| **deferred).count();
        self.replies.len() == WINDOW && deferrals * 2 >= WINDOW
    }
}

/// The relay's reply for a terminal: without control characters, shortened.
fn printable(words: &str) -> String {
    words
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_WORDS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::{Reply, UnansweredCause};
    use proptest::prelude::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn refused() -> Signal {
        Signal::Refused("421 4.3.2 shutting\x1b down".into())
    }

    #[test]
    fn a_421_opens_it_at_once_and_a_probe_closes_it() {
        let mut breaker = Breaker::new("relay `mx:25`");
        assert_eq!(breaker.may_try(at(0)), Permit::Go);
        let notice = breaker.report(at(0), refused()).unwrap();
        assert_eq!(
            notice.to_string(),
            "relay `mx:25` is paused and probed: 421 4.3.2 shutting  down"
        );
        assert_eq!(breaker.report(at(1), refused()), None);
        assert_eq!(breaker.report(at(2), Signal::Fine), None, "an old answer");
        assert_eq!(breaker.may_try(at(500)), Permit::Wait(at(1_000)));
        assert_eq!(breaker.may_try(at(1_000)), Permit::Probe);
        assert_eq!(breaker.may_try(at(1_001)), Permit::Wait(at(6_000)));
        let notice = breaker.report(at(1_100), Signal::Fine).unwrap();
        assert_eq!(notice.to_string(), "relay `mx:25` works again after 1s");
        assert_eq!(breaker.may_try(at(1_100)), Permit::Go);
    }

    #[test]
    fn waits_grow_to_five_seconds_and_a_lost_probe_delays_nothing() {
        let mut breaker = Breaker::new("relay");
        breaker.report(at(0), refused());
        let mut now = at(0);
        for wait in [1, 2, 5, 5, 5] {
            let next = now + Duration::from_secs(wait);
            assert_eq!(breaker.may_try(now), Permit::Wait(next));
            now = next;
            assert_eq!(breaker.may_try(now), Permit::Probe);
            breaker.report(now, refused());
        }
        now += Duration::from_secs(5);
        assert_eq!(breaker.may_try(now), Permit::Probe);
        assert_eq!(breaker.may_try(now + at(5_000)), Permit::Probe);
    }

    #[test]
    fn ten_deferrals_in_twenty_replies_open_the_breaker() {
        for (deferred, opens) in [(9, false), (10, true)] {
            let mut breaker = Breaker::new("site");
            let signals = (0..WINDOW).map(|n| {
                if n < deferred {
                    Signal::Deferred("451 4.3.2 no".into())
                } else {
                    Signal::Fine
                }
            });
            // The window is full only with the last one, which is to be a deferral.
            let signals: Vec<Signal> = signals.rev().collect();
            let notices = signals
                .into_iter()
                .filter_map(|signal| breaker.report(at(0), signal))
                .count();
            assert_eq!((breaker.is_open(), notices), (opens, usize::from(opens)));
        }
    }

    #[test]
    fn five_sender_refusals_in_a_row_open_the_breaker() {
        let refusal = || Signal::SenderRefused("550 5.7.1 no".into());
        let mut breaker = Breaker::new("lane");
        for _ in 0..4 {
            assert_eq!(breaker.report(at(0), refusal()), None);
        }
        breaker.report(at(0), Signal::Fine);
        for _ in 0..4 {
            assert_eq!(breaker.report(at(0), refusal()), None);
        }
        assert!(breaker.report(at(0), refusal()).is_some());
        assert_eq!(breaker.may_try(at(0)), Permit::Wait(SENDER_PROBE));
        assert_eq!(breaker.may_try(SENDER_PROBE), Permit::Probe);
        assert_eq!(breaker.report(SENDER_PROBE, refusal()), None);
        assert_eq!(
            breaker.may_try(SENDER_PROBE),
            Permit::Wait(SENDER_PROBE * 2)
        );
    }

    #[test]
    fn a_relapse_continues_with_longer_waits() {
        let mut breaker = Breaker::new("relay");
        let mut now = at(0);
        for wait in [1, 2, 5, 5] {
            breaker.report(now, refused());
            now += Duration::from_secs(wait);
            assert_eq!(breaker.may_try(now), Permit::Probe);
            assert!(breaker.report(now, Signal::Fine).is_some());
        }
        now += RELAPSE;
        breaker.report(now, refused());
        assert_eq!(breaker.may_try(now), Permit::Wait(now + at(1_000)));
    }

    #[test]
    fn signals_of_attempts() {
        let reply = Reply {
            code: 250,
            enhanced: None,
            text: "ok".into(),
        };
        let delivered = Attempt::Delivered(reply);
        assert_eq!(Signal::of(&delivered, Trouble::None), Some(Signal::Fine));
        let lost = Attempt::NotSent { why: "old".into() };
        assert_eq!(Signal::of(&lost, Trouble::None), None);
        let unanswered = Attempt::Unanswered {
            cause: UnansweredCause::ConnectionLost,
            why: "gone".into(),
        };
        let told = Signal::of(&unanswered, Trouble::Relay);
        assert_eq!(told, Some(Signal::Refused("gone".into())));
    }

    proptest! {
        /// However long the relay is away, at whatever moment it returns: the first message after at most 10 s, and
        /// while it was away a probe each second at most, each 5 s at least.
        #[test]
        fn an_outage_ends_within_ten_seconds(away_ms in 1u64..7_200_000, asks in 1u64..700) {
            let mut breaker = Breaker::new("relay");
            breaker.report(at(0), refused());
            let (mut now, mut probes) = (0, 0u64);
            loop {
                now += asks;
                if breaker.may_try(at(now)) == Permit::Probe {
                    probes += 1;
                    if now >= away_ms {
                        breaker.report(at(now), Signal::Fine);
                        break;
                    }
                    breaker.report(at(now), refused());
                }
            }
            prop_assert!(now - away_ms <= 10_000);
            prop_assert!(probes <= now / 1_000 && probes >= now / 6_000);
            prop_assert_eq!(breaker.may_try(at(now)), Permit::Go);
        }
    }
}
