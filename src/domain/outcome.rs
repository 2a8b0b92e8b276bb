//! Results of an SMTP attempt, and the terms that classify a failure. `engine::policy` decides what follows.

use super::named::named;
use serde::{Deserialize, Serialize};
use std::fmt;

named! {
    /// A stage of an SMTP session, in the order in which a session goes through them.
    pub enum Stage {
        Connect = "connect",
        Greeting = "greeting",
        Ehlo = "ehlo",
        Tls = "tls",
        Auth = "auth",
        MailFrom = "mail_from",
        RcptTo = "rcpt_to",
        /// The DATA command, and the content up to the final dot.
        Data = "data",
        /// After the final dot, or the last BDAT chunk, was written.
        FinalDot = "final_dot",
    }
}

/// Microsoft 365 answers so to the content when a sender has too many connections. At AUTH it means something else
/// (RFC 4954 §4.7).
pub const TOO_MANY_CONNECTIONS: u16 = 432;

/// A server's reply (RFC 5321 §4.2). `code` is 0 if the bytes were not a reply. `text` is what the server wrote: lines
/// joined with a space, invalid UTF-8 replaced, the enhanced status code included (RFC 3463).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    pub code: u16,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub enhanced: Option<EnhancedCode>,
    pub text: String,
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.text)
    }
}

/// Enhanced status code: class, subject, detail (RFC 3463 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EnhancedCode(pub u8, pub u16, pub u16);

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The result of handing one message to a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The relay answered the final dot with 2xx and is responsible for the message from then on (RFC 5321 §6.1).
    Delivered(Reply),
    /// The relay answered with 4xx or 5xx at a stage that is about this message.
    Rejected { stage: Stage, reply: Reply },
    /// The session broke off while the relay was to answer about this message, from RCPT TO to the final dot, and the
    /// relay does not have it. Whether that is about the message or the relay, this attempt alone does not say.
    BrokenOff { stage: Stage, why: String },
    /// The final dot was not written, for a reason that is not the message: the connection ended or the claim expired.
    NotSent { why: String },
    /// The final dot was written and no valid answer to it came: the relay may hold the mail (RFC 1047).
    Unanswered { cause: UnansweredCause, why: String },
}

/// Why the final dot has no valid reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnansweredCause {
    /// The relay kept the connection open and said nothing until the timeout.
    NoReply,
    /// The connection ended, or was given up because what came was no reply.
    ConnectionLost,
}

named! {
    /// How long a failure lasts. `engine::policy` decides by class, scope and reason what follows.
    pub enum Class {
        /// May be gone in minutes: exponential backoff.
        Temporary = "temporary",
        /// A refusal that may not last, such as a full mailbox: a fixed interval, or no retry if the message or the
        /// sender is refused.
        Soft = "soft",
        /// Does not go away: no retry.
        Hard = "hard",
    }
}

named! {
    /// What a failure is about.
    pub enum Scope {
        Recipient = "recipient",
        Message = "message",
        Sender = "sender",
        Site = "site",
        Relay = "relay",
    }
}

named! {
    /// Why a message failed. Set by `bounce`, shown in reports, used in filters.
    pub enum Reason {
        NoMailbox = "no_mailbox",
        NoDomain = "no_domain",
        NullMx = "null_mx",
        Moved = "moved",
        MailboxDisabled = "mailbox_disabled",
        MailboxFull = "mailbox_full",
        RecipientFilter = "recipient_filter",
        ReceivingTooFast = "receiving_too_fast",
        Greylisted = "greylisted",
        Throttled = "throttled",
        Reputation = "reputation",
        SenderBlocked = "sender_blocked",
        AuthFail = "auth_fail",
        NoPtr = "no_ptr",
        TlsRequired = "tls_required",
        SenderRejected = "sender_rejected",
        SpamContent = "spam_content",
        Virus = "virus",
        Policy = "policy",
        Malformed = "malformed",
        TooBig = "too_big",
        Smtputf8Unsupported = "smtputf8_unsupported",
        RelayDenied = "relay_denied",
        RelayAuth = "relay_auth",
        RelayQuota = "relay_quota",
        RemoteError = "remote_error",
        RemoteFull = "remote_full",
        Network = "network",
        Dns = "dns",
        Expired = "expired",
        Loop = "loop",
        Protocol = "protocol",
        /// A worker ended while the message was in flight.
        WorkerLost = "worker_lost",
        /// The connection ended after the final dot.
        ConnectionLost = "connection_lost",
        /// No reply to the final dot came in time.
        NoReply = "no_reply",
        Complaint = "complaint",
        Unsubscribe = "unsubscribe",
        Manual = "manual",
        Unknown = "unknown",
    }
}

/// What a reply means, as `bounce` classifies it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub class: Class,
    pub reason: Reason,
    pub scope: Scope,
    /// The delay that the reply asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<std::time::Duration>,
    /// The rule that matched, for `mailq bounce explain`.
    pub rule: &'static str,
}
