//! The relays in force: the one of `--relay`, else of `MAILQ_RELAY`, else of `SMTP_HOST`, else those of `mailq.toml`.

use super::environment::{HOST, PASSWORD, PORT};
use super::error::ConfigError;
use super::keys::{RelayKeys, WarmUpKeys};
use super::layers::Keys;
use super::layers::{Layers, Reader};
use super::schema::{Limits, Value, ValueError};
use super::secret::{PasswordSource, SecretKeys};
use super::source::{Setting, Source};
use crate::engine::limits::quota::WarmUp;
use crate::smtp::RelayAddress;
use std::path::Path;

/// One relay and how to use it.
#[derive(Debug, Clone, PartialEq)]
pub struct RelayConfig {
    pub keys: RelayKeys,
    /// From `user`, else from the URL.
    pub user: Option<String>,
    /// `None` for a maildir and for a relay without a user.
    pub password: Option<PasswordSource>,
    pub warm_up: Option<WarmUp>,
}

impl Value for RelayAddress {
    fn expects(_: &Limits) -> String {
        "a relay like `smtp://user@host:587`, `smtps://user@host:465` or `maildir:PATH`".into()
    }

    fn parse(text: &str, _: &Limits) -> Result<RelayAddress, ValueError> {
        text.parse().map_err(ValueError::Relay)
    }

    fn resolve(self, folder: &Path) -> RelayAddress {
        match self {
            RelayAddress::Maildir(path) => RelayAddress::Maildir(path.resolve(folder)),
            server => server,
        }
    }
}

pub(super) fn read(top: &Reader<'_>) -> Result<Vec<RelayConfig>, ConfigError> {
    let layers = top.layers();
    let tables = top.node().repeated(RelayKeys::TABLE.path);
    let Some(url) = outside(layers)? else {
        let name = |index: usize| match (tables.len(), index) {
            (1, _) => "relay".to_string(),
            _ => format!("relay.{}", index + 1),
        };
        let tables = tables.iter().enumerate();
        return tables
            .map(|(index, table)| relay(&top.of(*table, name(index)), layers))
            .collect();
    };
    // A relay that the file has too keeps its login and limits.
    let mut same = None;
    for table in tables {
        let in_file = table.value(RelayKeys::url())?;
        if same.is_none() && in_file.is_some_and(|(text, _)| text == url.text) {
            same = Some(table);
        }
    }
    let table = same.unwrap_or_else(|| top.node().absent());
    // The variables for the login belong to this relay alone: a relay of the file must not get the login of another.
    let takes_login =
        table.value(RelayKeys::user())?.is_none() && !url.text.starts_with("maildir:");
    let user = takes_login.then(|| layers.variable(RelayKeys::user().variables));
    let reader = top
        .of(table, "relay".into())
        .with(RelayKeys::url(), Some(url))
        .with(RelayKeys::user(), user.flatten());
    Ok(vec![relay(&reader, layers)?])
}

/// The URL that a flag or a variable gives.
fn outside(layers: &Layers<'_>) -> Result<Option<Setting>, ConfigError> {
    if let Some(url) = layers.outside(RelayKeys::url()) {
        return Ok(Some(url));
    }
    let Some(host) = layers.variable(HOST.names) else {
        return Ok(None);
    };
    let port = match layers.variable(PORT.names) {
        None => None,
        Some(port) => Some(
            port.text
                .parse::<u16>()
                .map_err(|_| ConfigError::bad_value("port", &port, "not a port number".into()))?,
        ),
    };
    let scheme = if port == Some(465) { "smtps" } else { "smtp" };
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    let is_bare_ipv6 = host.text.contains(':') && !host.text.starts_with('[');
    let name = match is_bare_ipv6 {
        true => format!("[{}]", host.text),
        false => host.text,
    };
    Ok(Some(Setting {
        text: format!("{scheme}://{name}{port}"),
        source: host.source,
    }))
}

fn relay(reader: &Reader<'_>, layers: &Layers<'_>) -> Result<RelayConfig, ConfigError> {
    let keys = RelayKeys::read(reader)?;
    let secret = SecretKeys {
        env: ("password_env", keys.password_env.clone()),
        file: ("password_file", keys.password_file.clone()),
        command: ("password_command", keys.password_command.clone()),
    };
    let server = match &keys.url.value {
        RelayAddress::Server(server) => Some(server),
        RelayAddress::Maildir(_) => None,
    };
    let of_url = || server.and_then(|server| server.user.clone());
    let user = keys.user.clone().or_else(of_url);
    let password = match (secret.source()?, server, &user) {
        (given, Some(_), Some(_)) => given.or_else(|| password_of_variables(layers)),
        _ => None,
    };
    Ok(RelayConfig {
        keys,
        user,
        password,
        warm_up: warm_up(reader)?,
    })
}

/// Errors: only one of the keys that make a warm-up is there, or it would be over before it begins.
fn warm_up(relay: &Reader<'_>) -> Result<Option<WarmUp>, ConfigError> {
    let table = relay.table_reader(&WarmUpKeys::TABLE);
    let keys = WarmUpKeys::read(&table)?;
    let has_growth = table.node().value(WarmUpKeys::growth())?.is_some();
    let missing = match (keys.first_day, keys.until) {
        (Some(first_day), Some(until)) => {
            check_until(&table, first_day, until)?;
            return Ok(Some(WarmUp {
                first_day: u64::from(first_day),
                growth: keys.growth,
                until: u64::from(until),
            }));
        }
        (None, None) if !has_growth => return Ok(None),
        (None, _) => WarmUpKeys::first_day(),
        (Some(_), None) => WarmUpKeys::until(),
    };
    Err(ConfigError::MissingKey {
        at: table.node().name(),
        key: missing.name,
        example: missing.assignment(),
    })
}

/// Errors: `until` is not more than `first_day`. An address that nobody knows would then send without a limit at once.
fn check_until(table: &Reader<'_>, first_day: u32, until: u32) -> Result<(), ConfigError> {
    if until > first_day {
        return Ok(());
    }
    let key = WarmUpKeys::until();
    let in_file = table.node().value(key)?;
    Err(ConfigError::BadKey {
        at: in_file.map_or_else(|| table.node().name(), |(_, place)| place.to_string()),
        key: key.path(),
        why: format!("is {until}, which is not more than first_day ({first_day})"),
        cure: None,
    })
}

fn password_of_variables(layers: &Layers<'_>) -> Option<PasswordSource> {
    match layers.variable(PASSWORD.names)?.source {
        Source::Variable(name) => Some(PasswordSource::Variable(name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::Document;
    use crate::config::keys::PROJECT;
    use crate::config::layers::Flags;
    use crate::config::source::Variables;

    fn warm_up_of(keys: &str) -> Result<Option<WarmUp>, ConfigError> {
        let text = format!("[[relay]]\nurl = \"maildir:out\"\n[relay.warmup]\n{keys}");
        let document = Document::parse(&text, "mailq.toml".into(), &PROJECT)?;
        let (variables, flags) = (Variables::default(), Flags::default());
        let layers = Layers::new(&document, Path::new("/"), &variables, &flags);
        let relays = read(&layers.top())?;
        Ok(relays.into_iter().next().and_then(|relay| relay.warm_up))
    }

    #[test]
    fn a_warm_up_ends_above_its_first_day() {
        let warm_up = warm_up_of("first_day = 50\nuntil = 51\n").unwrap();
        assert_eq!(warm_up.map(|found| found.until), Some(51));
        for (first_day, until) in [(5000, 50), (50, 50)] {
            let keys = format!("first_day = {first_day}\nuntil = {until}\n");
            let error = warm_up_of(&keys).unwrap_err().to_string();
            let wanted = format!(
                "mailq.toml:5:9: `relay.warmup.until` is {until}, which is not more than first_day ({first_day})"
            );
            assert_eq!(error, wanted);
        }
    }
}
