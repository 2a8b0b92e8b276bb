//! Settings of a relay, its timeouts and its secrets.

use super::url::RelayAddress;
use crate::threads;
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

/// Fetches a secret. It runs on a thread of its own, so it may block.
#[derive(Clone)]
pub struct SecretSource(Arc<dyn Fn() -> Result<Secret, String> + Send + Sync>);

impl SecretSource {
    pub fn new(fetch: impl Fn() -> Result<Secret, String> + Send + Sync + 'static) -> SecretSource {
        SecretSource(Arc::new(fetch))
    }

    pub(super) async fn fetch(&self) -> Result<Secret, String> {
        let fetch = Arc::clone(&self.0);
        let fetched = threads::run(move || fetch()).await;
        fetched.unwrap_or_else(|error| Err(error.to_string()))
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretSource(hidden)")
    }
}

/// Timeouts of an SMTP client (RFC 5321 §4.5.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    pub greeting: Duration,
    /// EHLO, HELO, STARTTLS, the TLS handshake, AUTH, RSET.
    pub command: Duration,
    pub mail_from: Duration,
    pub rcpt_to: Duration,
    pub data: Duration,
    /// Writing a piece of content, from the last byte that was accepted.
    pub data_block: Duration,
    pub final_dot: Duration,
    pub quit: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        let minutes = |count: u64| Duration::from_secs(count * 60);
        Timeouts {
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
    /// If the server offers it. Not for ten minutes after a protocol error.
    #[default]
    Auto,
    Off,
}

/// A SASL mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    Plain,
    Login,
    /// The server gets a digest of the password.
    CramMd5,
    /// The password is an access token.
    XOAuth2,
}

impl Mechanism {
    /// In the order of preference.
    pub(super) const OF_PASSWORDS: [Mechanism; 3] =
        [Mechanism::Plain, Mechanism::Login, Mechanism::CramMd5];

    /// The first response goes with AUTH, without a challenge.
    pub(super) fn begins_with_response(self) -> bool {
        matches!(self, Mechanism::Plain | Mechanism::XOAuth2)
    }

    /// The name in AUTH.
    pub(super) fn keyword(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
            Mechanism::CramMd5 => "CRAM-MD5",
            Mechanism::XOAuth2 => "XOAUTH2",
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.keyword().to_ascii_lowercase())
    }
}

impl std::str::FromStr for Mechanism {
    type Err = String;
    fn from_str(text: &str) -> Result<Mechanism, String> {
        match text.to_ascii_lowercase().as_str() {
            "plain" => Ok(Mechanism::Plain),
            "login" => Ok(Mechanism::Login),
            "cram-md5" => Ok(Mechanism::CramMd5),
            "xoauth2" => Ok(Mechanism::XOAuth2),
            _ => Err(format!(
                "`{text}` is not one of `plain`, `login`, `cram-md5`, `xoauth2`"
            )),
        }
    }
}

#[derive(Debug, Clone)]
pub struct RelaySettings {
    pub address: RelayAddress,
    /// Takes precedence over the user in the URL.
    pub user: Option<String>,
    pub password: Option<Secret>,
    /// Called for each login with XOAUTH2, because tokens expire within the hour. Without it `password` is the token.
    pub token: Option<SecretSource>,
    /// Default: the first of PLAIN, LOGIN and CRAM-MD5 that is offered.
    pub auth: Option<Mechanism>,
    /// PEM file of certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    pub timeouts: Timeouts,
    /// The name in EHLO. Default: the host's full name, else its address.
    pub helo_name: Option<String>,
    pub pipelining: Pipelining,
    /// Default: no limit.
    pub max_messages_per_connection: Option<NonZeroU64>,
}

impl RelaySettings {
    /// Defaults for everything except the address.
    pub fn new(address: RelayAddress) -> RelaySettings {
        RelaySettings {
            address,
            user: None,
            password: None,
            token: None,
            auth: None,
            ca_file: None,
            timeouts: Timeouts::default(),
            helo_name: None,
            pipelining: Pipelining::default(),
            max_messages_per_connection: None,
        }
    }
}

/// Settings that a relay cannot be used with.
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
    fn secrets_are_not_printed() {
        let secret = Secret::new("hunter2");
        let shown = format!("{secret} {secret:?} {:?}", Some(&secret));
        assert!(!shown.contains("hunter2"));
        assert_eq!(secret.reveal(), "hunter2");
    }
}
