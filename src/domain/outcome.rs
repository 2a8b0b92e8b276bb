//! What an SMTP attempt can end in, and the words that classify a failure. Who decides what follows is `engine::policy`.

use super::named::named;
use serde::{Deserialize, Serialize};
use std::fmt;

named! {
    /// Where in the conversation something happened. The order is the order of the conversation.
    pub enum Stage {
        Connect = "connect",
        Greeting = "greeting",
        Ehlo = "ehlo",
        Tls = "tls",
        Auth = "auth",
        MailFrom = "mail_from",
        RcptTo = "rcpt_to",
        /// The answer to the DATA command, or a problem while the content was written, before the final dot.
        Data = "data",
        /// After the final dot (or the last BDAT chunk) was written.
        FinalDot = "final_dot",
    }
}

/// A server's answer. `code` is 0 where the bytes were no reply at all; `text` keeps the server's own words,
/// lines joined with a space, invalid UTF-8 replaced, the enhanced code included (RFC 5321 §4.2, RFC 3463).
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

/// class.subject.detail of RFC 3463.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EnhancedCode(pub u8, pub u16, pub u16);

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// What the conversation knows about one message when it lets go of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The relay answered the final dot with 2xx: the mail is its responsibility now.
    Delivered(Reply),
    /// The relay answered with 4xx or 5xx at a stage that concerns this message.
    Rejected { stage: Stage, reply: Reply },
    /// The message never reached its final dot and the fault is not its own (the connection ended, its claim grew old).
    NotSent { why: String },
    /// The final dot was written and no valid answer to it came: the relay may hold the mail (RFC 1047).
    Unanswered { why: String },
}

named! {
    /// How long a failure lasts.
    pub enum Class {
        /// Exponential backoff.
        Temporary = "temporary",
        /// A fixed interval.
        Soft = "soft",
        /// Never again.
        Hard = "hard",
    }
}

named! {
    /// Whom a failure is about.
    pub enum Scope {
        Recipient = "recipient",
        Message = "message",
        Sender = "sender",
        Site = "site",
        Relay = "relay",
    }
}

named! {
    /// Why, in one word; `bounce` gives it, reports and filters show it.
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
        /// A worker ended with the message in its hands.
        WorkerLost = "worker_lost",
        /// The connection ended after the final dot.
        ConnectionLost = "connection_lost",
        /// The final dot was never answered.
        NoReply = "no_reply",
        Complaint = "complaint",
        Unsubscribe = "unsubscribe",
        Manual = "manual",
        Unknown = "unknown",
    }
}

/// What a reply means: the classifier's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub class: Class,
    pub reason: Reason,
    pub scope: Scope,
    /// A delay that the reply itself asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<std::time::Duration>,
    /// The rule that decided, for `mailq bounce explain`.
    pub rule: &'static str,
}
