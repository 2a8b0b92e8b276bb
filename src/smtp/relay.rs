//! The contract between the engine and a connection to a relay.

use super::redaction::Redaction;
use super::reply::ServerReply;
use crate::domain::content::MessageContent;
use crate::domain::outcome::{Attempt, Reply, Stage};
use async_trait::async_trait;
use std::time::SystemTime;

/// One message to be handed to a relay.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The engine's identifier of the attempt. The relay passes it back with every call about the message.
    pub ticket: u64,
    /// The argument of MAIL FROM; empty for the null reverse-path (RFC 5321 §4.5.5).
    pub return_path: String,
    /// The argument of RCPT TO.
    pub recipient: String,
    /// Without angle brackets.
    pub message_id: String,
    /// CRLF lines without bare CR or LF, not dot-stuffed, without a `Date` field. The relay writes that one in front
    /// (`date::field`).
    pub content: MessageContent,
}

/// Where a connection gets its messages and reports their results. The engine's lanes implement it.
#[async_trait(?Send)]
pub trait Feed {
    /// Waits for the next message that may be sent. `None`: close the connection. The connection drops this future when
    /// the relay closes in the meantime, so it must not take a message before it is ready.
    async fn next(&self) -> Option<Outgoing>;
    /// The next message, if one may start right now. Asked before the content of the previous message is written, so
    /// that both go in one write (RFC 2920 §3.1).
    fn try_next(&self) -> Option<Outgoing>;
    /// Whether the claim of a message is still valid. Asked right before its final dot or BDAT LAST is written.
    fn may_finish(&self, ticket: u64) -> bool;
    /// MAIL FROM of this message is about to be written. Rate limits count this.
    fn begun(&self, ticket: u64, at: SystemTime);
    /// The result of a message. Called exactly once for each message that was taken.
    fn done(&self, ticket: u64, attempt: Attempt);
}

/// A relay that sessions can be opened with.
#[async_trait(?Send)]
pub trait Relay {
    /// `host:port`, or the path of the outbox. Events and messages show it.
    fn name(&self) -> &str;
    /// Opens one connection and sends the messages of the feed until the feed or the relay ends the session.
    async fn run_session(&self, feed: &dyn Feed) -> SessionEnd;
    /// Connects, negotiates TLS, logs in and quits.
    async fn probe(&self) -> Result<Capabilities, SessionEnd>;
}

/// Why a session ended. `Failed` and `Unavailable` count against the relay in the circuit breaker. None of them counts
/// as an attempt of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEnd {
    /// The feed has no more messages, and QUIT was sent.
    Finished,
    /// The session ended without a fault of the relay: it closed an idle connection, the connection has carried its
    /// maximum of messages, there are too many connections, or a claim expired after DATA. Open another connection.
    Reconnect { reply: Option<Reply>, why: String },
    /// The session broke off at this stage: the relay closed the connection, answered 421, or broke the protocol.
    Failed {
        stage: Stage,
        reply: Option<Reply>,
        why: String,
    },
    /// No session was established: connecting or TLS failed, or the login for a reason that may pass.
    Unavailable {
        stage: Stage,
        reply: Option<Reply>,
        why: String,
    },
    /// The login failed, and will fail again. Servers lock accounts that try too often.
    LoginRefused {
        problem: LoginProblem,
        reply: Option<Reply>,
        why: String,
    },
}

/// Why a login cannot succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginProblem {
    /// The server refused user and password.
    Refused,
    /// The server offers only XOAUTH2.
    WantsToken,
    /// Server and client have no mechanism in common.
    NoMechanism,
    /// A password is not sent in plain text.
    NoTls,
}

impl SessionEnd {
    /// The relay ended the session with a reply, such as 421 (RFC 5321 §3.8).
    pub(super) fn failed_with(stage: Stage, reply: ServerReply) -> SessionEnd {
        let reply = reply.into_reply();
        SessionEnd::Failed {
            stage,
            why: reply.to_string(),
            reply: Some(reply),
        }
    }

    /// Another connection may do better than the one that got this reply.
    pub(super) fn reconnect_after(reply: Reply) -> SessionEnd {
        SessionEnd::Reconnect {
            why: reply.to_string(),
            reply: Some(reply),
        }
    }

    /// Without what no text of a relay may show.
    pub(super) fn redacted(mut self, hidden: &Redaction) -> SessionEnd {
        match &mut self {
            SessionEnd::Finished => {}
            SessionEnd::Reconnect { reply, why }
            | SessionEnd::Failed { reply, why, .. }
            | SessionEnd::Unavailable { reply, why, .. }
            | SessionEnd::LoginRefused { reply, why, .. } => {
                *why = hidden.of(why).into_owned();
                if let Some(reply) = reply {
                    reply.text = hidden.of(&reply.text).into_owned();
                }
            }
        }
        self
    }

    /// The reason, for the attempts that the session's end leaves unsent. Empty after `Finished`.
    pub(super) fn why(&self) -> &str {
        match self {
            SessionEnd::Finished => "",
            SessionEnd::Reconnect { why, .. }
            | SessionEnd::Failed { why, .. }
            | SessionEnd::Unavailable { why, .. }
            | SessionEnd::LoginRefused { why, .. } => why,
        }
    }
}

/// What a relay offers, for `mailq check --relay`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    pub greeting: String,
    /// Version and cipher suite.
    pub tls: Option<String>,
    pub authenticated: bool,
    /// Largest message in bytes. `None` or 0: no fixed limit.
    pub size: Option<u64>,
    pub pipelining: bool,
    pub chunking: bool,
    pub smtputf8: bool,
    pub eight_bit_mime: bool,
    pub auth: Vec<String>,
}
