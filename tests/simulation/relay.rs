//! A relay that answers anything and records everything.

use super::profile::Profile;
use async_trait::async_trait;
use mailq::clock::Clock;
use mailq::domain::outcome::{Attempt, EnhancedCode, Reply, Stage, UnansweredCause};
use mailq::smtp::{Capabilities, Feed, Outgoing, Relay, SessionEnd};
use mailq_testkit::memory::{ProcessId, VirtualClock};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// One MAIL FROM and its result. Times are of the log's clock.
#[derive(Debug, Clone)]
pub struct Transaction {
    pub process: ProcessId,
    pub id: String,
    pub address: String,
    pub begun_at: Duration,
    /// The final dot, when the message was, or may have been, accepted.
    pub dot_at: Option<Duration>,
    pub accepted: bool,
    pub unanswered: bool,
    /// The reply uses a try.
    pub uses_try: bool,
    /// When the worker got the result, if it did.
    pub ended_at: Option<Duration>,
}

/// What reached the relay, from all processes.
pub struct Mailbox {
    pub transactions: RefCell<Vec<Transaction>>,
    /// Set when faults are over: everything is accepted.
    pub is_kind: Cell<bool>,
    pub profile: Profile,
    pub clock: VirtualClock,
}

pub struct FaultyRelay {
    pub mailbox: Rc<Mailbox>,
    pub process: ProcessId,
    pub random: RefCell<fastrand::Rng>,
}

fn reply(code: u16, enhanced: (u8, u16, u16), text: &str) -> Reply {
    let enhanced = EnhancedCode(enhanced.0, enhanced.1, enhanced.2);
    Reply {
        code,
        enhanced: Some(enhanced),
        text: format!("{enhanced} {text}"),
    }
}

fn closed(stage: Stage, reply: Option<Reply>, why: &str) -> SessionEnd {
    SessionEnd::Failed {
        stage,
        reply,
        why: why.to_string(),
    }
}

impl FaultyRelay {
    fn number(&self, below: u32) -> u32 {
        self.random.borrow_mut().u32(..below)
    }

    fn is_kind(&self) -> bool {
        self.mailbox.is_kind.get()
    }

    async fn latency(&self) {
        let millis = match self.number(400) {
            0 if self.mailbox.profile.has_faults() => 15_000,
            0..10 if !self.mailbox.profile.is_paced() => self.number(4_000),
            _ => self.number(60),
        };
        tokio::time::sleep(Duration::from_millis(u64::from(millis))).await;
    }

    fn begin(&self, outgoing: &Outgoing) -> usize {
        let mut transactions = self.mailbox.transactions.borrow_mut();
        transactions.push(Transaction {
            process: self.process,
            id: outgoing.message_id.clone(),
            address: outgoing.recipient.clone(),
            begun_at: self.mailbox.clock.since_boot(),
            dot_at: None,
            accepted: false,
            unanswered: false,
            uses_try: false,
            ended_at: None,
        });
        transactions.len() - 1
    }

    fn note(&self, index: usize, change: impl FnOnce(&mut Transaction, Duration)) {
        change(
            &mut self.mailbox.transactions.borrow_mut()[index],
            self.mailbox.clock.since_boot(),
        );
    }

    fn end(&self, feed: &dyn Feed, (index, ticket): (usize, u64), attempt: Attempt) {
        self.note(index, |transaction, now| transaction.ended_at = Some(now));
        feed.done(ticket, attempt);
    }

    /// Any reply before the content.
    fn early(&self, dice: u32) -> Option<(Stage, Reply, bool)> {
        Some(match dice {
            0..15 => (Stage::RcptTo, reply(451, (4, 2, 0), "not now"), true),
            15..18 => (Stage::RcptTo, reply(450, (4, 7, 28), "too fast"), false),
            18..25 => (Stage::Data, reply(550, (5, 7, 1), "message refused"), false),
            25..33 => (Stage::RcptTo, reply(550, (5, 1, 1), "no such user"), false),
            _ => return None,
        })
    }

    /// One transaction; `Err` ends the connection.
    async fn transact(&self, feed: &dyn Feed, outgoing: Outgoing) -> Result<(), SessionEnd> {
        let named = (self.begin(&outgoing), outgoing.ticket);
        feed.begun(outgoing.ticket, std::time::SystemTime::UNIX_EPOCH);
        let mut unsent = Unsent {
            relay: self,
            feed,
            named: Some(named),
        };
        self.latency().await;
        unsent.named = None;
        let dice = if self.is_kind() { 99 } else { self.number(100) };
        if let Some((stage, reply, uses_try)) = self.early(dice) {
            self.note(named.0, |transaction, _| transaction.uses_try = uses_try);
            self.end(feed, named, Attempt::Rejected { stage, reply });
            return Ok(());
        }
        if let 33..36 = dice {
            let busy = reply(421, (4, 3, 2), "shutting down");
            self.end(
                feed,
                named,
                Attempt::Rejected {
                    stage: Stage::MailFrom,
                    reply: busy.clone(),
                },
            );
            return Err(closed(Stage::MailFrom, Some(busy), "closed"));
        }
        if dice < 39 || !feed.may_finish(outgoing.ticket) {
            let why = "connection lost, or its claim grew old";
            self.end(
                feed,
                named,
                Attempt::NotSent {
                    why: why.to_string(),
                },
            );
            return Err(closed(Stage::Data, None, why));
        }
        self.finish(feed, named, dice < 48 && self.mailbox.profile.has_faults())
            .await
    }

    /// From the final dot on.
    async fn finish(
        &self,
        feed: &dyn Feed,
        named: (usize, u64),
        is_lost: bool,
    ) -> Result<(), SessionEnd> {
        let accepted = !is_lost || self.number(2) == 0;
        self.note(named.0, |transaction, now| {
            transaction.dot_at = Some(now);
            transaction.accepted = accepted;
            (transaction.unanswered, transaction.uses_try) = (is_lost, is_lost);
        });
        self.latency().await;
        if is_lost {
            let why = "connection lost after the final dot".to_string();
            let attempt = Attempt::Unanswered {
                cause: UnansweredCause::ConnectionLost,
                why: why.clone(),
            };
            self.end(feed, named, attempt);
            return Err(closed(Stage::FinalDot, None, &why));
        }
        self.end(
            feed,
            named,
            Attempt::Delivered(reply(250, (2, 0, 0), "taken")),
        );
        Ok(())
    }
}

/// A message before its final dot. If the session is dropped, it goes back to the feed.
struct Unsent<'a> {
    relay: &'a FaultyRelay,
    feed: &'a dyn Feed,
    named: Option<(usize, u64)>,
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        if let Some(named) = self.named {
            let why = "the session was abandoned".to_string();
            self.relay.end(self.feed, named, Attempt::NotSent { why });
        }
    }
}

#[async_trait(?Send)]
impl Relay for FaultyRelay {
    fn name(&self) -> &str {
        "relay.example:25"
    }

    async fn run_session(&self, feed: &dyn Feed) -> SessionEnd {
        self.latency().await;
        if !self.is_kind() && self.number(25) == 0 {
            let why = "connection refused".to_string();
            return SessionEnd::Unavailable {
                stage: Stage::Connect,
                reply: None,
                why,
            };
        }
        while let Some(outgoing) = feed.next().await {
            let mut next = Some(outgoing);
            while let Some(outgoing) = next.take() {
                if let Err(end) = self.transact(feed, outgoing).await {
                    return end;
                }
                next = feed.try_next();
            }
        }
        SessionEnd::Finished
    }

    async fn probe(&self) -> Result<Capabilities, SessionEnd> {
        Ok(Capabilities::default())
    }
}
