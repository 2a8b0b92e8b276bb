//! The keys of a `[[relay]]`.

use crate::config::declare::keys;
use crate::config::schema::{Choice, Limits};
use crate::config::source::Sourced;
use crate::domain::rate::Rate;
use crate::smtp::{Mechanism, RelayAddress};
use std::num::NonZeroU32;
use std::path::PathBuf;

keys! {
    /// Where mail is handed over, one table for each relay. Several relays share the mail by `weight`.
    pub struct RelayKeys in "relay" as Repeated {
        /// Relay: `smtp://user@host:587`, `smtps://user@host:465` or `maildir:PATH`
        ///
        /// `smtp:` requires STARTTLS, except on loopback and with `?tls=none` or `?tls=opportunistic` after the port;
        /// its default port is 587, and 25 on loopback. `smtps:` is TLS from the first byte. `maildir:` writes each
        /// message to a file in a folder, and no mail leaves the machine. The flag and the variable replace all relays
        /// of the file.
        url: Sourced<RelayAddress> {
            default_text: "the relays in mailq.toml",
            example: "smtp://smtp.example.com:587",
            variables: &["MAILQ_RELAY"],
            flag: "--relay",
        }

        /// Login name
        ///
        /// The variables apply to a relay that is named by a flag or a variable.
        user: Option<String> {
            default_text: "the user in `url`; without one there is no login",
            example: "me@example.com",
            variables: &["SMTP_USER", "EMAIL_SMTP_USER"],
        }

        /// Variable that holds the password
        ///
        /// A line end after it is not part of the password.
        password_env: Option<Sourced<String>> {
            default_text: "`SMTP_PASS`, then `EMAIL_SMTP_PASS`, if there is a user",
            example: "SMTP_PASS",
        }

        /// File whose first line is the password
        password_file: Option<Sourced<PathBuf>> {
            default_text: "none",
            example: "/run/secrets/smtp",
        }

        /// Shell command whose first line of output is the password
        ///
        /// With `auth = "xoauth2"` it is the access token; the command runs again for each login.
        password_command: Option<Sourced<String>> {
            default_text: "none",
            example: "pass show smtp",
        }

        /// How to log in
        ///
        /// `auto` uses the first of PLAIN, LOGIN and CRAM-MD5 that the relay offers. With `xoauth2` the password is an access token.
        auth: Auth {
            default: "auto",
        }

        /// File of certificates (PEM) to trust for this relay
        ///
        /// With it, the certificates of the system are not trusted for this relay.
        ca_file: Option<PathBuf> {
            default_text: "the certificates of the system",
            example: "relay-ca.pem",
        }

        /// Name of this host in EHLO
        ///
        /// Many servers refuse a name without a dot.
        helo: Option<String> {
            default_text: "the host's full name, else its address like `[192.0.2.1]`",
            example: "mail.example.org",
        }

        /// Most messages to this relay, all workers together: `10/s`, `500/min`
        rate: Option<Rate> {
            default_text: "no limit except `rate` in `[send]`",
            example: "10/s",
        }

        /// Connections of one worker to this relay
        connections: Option<u32> {
            default_text: "no limit except `connections` in `[send]`",
            limits: Limits::Whole(1, 10_000),
            example: "10",
        }

        /// Most messages to this relay in a day, all workers together
        ///
        /// A day is one of UTC. Each message that begins counts, also one that is refused or tried again; those of
        /// `mailq test` do not. When the quota is used up, the other relays get the mail; if there is none, `send --drain`
        /// and `run` wait for the next day, or end with 75 by `--max-wait`. Workers reserve up to a hundredth of the
        /// quota at once, and one that ends loses what it has reserved and not used.
        daily_quota: Option<u32> {
            default_text: "no limit",
            limits: Limits::Whole(1, 1_000_000_000),
            example: "2000",
        }

        /// Share of the mail, in proportion to the weights of the other relays
        weight: NonZeroU32 {
            default: "1",
            limits: Limits::Whole(1, 1_000),
        }

        /// Use PIPELINING (RFC 2920) if the relay offers it
        ///
        /// Set `false` for a relay that offers it but does not handle it.
        pipelining: bool {
            default: "true",
        }
    }
}

keys! {
    /// A daily quota that grows, for a relay or an address that receivers do not know yet. It belongs to the `[[relay]]`
    /// above it. The quota of a day is `growth` times that of the last day on which mail was sent.
    pub struct WarmUpKeys in "relay.warmup" as Table {
        /// Most messages to this relay on the first day
        first_day: Option<u32> {
            default_text: "no warm-up",
            limits: Limits::Whole(1, 1_000_000_000),
            example: "50",
        }

        /// How much larger the quota is than that of the day before
        growth: f64 {
            default: "1.5",
            limits: Limits::Decimal(1.01, 10.0),
        }

        /// Messages a day at which the warm-up is over
        ///
        /// Then only `daily_quota` limits the day.
        until: Option<u32> {
            default_text: "no warm-up",
            limits: Limits::Whole(1, 1_000_000_000),
            example: "5000",
        }
    }
}

/// How to log in. `None`: with a password, as the relay offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Auth(pub Option<Mechanism>);

impl Choice for Auth {
    const NAMES: &'static [(&'static str, Auth)] = &[
        ("auto", Auth(None)),
        ("plain", Auth(Some(Mechanism::Plain))),
        ("login", Auth(Some(Mechanism::Login))),
        ("cram-md5", Auth(Some(Mechanism::CramMd5))),
        ("xoauth2", Auth(Some(Mechanism::XOAuth2))),
    ];
}
