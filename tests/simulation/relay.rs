//! A relay that answers anything and remembers what it took.

use async_trait::async_trait;
use mailq::domain::outcome::{Attempt, EnhancedCode, Reply, Stage};
use mailq::smtp::{End, Feed, Offers, Outgoing, Relay};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// What reached the relay, over all processes and their lives.
#[derive(Default)]
pub struct Mailbox {
    /// Message id to the number of times it was accepted.
    pub accepted: RefCell<BTreeMap<String, u32>>,
    /// Conversations that ended after the dot without an answer.
    pub unanswered: Cell<u32>,
    pub deferred: Cell<u32>,
    pub refused: Cell<u32>,
    /// Set when faults are over: everything is accepted.
    pub is_kind: Cell<bool>,
    pub transactions: Cell<u64>,
}

pub struct FaultyRelay {
    pub mailbox: Rc<Mailbox>,
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

impl FaultyRelay {
    fn number(&self, below: u32) -> u32 {
        self.random.borrow_mut().u32(..below)
    }

    async fn latency(&self) {
        let millis = if self.number(40) == 0 {
            self.number(4_000)
        } else {
            self.number(60)
        };
        tokio::time::sleep(Duration::from_millis(u64::from(millis))).await;
    }

    fn accept(&self, outgoing: &Outgoing) {
        *self
            .mailbox
            .accepted
            .borrow_mut()
            .entry(outgoing.message_id.clone())
            .or_default() += 1;
    }

    /// One transaction; `Err` ends the connection.
    async fn transact(&self, feed: &dyn Feed, outgoing: Outgoing) -> Result<(), End> {
        let ticket = outgoing.ticket;
        self.mailbox
            .transactions
            .set(self.mailbox.transactions.get() + 1);
        feed.begun(ticket, std::time::SystemTime::UNIX_EPOCH);
        self.latency().await;
        let dice = if self.mailbox.is_kind.get() {
            0
        } else {
            self.number(100)
        };
        let rejected = |stage, reply| Attempt::Rejected { stage, reply };
        let early = match dice {
            0..55 => None,
            55..72 => {
                self.mailbox.deferred.set(self.mailbox.deferred.get() + 1);
                Some(rejected(Stage::RcptTo, reply(451, (4, 2, 0), "not now")))
            }
            72..80 => Some(rejected(
                Stage::Data,
                reply(550, (5, 7, 1), "message refused"),
            )),
            80..88 => {
                self.mailbox.refused.set(self.mailbox.refused.get() + 1);
                Some(rejected(
                    Stage::RcptTo,
                    reply(550, (5, 1, 1), "no such user"),
                ))
            }
            88..91 => {
                let why = "connection lost".to_string();
                feed.done(ticket, Attempt::NotSent { why: why.clone() });
                return Err(End::Closed {
                    stage: Stage::Data,
                    reply: None,
                    why,
                });
            }
            _ => None,
        };
        if let Some(attempt) = early {
            feed.done(ticket, attempt);
            return Ok(());
        }
        if !feed.may_finish(ticket) {
            let why = "its claim grew old".to_string();
            feed.done(ticket, Attempt::NotSent { why: why.clone() });
            return Err(End::Closed {
                stage: Stage::Data,
                reply: None,
                why,
            });
        }
        if dice >= 91 {
            let why = "connection lost after the final dot".to_string();
            self.mailbox
                .unanswered
                .set(self.mailbox.unanswered.get() + 1);
            if self.number(2) == 0 {
                self.accept(&outgoing);
            }
            self.latency().await;
            feed.done(ticket, Attempt::Unanswered { why: why.clone() });
            return Err(End::Closed {
                stage: Stage::FinalDot,
                reply: None,
                why,
            });
        }
        self.accept(&outgoing);
        self.latency().await;
        feed.done(ticket, Attempt::Delivered(reply(250, (2, 0, 0), "taken")));
        Ok(())
    }
}

#[async_trait(?Send)]
impl Relay for FaultyRelay {
    fn name(&self) -> &str {
        "relay.example:25"
    }

    async fn converse(&self, feed: &dyn Feed) -> End {
        self.latency().await;
        if !self.mailbox.is_kind.get() && self.number(25) == 0 {
            let why = "connection refused".to_string();
            return End::Unavailable {
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
        End::Finished
    }

    async fn probe(&self) -> Result<Offers, End> {
        Ok(Offers::default())
    }
}
