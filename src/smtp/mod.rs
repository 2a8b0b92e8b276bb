//! Hands messages to a relay: the contract between the engine and one connection (`relay`), an SMTP client (`server`,
//! `session`) and a folder of files in its place (`maildir`). Knows nothing of queues and retries.

mod attempt_guard;
mod auth;
mod connection;
mod content;
pub mod date;
mod ehlo;
mod envelope;
mod handshake;
mod helo;
mod maildir;
mod md5;
mod open;
mod redaction;
mod relay;
mod reply;
mod server;
mod session;
mod settings;
mod tls;
mod url;

pub use open::open;
pub use redaction::HIDDEN;
pub use relay::{Capabilities, Feed, LoginProblem, Outgoing, Relay, SessionEnd};
pub use reply::parse_reply;
pub use settings::{
    Mechanism, OpenError, Pipelining, RelaySettings, Secret, SecretSource, Timeouts,
};
pub use url::{RelayAddress, ServerAddress, TlsPolicy, UrlError};
