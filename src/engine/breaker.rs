//! Circuit breaker: pauses a relay or a site that fails and probes it, so that an outage uses up no tries and makes no
//! storm of connections. A pure state machine over boot time.

mod learned_rate;
mod notice;
mod signal;
mod streak;

pub use notice::{Notice, printable};
pub use signal::{Signal, signals};

use crate::bounce;
use crate::domain::rate::Rate;
use learned_rate::LearnedRate;
use std::collections::VecDeque;
use std::time::Duration;
use streak::Streak;

/// A probe leaves at least this often; the first ones sooner.
const PROBES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
/// Servers lock accounts and addresses that log in with a wrong password too often.
const LOGINS: [Duration; 4] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(900),
];
/// After refusals of what we send every probe costs a message.
const SENDER_PROBE: Duration = Duration::from_secs(60);
/// An outage that follows the last one so soon continues its waits.
const RELAPSE: Duration = Duration::from_secs(10);
/// Replies over which deferrals are counted; half of them open the breaker.
const WINDOW: usize = 20;
/// Refusals of what we send open it when so many come in a row that they cannot be chance: these at least, and those
/// where nothing was taken before.
const FEWEST_REFUSALS: u32 = 5;
const FIRST_REFUSALS: u32 = 8;
/// The same for deferrals of which each names its recipient.
const FEWEST_DEFERRALS: u32 = 10;
const FIRST_DEFERRALS: u32 = 30;
/// So many messages are sent as one probe then, because one of them may be refused for its own sake.
const SENDER_PROBES: usize = 3;
/// Where one of so many last replies was good, a refusal of one message is not yet trouble.
const RECENT: usize = 5;
/// The longest pause that a reply can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(4 * 3_600);

/// Whether a connection may be opened or a message may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    Go,
    /// One connection or one message; its result is to be reported.
    Probe,
    /// Ask again then (boot time).
    Wait(Duration),
}

/// The breaker of one relay or one site.
#[derive(Debug, Clone)]
pub struct Breaker {
    /// For notices: ``relay `smtp.example.net:587` ``.
    what: String,
    open: Option<Open>,
    /// The last replies, `true` for a deferral.
    replies: VecDeque<bool>,
    refusals: Streak,
    deferrals: Streak,
    learned: LearnedRate,
    /// The words of the last deferral.
    words: String,
    /// Of the last outage: when it ended and how many of its probes had failed.
    last: Option<(Duration, usize, Cause)>,
}

#[derive(Debug, Clone)]
struct Open {
    since: Duration,
    cause: Cause,
    failed_probes: usize,
    next_probe_at: Duration,
    /// Messages or connections of this probe: begun, and not answered yet.
    granted: usize,
    probing: usize,
}

/// What a breaker is open for. It decides when the next probe leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Outage,
    /// Many recipients were deferred in a row, each for its own sake as the words say.
    Streak,
    Login,
    Sender,
}

impl Open {
    fn most_probes(&self) -> usize {
        match self.cause {
            Cause::Sender => SENDER_PROBES,
            Cause::Login | Cause::Outage | Cause::Streak => 1,
        }
    }

    /// The probe under way may have more messages.
    fn has_probes_left(&self) -> bool {
        self.granted > 0 && self.granted < self.most_probes()
    }

    fn wait(&self) -> Duration {
        let waits: &[Duration] = match self.cause {
            Cause::Sender => &[SENDER_PROBE],
            Cause::Login => &LOGINS,
            Cause::Outage | Cause::Streak => &PROBES,
        };
        let longest = waits.last().copied().unwrap_or(SENDER_PROBE);
        waits.get(self.failed_probes).copied().unwrap_or(longest)
    }
}

impl Breaker {
    pub fn new(what: impl Into<String>) -> Breaker {
        Breaker {
            what: what.into(),
            open: None,
            replies: VecDeque::with_capacity(WINDOW),
            refusals: Streak::new(FIRST_REFUSALS, FEWEST_REFUSALS),
            deferrals: Streak::new(FIRST_DEFERRALS, FEWEST_DEFERRALS),
            learned: LearnedRate::default(),
            words: String::new(),
            last: None,
        }
    }

    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// How often the login was refused in a row, the refusal that opened it included.
    pub fn login_refusals(&self) -> usize {
        let open = self.open.as_ref();
        let open = open.filter(|open| open.cause == Cause::Login);
        open.map_or(0, |open| open.failed_probes + 1)
    }

    /// Open, and no probe is due yet.
    pub fn is_holding(&self, now: Duration) -> bool {
        self.open
            .as_ref()
            .is_some_and(|open| now < open.next_probe_at && !open.has_probes_left())
    }

    /// When the next message may begin, as a probe or at the learned rate. `None`: now.
    pub fn held_until(&self, now: Duration) -> Option<Duration> {
        match &self.open {
            Some(open) => self.is_holding(now).then_some(open.next_probe_at),
            None => self.learned.opens().filter(|at| *at > now),
        }
    }

    /// The rate that deferrals have shown.
    pub fn learned_rate(&self) -> Option<Rate> {
        self.learned.per_second().map(Rate::about)
    }

    /// How many messages may be claimed and wait for their turn at the learned rate.
    pub fn ahead(&self) -> usize {
        self.learned.ahead()
    }

    /// A message begins.
    pub fn begin(&mut self, now: Duration) {
        match self.open {
            Some(_) => {
                self.may_try(now);
            }
            None => self.learned.begin(now),
        }
    }

    /// How many messages may go as probes now.
    pub fn probes(&self, now: Duration) -> usize {
        let Some(open) = &self.open else {
            return usize::MAX;
        };
        match now < open.next_probe_at {
            true if open.has_probes_left() => open.most_probes() - open.granted,
            true => 0,
            false => open.most_probes(),
        }
    }

    /// Asked before each connection and each message. A `Probe` counts as begun; one that has not come back when the
    /// next is due does not hold it up.
    pub fn may_try(&mut self, now: Duration) -> Permit {
        let Some(open) = &mut self.open else {
            return Permit::Go;
        };
        if now < open.next_probe_at {
            if !open.has_probes_left() {
                return Permit::Wait(open.next_probe_at);
            }
            open.granted += 1;
            open.probing += 1;
            return Permit::Probe;
        }
        let [.., longest] = PROBES;
        (open.granted, open.probing) = (1, 1);
        open.next_probe_at = now + open.wait().max(longest);
        Permit::Probe
    }

    /// Takes a signal. Returns a notice when the state changes.
    pub fn report(&mut self, now: Duration, signal: Signal) -> Option<Notice> {
        if self.open.is_some() {
            return self.report_open(now, &signal);
        }
        let learned = self.learn(now, &signal);
        let (opens, cause, words) = match &signal {
            Signal::Fine => {
                self.refusals.good();
                self.deferrals.good();
                self.count(false);
                return learned;
            }
            Signal::Deferred(words) => (self.count(true), Cause::Outage, words),
            Signal::DeferredOne(words) => {
                self.deferrals.bad();
                (self.deferrals.cannot_be_chance(), Cause::Streak, words)
            }
            Signal::Refused(words) => (true, Cause::Outage, words),
            Signal::RefusedOne(words) => {
                let takes_others = self
                    .replies
                    .iter()
                    .rev()
                    .take(RECENT)
                    .any(|deferred| !deferred);
                (self.count(true) || !takes_others, Cause::Outage, words)
            }
            Signal::LoginRefused(_, words) => (true, Cause::Login, words),
            Signal::SenderRefused(words) => {
                self.count(false);
                self.refusals.bad();
                (self.refusals.cannot_be_chance(), Cause::Sender, words)
            }
        };
        if !opens {
            return learned;
        }
        self.open(now, cause, words);
        if signal.is_deferral() {
            self.learned.paused(now);
        }
        Some(self.notice(&signal, words))
    }

    /// What a signal says of the rate that mail is taken at.
    fn learn(&mut self, now: Duration, signal: &Signal) -> Option<Notice> {
        match signal {
            Signal::Fine => self.learned.taken(now).then(|| Notice::FullSpeed {
                what: self.what.clone(),
            }),
            Signal::Deferred(words) | Signal::RefusedOne(words) => {
                self.words.clone_from(words);
                let per_second = self.learned.deferred(now)?;
                Some(self.slowed(per_second))
            }
            // One recipient says nothing of the rate. Many in a row pause the lane, which lowers it.
            Signal::DeferredOne(words) => {
                self.words.clone_from(words);
                None
            }
            Signal::Refused(_) | Signal::LoginRefused(..) | Signal::SenderRefused(_) => None,
        }
    }

    fn slowed(&self, per_second: f64) -> Notice {
        Notice::Slowed {
            what: self.what.clone(),
            rate: Rate::about(per_second),
            words: printable(&self.words),
        }
    }

    /// Only probes count: other answers are to messages that began before the outage.
    fn report_open(&mut self, now: Duration, signal: &Signal) -> Option<Notice> {
        let is_probing = self.open.as_ref().is_some_and(|open| open.probing > 0);
        if !is_probing && *signal == Signal::Fine {
            self.learned.taken_late();
        }
        let open = self.open.as_mut().filter(|_| is_probing)?;
        let works = match signal {
            Signal::Fine => true,
            Signal::SenderRefused(_) => open.cause != Cause::Sender,
            Signal::DeferredOne(_) => open.cause != Cause::Streak,
            Signal::Deferred(_)
            | Signal::Refused(_)
            | Signal::RefusedOne(_)
            | Signal::LoginRefused(..) => false,
        };
        if works {
            return self.close(now, signal);
        }
        let cause = match (signal, open.cause) {
            (Signal::LoginRefused(..), _) => Cause::Login,
            // The server is away meanwhile.
            (_, Cause::Login) => Cause::Outage,
            (_, cause) => cause,
        };
        self.learned.still_deferred(now);
        let is_same = cause == open.cause;
        open.cause = cause;
        open.probing -= 1;
        if open.probing == 0 || !is_same {
            (open.granted, open.probing) = (0, 0);
            open.failed_probes = if is_same { open.failed_probes + 1 } else { 0 };
            open.next_probe_at = now + open.wait().max(asked(signal.words()));
        }
        match signal {
            Signal::LoginRefused(_, words) if !is_same => Some(self.notice(signal, words)),
            _ => None,
        }
    }

    fn notice(&self, signal: &Signal, words: &str) -> Notice {
        let (what, words) = (self.what.clone(), printable(words));
        match signal {
            Signal::LoginRefused(problem, _) => Notice::LoginRefused {
                what,
                words,
                problem: *problem,
            },
            _ => Notice::Opened { what, words },
        }
    }

    fn open(&mut self, now: Duration, cause: Cause, words: &str) {
        let failed_probes = match self.last {
            Some((ended, failed, last)) if last == cause && now < ended + RELAPSE => failed + 1,
            _ => 0,
        };
        let mut open = Open {
            since: now,
            cause,
            failed_probes,
            next_probe_at: now,
            granted: 0,
            probing: 0,
        };
        open.next_probe_at = now + open.wait().max(asked(words));
        self.open = Some(open);
        self.replies.clear();
    }

    fn close(&mut self, now: Duration, signal: &Signal) -> Option<Notice> {
        let open = self.open.take()?;
        self.last = Some((now, open.failed_probes, open.cause));
        self.refusals.clear();
        self.deferrals.clear();
        if matches!(signal, Signal::SenderRefused(_)) {
            self.refusals.bad();
        }
        let slowed = self.learned.resumed(now);
        if *signal == Signal::Fine {
            self.learned.taken(now);
        }
        if let Some(per_second) = slowed {
            return Some(self.slowed(per_second));
        }
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

/// How long the words ask us to wait: `try again in 5 minutes`.
fn asked(words: &str) -> Duration {
    bounce::asked_delay(words)
        .unwrap_or_default()
        .min(LONGEST_ASKED)
}

#[cfg(test)]
mod tests;
