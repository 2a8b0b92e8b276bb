//! Opens the configured relays, and gives workers their limits.

use super::Failure;
use crate::bounce;
use crate::config::{ConfigError, Loaded, RelayConfig, Settings, SiteKeys};
use crate::domain::outcome::Stage;
use crate::domain::rate::Rate;
use crate::engine::limits::quota::{DAY, Quota};
use crate::engine::worker::{RelayLane, SiteLimit};
use crate::smtp::{
    self, LoginProblem, OpenError, Pipelining, Relay, RelayAddress, RelaySettings, SecretSource,
    SessionEnd,
};
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::rc::Rc;

/// Opens all relays, each with its share of the connections, without connecting. Errors: no relay is configured, a
/// password cannot be read, certificates or an outbox cannot be used.
pub fn open(loaded: &Loaded) -> Result<Vec<RelayLane>, Failure> {
    let configs = &loaded.settings.relays;
    if configs.is_empty() {
        return Err(none());
    }
    let total = loaded.settings.send.connections;
    let shares = shares(configs, total);
    configs
        .iter()
        .zip(shares)
        .map(|(config, connections)| {
            Ok(RelayLane {
                relay: open_one(config, loaded)?,
                connections,
                most_connections: config.keys.connections.unwrap_or(total) as usize,
                weight: config.keys.weight.get(),
                rate: config.keys.rate.unwrap_or(Rate::Unlimited),
                quota: quota(config),
            })
        })
        .collect()
}

/// Two logins at one relay have a quota each.
fn quota(config: &RelayConfig) -> Option<Quota> {
    let daily = config.keys.daily_quota.map(u64::from);
    let url = config.keys.url.value.to_string();
    (daily.is_some() || config.warm_up.is_some()).then(|| Quota {
        relay: match &config.user {
            Some(user) => format!("{user} {url}"),
            None => url,
        },
        daily,
        warm_up: config.warm_up,
        day: DAY,
    })
}

/// Opens the first relay, for a single conversation.
pub fn open_first(loaded: &Loaded) -> Result<Rc<dyn Relay>, Failure> {
    let config = loaded.settings.relays.first().ok_or_else(none)?;
    open_one(config, loaded)
}

fn none() -> Failure {
    Failure::usage("no relay is configured; nothing was sent").with_hint(
        "set SMTP_HOST, or `url = \"smtp://user@host:587\"` under `[[relay]]` in mailq.toml",
    )
}

/// Why a conversation failed. A refused login or certificate needs an operator; everything else may pass by itself.
pub fn failure(relay: &str, end: &SessionEnd) -> Failure {
    let (stage, reply, why) = match end {
        SessionEnd::Finished => {
            return Failure::try_later(format!("relay `{relay}` accepted no message"));
        }
        SessionEnd::Reconnect { reply, why } => (None, reply, why),
        SessionEnd::LoginRefused { problem, why, .. } => {
            let what = format!(
                "relay `{relay}` cannot be used at {}: {why}",
                stage_name(Stage::Auth)
            );
            return Failure::usage(what).with_hint(login_hint(*problem));
        }
        SessionEnd::Failed { stage, reply, why }
        | SessionEnd::Unavailable { stage, reply, why } => (Some(*stage), reply, why),
    };
    let at = stage.map_or_else(String::new, |stage| format!(" at {}", stage_name(stage)));
    let mut what = format!("relay `{relay}` cannot be used{at}: {why}");
    if let Some(reply) = reply.as_ref().filter(|reply| !why.contains(&reply.text)) {
        what = format!("{what}: {reply}");
    }
    match stage {
        Some(Stage::Ehlo) if reply.as_ref().is_some_and(|reply| reply.code >= 500) => {
            Failure::usage(what).with_hint(
                "set `helo = \"mail.example.org\"`, the full name of this host, in its `[[relay]]`",
            )
        }
        Some(Stage::Tls) => Failure::usage(what)
            .with_hint("check the host name and port, or set `ca_file` in its `[[relay]]`"),
        Some(Stage::Auth) => Failure::try_later(what).with_hint(
            "check `user` and the password or `password_command` in its `[[relay]]`, and try again",
        ),
        _ => Failure::try_later(what)
            .with_hint("check the host name and port of the relay, and try again"),
    }
}

/// What helps where a login cannot succeed.
pub fn login_hint(problem: LoginProblem) -> &'static str {
    match problem {
        LoginProblem::Refused => {
            "check `user` and the password in its `[[relay]]`; many providers require an app password"
        }
        LoginProblem::WantsToken => {
            "set `auth = \"xoauth2\"` and a `password_command` that prints an access token in its `[[relay]]`"
        }
        LoginProblem::NoMechanism => {
            "the password is not at fault: mailq can log in with `plain`, `login`, `cram-md5` and `xoauth2`, and this relay \
             needs one of them"
        }
        LoginProblem::NoTls => {
            "use a port with TLS, or `?tls=none` after the port if the network is trusted"
        }
    }
}

/// What to do about a relay that is paused for these words.
pub fn pause_hint(words: &str) -> Option<&'static str> {
    bounce::is_about_ehlo_name(words).then_some(
        "set `helo` in its `[[relay]]` to the full name of this host, for example `helo = \"mail.acme.example\"`",
    )
}

/// The name of a stage for people.
pub fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Connect => "connect",
        Stage::Greeting => "greeting",
        Stage::Ehlo => "EHLO",
        Stage::Tls => "TLS",
        Stage::Auth => "login",
        Stage::MailFrom => "MAIL FROM",
        Stage::RcptTo => "RCPT TO",
        Stage::Data => "DATA",
        Stage::FinalDot => "the final dot",
    }
}

/// Opens one relay and reads its password.
pub fn open_one(config: &RelayConfig, loaded: &Loaded) -> Result<Rc<dyn Relay>, Failure> {
    let password = match &config.password {
        Some(source) => Some(source.read(&config.keys.url.value.to_string(), &loaded.variables)?),
        None => None,
    };
    let mut settings = RelaySettings::new(config.keys.url.value.clone());
    settings.user = config.user.clone();
    settings.password = password;
    settings.auth = config.keys.auth.0;
    settings.token = config.password.clone().map(|source| {
        let (relay, variables) = (config.keys.url.value.to_string(), loaded.variables.clone());
        SecretSource::new(move || {
            let fetched = source.read(&relay, &variables);
            fetched.map_err(|error| error.to_string())
        })
    });
    settings.ca_file = config.keys.ca_file.clone();
    settings.helo_name = config.keys.helo.clone();
    if !config.keys.pipelining {
        settings.pipelining = Pipelining::Off;
    }
    smtp::open(settings).map_err(|error| unusable(config, &error))
}

fn unusable(config: &RelayConfig, error: &OpenError) -> Failure {
    if let OpenError::NoPassword { user } = error {
        let why = format!("user `{user}` has none");
        let relay = config.keys.url.value.to_string();
        return ConfigError::NoPassword { relay, why }.into();
    }
    let what = format!(
        "{}: relay `{}`: {error}",
        config.keys.url.source, config.keys.url.value
    );
    let failure = Failure::usage(what);
    match (error, &config.keys.url.value) {
        (OpenError::NoUser, _) => failure.with_hint("add `user` to its `[[relay]]`"),
        (OpenError::Outbox { .. }, RelayAddress::Maildir(path)) => failure.with_hint(format!(
            "make `{}` writable, or use another folder",
            path.display()
        )),
        _ => failure,
    }
}

/// Shares out connections by weight. A relay gets no more than its own limit; the others get what it leaves.
/// Each relay gets at least one, so that every relay is used. Beyond that the sum is at most `total`.
fn shares(configs: &[RelayConfig], total: u32) -> Vec<usize> {
    let mut shares = vec![1_u32; configs.len()];
    let mut left = total.saturating_sub(u32::try_from(configs.len()).unwrap_or(u32::MAX));
    while left > 0 {
        // The relay with the fewest connections for its weight is next.
        let next = configs
            .iter()
            .zip(&mut shares)
            .filter(|(config, share)| config.keys.connections.is_none_or(|most| **share < most))
            .min_by_key(|(config, share)| {
                u64::from(**share) * 1_000_000 / NonZeroU64::from(config.keys.weight)
            });
        let Some((_, share)) = next else {
            break;
        };
        *share += 1;
        left -= 1;
    }
    shares.into_iter().map(|share| share as usize).collect()
}

/// The limits of receiving sites, by site.
pub fn sites(settings: &Settings) -> BTreeMap<String, SiteLimit> {
    let limit = |site: &SiteKeys| SiteLimit {
        rate: site.rate.unwrap_or(Rate::Unlimited),
        connections: site.connections.unwrap_or(settings.send.connections) as usize,
    };
    let sites = settings.sites.iter();
    sites
        .map(|(name, site)| (name.clone(), limit(site)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Auth, RelayKeys, Source, Sourced};
    use std::num::NonZeroU32;

    fn relay(weight: u32, connections: Option<u32>) -> RelayConfig {
        RelayConfig {
            keys: RelayKeys {
                url: Sourced {
                    value: RelayAddress::Maildir("outbox".into()),
                    source: Source::Default,
                },
                user: None,
                password_env: None,
                password_file: None,
                password_command: None,
                auth: Auth(None),
                ca_file: None,
                helo: None,
                rate: None,
                daily_quota: None,
                connections,
                weight: NonZeroU32::new(weight).unwrap(),
                pipelining: true,
            },
            user: None,
            password: None,
            warm_up: None,
        }
    }

    #[test]
    fn shares_connections_by_weight_within_the_total() {
        for (relays, total, expected) in [
            (vec![relay(1, None)], 20, vec![20]),
            (vec![relay(1, Some(3))], 20, vec![3]),
            (vec![relay(3, None), relay(1, None)], 20, vec![15, 5]),
            (vec![relay(1, Some(2)), relay(1, None)], 20, vec![2, 18]),
            (vec![relay(1, None), relay(1, None)], 4, vec![2, 2]),
            (vec![relay(1, None), relay(1, None)], 1, vec![1, 1]),
        ] {
            assert_eq!(shares(&relays, total), expected);
        }
    }
}
