//! Feeds for the tests below, and the check that each message taken is settled exactly once.

use async_trait::async_trait;
use bytes::Bytes;
use mailq::domain::outcome::{Attempt, Stage};
use mailq::smtp::{Feed, Outgoing, Relay, RelaySettings, SessionEnd, Timeouts, open};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use mailq_testkit::relay::FakeRelay;

/// Gives messages in order, then hangs up, or waits for ever.
#[derive(Default)]
pub struct List {
    pub waiting: RefCell<VecDeque<Outgoing>>,
    pub taken: RefCell<Vec<u64>>,
    pub begun: RefCell<Vec<u64>>,
    pub attempts: RefCell<BTreeMap<u64, Attempt>>,
    /// Tickets whose claim is too old for the final dot.
    pub too_old: Vec<u64>,
    pub waits_at_the_end: Cell<bool>,
}

impl List {
    pub fn of(messages: Vec<Outgoing>) -> List {
        List {
            waiting: RefCell::new(messages.into()),
            ..List::default()
        }
    }

    pub fn to(recipients: &[&str]) -> List {
        let number = |(at, recipient): (usize, &&str)| message(at as u64, recipient);
        List::of(recipients.iter().enumerate().map(number).collect())
    }

    pub fn attempt(&self, ticket: u64) -> Attempt {
        self.attempts.borrow()[&ticket].clone()
    }

    /// One line for each message, in order: what an assertion is about.
    pub fn summary(&self) -> Vec<String> {
        self.check();
        self.attempts.borrow().values().map(short).collect()
    }

    /// Everything taken was settled.
    pub fn check(&self) {
        let mut taken = self.taken.borrow().clone();
        taken.sort_unstable();
        let settled: Vec<u64> = self.attempts.borrow().keys().copied().collect();
        assert_eq!(taken, settled);
    }
}

pub fn short(attempt: &Attempt) -> String {
    match attempt {
        Attempt::Delivered(_) => "delivered".to_string(),
        Attempt::Rejected { stage, reply } => format!("{stage} {}", reply.code),
        Attempt::BrokenOff { .. } => "broken off".to_string(),
        Attempt::NotSent { .. } => "not sent".to_string(),
        Attempt::Unanswered { .. } => "unanswered".to_string(),
    }
}

#[async_trait(?Send)]
impl Feed for List {
    async fn next(&self) -> Option<Outgoing> {
        match self.try_next() {
            None if self.waits_at_the_end.get() => std::future::pending().await,
            next => next,
        }
    }

    fn try_next(&self) -> Option<Outgoing> {
        let message = self.waiting.borrow_mut().pop_front()?;
        self.taken.borrow_mut().push(message.ticket);
        Some(message)
    }

    fn may_finish(&self, ticket: u64) -> bool {
        !self.too_old.contains(&ticket)
    }

    fn begun(&self, ticket: u64, _at: SystemTime) {
        assert!(!self.begun.borrow().contains(&ticket), "begun twice");
        self.begun.borrow_mut().push(ticket);
    }

    fn done(&self, ticket: u64, attempt: Attempt) {
        let before = self.attempts.borrow_mut().insert(ticket, attempt);
        assert_eq!(before, None, "{ticket} settled twice");
    }
}

pub fn message(ticket: u64, recipient: &str) -> Outgoing {
    let text = format!(
        "From: a@example.org\r\nMessage-ID: <{ticket}@example.org>\r\n\r\n.hidden\r\n..\r\nbody of {ticket}\r\n.\r\n"
    );
    Outgoing {
        ticket,
        return_path: "bounces@example.org".into(),
        recipient: recipient.into(),
        message_id: format!("{ticket}@example.org"),
        content: Bytes::from(text).into(),
    }
}

/// Short enough for a test, long enough for a busy machine.
pub fn patient() -> Timeouts {
    let long = Duration::from_secs(20);
    Timeouts {
        connect: long,
        greeting: long,
        command: long,
        mail_from: long,
        rcpt_to: long,
        data: long,
        data_block: long,
        final_dot: long,
        quit: long,
    }
}

pub fn settings(url: &str) -> RelaySettings {
    RelaySettings {
        timeouts: patient(),
        helo_name: Some("client.example".into()),
        ..RelaySettings::new(url.parse().unwrap())
    }
}

pub fn relay(url: &str) -> Rc<dyn Relay> {
    open(settings(url)).unwrap()
}

/// One conversation; checks that all that was taken was settled.
pub async fn converse(fake: &FakeRelay, list: &List) -> SessionEnd {
    let end = relay(&fake.url()).run_session(list).await;
    list.check();
    end
}

pub fn stage_of(end: &SessionEnd) -> Option<Stage> {
    match end {
        SessionEnd::Failed { stage, .. } | SessionEnd::Unavailable { stage, .. } => Some(*stage),
        SessionEnd::LoginRefused { .. } => Some(Stage::Auth),
        SessionEnd::Finished | SessionEnd::Reconnect { .. } => None,
    }
}

pub fn why(end: &SessionEnd) -> &str {
    match end {
        SessionEnd::Finished => "",
        SessionEnd::Reconnect { why, .. }
        | SessionEnd::Failed { why, .. }
        | SessionEnd::Unavailable { why, .. }
        | SessionEnd::LoginRefused { why, .. } => why,
    }
}
