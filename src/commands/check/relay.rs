//! `check --relay`: connects to each relay, negotiates TLS, logs in and quits.

use super::finding::Finding;
use crate::commands::{Exit, Failure, project, relays};
use crate::config::Loaded;
use crate::smtp::{Capabilities, RelayAddress};
use serde::Serialize;
use std::fmt;

/// A relay and its extensions.
#[derive(Debug, Serialize)]
pub struct Probed {
    pub relay: String,
    pub ok: bool,
    pub greeting: String,
    pub tls: Option<String>,
    pub authenticated: bool,
    pub size: Option<u64>,
    pub pipelining: bool,
    pub chunking: bool,
    pub smtputf8: bool,
    pub eight_bit_mime: bool,
    pub auth: Vec<String>,
    /// Whether it is a folder instead of a server.
    pub outbox: bool,
    /// The exit code if it cannot be used.
    #[serde(skip)]
    pub exit: Option<Exit>,
}

impl Probed {
    fn new(relay: String, offers: Capabilities) -> Probed {
        Probed {
            relay,
            ok: true,
            greeting: offers.greeting,
            tls: offers.tls,
            authenticated: offers.authenticated,
            size: offers.size,
            pipelining: offers.pipelining,
            chunking: offers.chunking,
            smtputf8: offers.smtputf8,
            eight_bit_mime: offers.eight_bit_mime,
            auth: offers.auth,
            outbox: false,
            exit: None,
        }
    }
}

/// Probes one relay after the other. Errors: none is configured, or the settings of one are invalid.
pub fn probe(loaded: &Loaded, findings: &mut Vec<Finding>) -> Result<Vec<Probed>, Failure> {
    let lanes = relays::open(loaded)?;
    let mut probed = Vec::with_capacity(lanes.len());
    for (lane, config) in lanes.into_iter().zip(&loaded.settings.relays) {
        let name = lane.relay.name().to_string();
        let offers = project::block_on(async { Ok(lane.relay.probe().await) })?;
        probed.push(match offers {
            Ok(offers) => Probed {
                outbox: matches!(config.keys.url.value, RelayAddress::Maildir(_)),
                ..Probed::new(name, offers)
            },
            Err(end) => {
                let failure = relays::failure(&name, &end);
                let exit = failure.exit;
                let hint = failure.hint.unwrap_or_default();
                // An unavailable relay is no fault of the campaign.
                findings.push(match exit {
                    Exit::TryLater => Finding::warning("W40", failure.what, hint),
                    _ => Finding::error("E40", failure.what, hint),
                });
                Probed {
                    ok: false,
                    exit: Some(exit),
                    ..Probed::new(name, Capabilities::default())
                }
            }
        });
    }
    Ok(probed)
}

impl fmt::Display for Probed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.ok {
            return write!(f, "{}: cannot be used", self.relay);
        }
        if self.outbox {
            return f.write_str(&self.greeting);
        }
        let mut words = vec![match &self.tls {
            Some(tls) => tls.clone(),
            None => "no TLS".to_string(),
        }];
        words.push(match self.authenticated {
            true => "logged in".to_string(),
            false => "no login".to_string(),
        });
        if let Some(size) = self.size.filter(|size| *size > 0) {
            words.push(format!("SIZE {size}"));
        }
        for (offered, word) in [
            (self.pipelining, "PIPELINING"),
            (self.chunking, "CHUNKING"),
            (self.smtputf8, "SMTPUTF8"),
            (self.eight_bit_mime, "8BITMIME"),
        ] {
            if offered {
                words.push(word.to_string());
            }
        }
        write!(
            f,
            "{}: {} ({})",
            self.relay,
            words.join(", "),
            self.greeting
        )
    }
}
