//! What an SMTP attempt can end in, and the words that classify a failure. Who decides what follows is `engine::policy`.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where in the conversation something happened. The order is the order of the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Connect,
    Greeting,
    Ehlo,
    Tls,
    Auth,
    MailFrom,
    RcptTo,
    /// The answer to the DATA command, or a problem while the content was written, before the final dot.
    Data,
    /// After the final dot (or the last BDAT chunk) was written.
    FinalDot,
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

/// How long a failure lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Exponential backoff.
    Temporary,
    /// A fixed interval.
    Soft,
    /// Never again.
    Hard,
}

/// Whom a failure is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Recipient,
    Message,
    Sender,
    Site,
    Relay,
}

/// Why, in one word; `bounce` gives it, reports and filters show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    NoMailbox,
    NoDomain,
    NullMx,
    Moved,
    MailboxDisabled,
    MailboxFull,
    RecipientFilter,
    ReceivingTooFast,
    Greylisted,
    Throttled,
    Reputation,
    SenderBlocked,
    AuthFail,
    NoPtr,
    TlsRequired,
    SenderRejected,
    SpamContent,
    Virus,
    Policy,
    Malformed,
    TooBig,
    Smtputf8Unsupported,
    RelayDenied,
    RelayAuth,
    RelayQuota,
    RemoteError,
    RemoteFull,
    Network,
    Dns,
    Expired,
    Loop,
    Protocol,
    /// A worker ended with the message in its hands.
    WorkerLost,
    /// The connection ended after the final dot.
    ConnectionLost,
    /// The final dot was never answered.
    NoReply,
    Complaint,
    Unsubscribe,
    Manual,
    Unknown,
}

macro_rules! wire_name {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            /// The name used in JSON, in filters and in messages.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                serde_json::to_value(self).ok().as_ref().and_then(|v| v.as_str()).unwrap_or("?").fmt(f)
            }
        }
        impl std::str::FromStr for $type {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                serde_json::from_value(serde_json::Value::String(text.to_string()))
                    .map_err(|_| format!("`{text}` is not a known name"))
            }
        }
    )*};
}
wire_name!(Stage, Class, Scope, Reason);

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
