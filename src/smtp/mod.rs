//! Handing messages to a relay: the contract between the engine and one connection, and its two implementations,
//! an SMTP conversation (`session`) and a folder of files (`maildir`). Knows nothing of queues or retries.

mod auth;
mod content;
pub mod date;
mod draft;
mod ehlo;
mod endings;
mod envelope;
mod handshake;
mod maildir;
mod open;
mod outbox;
mod parley;
mod reply;
mod session;
mod settings;
mod taken;
mod tls;
mod transaction;
mod url;
mod wire;

pub use auth::Mechanism;
pub use open::open;
pub use reply::reply_of;
pub use settings::{Deadlines, OpenError, Pipelining, RelaySettings, Secret, SecretSource};
pub use url::{RelayAddress, ServerAddress, TlsPolicy, UrlError};

use crate::domain::content::MessageContent;
use crate::domain::outcome::{Attempt, Reply, Stage};
use async_trait::async_trait;
use std::time::SystemTime;

/// One message on its way to a relay.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The engine's own handle for it; comes back with the attempt.
    pub ticket: u64,
    /// MAIL FROM, empty for the null path.
    pub return_path: String,
    /// RCPT TO.
    pub recipient: String,
    /// Without angle brackets.
    pub message_id: String,
    /// CRLF lines, no bare CR or LF, not dot-stuffed, no `Date` field: the relay writes one in front (`date::field`).
    pub content: MessageContent,
}

/// Where a connection takes its messages from and leaves what became of them. Implemented by the engine's lanes.
#[async_trait(?Send)]
pub trait Feed {
    /// The next message whose time has come, waiting for one; `None`: hang up. The future is dropped when the relay
    /// hangs up meanwhile: it must not have taken a message before it is ready.
    async fn next(&self) -> Option<Outgoing>;
    /// The next message if one may begin this very moment; asked when the content of the last is about to be
    /// written, so that both go in one write (RFC 2920 §3.1).
    fn try_next(&self) -> Option<Outgoing>;
    /// Asked right before the final dot (or BDAT LAST) of a message is written: its claim may have grown too old.
    fn may_finish(&self, ticket: u64) -> bool;
    /// MAIL FROM of this message is about to be written: what a rate counts.
    fn begun(&self, ticket: u64, at: SystemTime);
    /// The conversation lets go of a message. Called exactly once for each one taken.
    fn done(&self, ticket: u64, attempt: Attempt);
}

/// Why a connection ended. Trouble feeds the breaker; nobody's try is used by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The feed said to hang up, and QUIT was said.
    Finished,
    /// Between messages and without trouble: the relay ended an idle connection, the connection carried as many
    /// messages as it may, or a claim grew too old after DATA. Open another.
    Parted { reply: Option<Reply>, why: String },
    /// The relay hung up or asked to come back later (421) after it had taken part in a conversation, at this stage.
    Closed {
        stage: Stage,
        reply: Option<Reply>,
        why: String,
    },
    /// No conversation came about: refused, unreachable, TLS or login failed.
    Unavailable {
        stage: Stage,
        reply: Option<Reply>,
        why: String,
    },
}

/// What the relay offers, for `mailq check --relay`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offers {
    pub greeting: String,
    pub tls: Option<String>,
    pub authenticated: bool,
    pub size: Option<u64>,
    pub pipelining: bool,
    pub chunking: bool,
    pub smtputf8: bool,
    pub eight_bit_mime: bool,
    pub auth: Vec<String>,
}

/// A relay that connections can be opened to.
#[async_trait(?Send)]
pub trait Relay {
    /// `host:port`, or the path of the outbox; in events and messages.
    fn name(&self) -> &str;
    /// Opens one connection and feeds it until the feed or the relay ends it.
    async fn converse(&self, feed: &dyn Feed) -> End;
    /// Connects, negotiates TLS, logs in, and hangs up.
    async fn probe(&self) -> Result<Offers, End>;
}
