//! What a relay needs to know before its first connection, and the secrets among it.

use super::auth::Mechanism;
use super::url::RelayAddress;
use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A password or token. Neither `Debug` nor `Display` shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The secret itself, for the one place that sends it.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hidden")
    }
}

/// Fetches a secret anew. It may take its time: it is called on a thread of its own.
#[derive(Clone)]
pub struct SecretSource(Arc<dyn Fn() -> Result<Secret, String> + Send + Sync>);

impl SecretSource {
    pub fn new(fetch: impl Fn() -> Result<Secret, String> + Send + Sync + 'static) -> SecretSource {
        SecretSource(Arc::new(fetch))
    }

    pub(super) async fn fetch(&self) -> Result<Secret, String> {
        let fetch = Arc::clone(&self.0);
        let fetched = tokio::task::spawn_blocking(move || fetch()).await;
        fetched.unwrap_or_else(|error| Err(error.to_string()))
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretSource(hidden)")
    }
}

/// How long each stage may last (RFC 5321 §4.5.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    pub connect: Duration,
    pub greeting: Duration,
    /// EHLO, HELO, STARTTLS, the handshake, AUTH, RSET.
    pub command: Duration,
    pub mail_from: Duration,
    pub rcpt_to: Duration,
    pub data: Duration,
    /// Until the next block of content is taken.
    pub data_block: Duration,
    pub final_dot: Duration,
    pub quit: Duration,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        let minutes = |count: u64| Duration::from_secs(count * 60);
        Deadlines {
            connect: Duration::from_secs(30),
            greeting: minutes(5),
            command: minutes(5),
            mail_from: minutes(5),
            rcpt_to: minutes(5),
            data: minutes(2),
            data_block: minutes(3),
            final_dot: minutes(10),
            quit: Duration::from_secs(5),
        }
    }
}

/// Whether several commands may go in one write (RFC 2920).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pipelining {
    /// Where it is offered, and for a while not after replies that were none.
    #[default]
    Auto,
    Off,
}

#[derive(Debug, Clone)]
pub struct RelaySettings {
    pub address: RelayAddress,
    /// Goes before the user in the URL.
    pub user: Option<String>,
    pub password: Option<Secret>,
    /// Asked at each login with XOAUTH2, because tokens end within the hour; without it `password` is the token.
    pub token: Option<SecretSource>,
    /// Default: PLAIN, else LOGIN, whichever is offered.
    pub auth: Option<Mechanism>,
    /// PEM certificates trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    pub deadlines: Deadlines,
    /// Said with EHLO.
    pub helo_name: String,
    pub pipelining: Pipelining,
    /// Default: no limit.
    pub max_messages_per_connection: Option<NonZeroU64>,
}

impl RelaySettings {
    /// Defaults for everything but the address; the name for EHLO is the host's.
    pub fn new(address: RelayAddress) -> RelaySettings {
        RelaySettings {
            address,
            user: None,
            password: None,
            token: None,
            auth: None,
            ca_file: None,
            deadlines: Deadlines::default(),
            helo_name: host_name(),
            pipelining: Pipelining::default(),
            max_messages_per_connection: None,
        }
    }
}

/// The host's own name if it can stand after EHLO, else `localhost`.
fn host_name() -> String {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_string_lossy();
    if is_helo_name(&name) {
        name.into_owned()
    } else {
        "localhost".to_string()
    }
}

/// A domain or an address literal (RFC 5321 §4.1.3); nothing that could be a second command.
pub(super) fn is_helo_name(name: &str) -> bool {
    let plausible = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']')
    };
    !name.is_empty() && name.len() <= 253 && name.bytes().all(plausible)
}

/// Why a relay cannot be used at all, whatever the network does.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "user `{user}` has no password; set `password_env`, `password_file` or `password_command`"
    )]
    NoPassword { user: String },
    #[error("a password without a user; set `user`")]
    NoUser,
    #[error("`{0}` is not a valid EHLO name; use a host name or an IP address in brackets")]
    HeloName(String),
    #[error("cannot read the certificates in `{}`: {why}", path.display())]
    CaFile { path: PathBuf, why: String },
    #[error(
        "this machine has no trusted certificates ({why}); install `ca-certificates` or set `ca_file`"
    )]
    NoRoots { why: String },
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    #[error("cannot create the outbox `{}`: {source}", path.display())]
    Outbox {
        path: PathBuf,
        source: std::io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show() {
        let secret = Secret::new("hunter2");
        let shown = format!("{secret} {secret:?} {:?}", Some(&secret));
        assert!(!shown.contains("hunter2"));
        assert_eq!(secret.reveal(), "hunter2");
    }

    #[test]
    fn a_helo_name_is_one_word() {
        for good in ["localhost", "mx.example.com", "[127.0.0.1]", "[IPv6:::1]"] {
            assert!(is_helo_name(good));
        }
        for bad in ["", "a b", "a\r\nMAIL", "b\u{fc}cher"] {
            assert!(!is_helo_name(bad));
        }
    }
}
