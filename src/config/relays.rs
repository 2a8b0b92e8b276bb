//! The relays in force: that of `--relay`, else of `MAILQ_RELAY`, else of `SMTP_HOST`, else those of `mailq.toml`.

use super::document::Table;
use super::error::{ConfigError, at};
use super::keys::PROJECT;
use super::layers::{Layers, Setting, check, default};
use super::project::Project;
use super::secret::PasswordSource;
use super::source::Source;
use crate::domain::rate::Rate;
use crate::smtp::{Mechanism, RelayAddress};
use std::path::{Path, PathBuf};

const HOST: [&str; 2] = ["SMTP_HOST", "EMAIL_SMTP_HOST"];
const PORT: [&str; 2] = ["SMTP_PORT", "EMAIL_SMTP_PORT"];
const USER: [&str; 2] = ["SMTP_USER", "EMAIL_SMTP_USER"];
const PASSWORD: [&str; 2] = ["SMTP_PASS", "EMAIL_SMTP_PASS"];

/// One relay and how to use it.
#[derive(Debug, Clone, PartialEq)]
pub struct RelayConfig {
    /// A maildir's path is absolute.
    pub url: RelayAddress,
    /// That of the URL included.
    pub user: Option<String>,
    pub password: Option<PasswordSource>,
    /// Default: PLAIN, else LOGIN, as the relay offers.
    pub auth: Option<Mechanism>,
    pub ca_file: Option<PathBuf>,
    /// All workers together.
    pub rate: Option<Rate>,
    /// Of one worker.
    pub connections: Option<u32>,
    pub weight: u32,
    pub pipelining: bool,
    /// Of the URL, for messages.
    pub source: Source,
}

/// What is known of a relay before it is put together.
struct Draft<'a> {
    /// Its name in `--print-config`: `relay`, `relay.2`.
    name: String,
    url: Setting,
    table: Option<&'a Table>,
}

pub(super) fn read(
    layers: &Layers<'_>,
    project: &Project,
) -> Result<Vec<RelayConfig>, ConfigError> {
    let tables: Vec<&Table> = layers.document.section("relay").collect();
    if let Some(url) = outside(layers)? {
        // A relay that the file knows as well keeps its login and limits.
        let table = tables
            .iter()
            .find(|table| {
                table
                    .values
                    .get("url")
                    .is_some_and(|found| found.text == url.text)
            })
            .copied();
        let name = "relay".to_string();
        return Ok(vec![relay(layers, project, Draft { name, url, table })?]);
    }
    let count = tables.len();
    tables
        .into_iter()
        .enumerate()
        .map(|(index, table)| {
            let url = table
                .values
                .get("url")
                .ok_or_else(|| ConfigError::MissingKey {
                    file: table.place.to_string(),
                    key: "url",
                    example: "\"smtp://smtp.example.com:587\"",
                })?;
            let url = Setting {
                text: url.text.clone(),
                source: Source::File(url.place.clone()),
            };
            let name = match count {
                1 => "relay".to_string(),
                _ => format!("relay.{}", index + 1),
            };
            relay(
                layers,
                project,
                Draft {
                    name,
                    url,
                    table: Some(table),
                },
            )
        })
        .collect()
}

/// The URL that a flag or variable gives.
fn outside(layers: &Layers<'_>) -> Result<Option<Setting>, ConfigError> {
    if let Some(url) = PROJECT
        .key("relay", "url")
        .and_then(|key| layers.outside(key))
    {
        return Ok(Some(url));
    }
    let Some(host) = layers.variable(&HOST) else {
        return Ok(None);
    };
    let port = match layers.variable(&PORT) {
        None => None,
        Some(port) => Some(port.text.parse::<u16>().map_err(|_| {
            let why = "not a port number".to_string();
            ConfigError::bad_value(&port.source, "port", &port.text, why)
        })?),
    };
    let scheme = if port == Some(465) { "smtps" } else { "smtp" };
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    let brackets = host.text.contains(':') && !host.text.starts_with('[');
    let name = match brackets {
        true => format!("[{}]", host.text),
        false => host.text.clone(),
    };
    Ok(Some(Setting {
        text: format!("{scheme}://{name}{port}"),
        source: host.source,
    }))
}

fn relay(
    layers: &Layers<'_>,
    project: &Project,
    draft: Draft<'_>,
) -> Result<RelayConfig, ConfigError> {
    let url: RelayAddress = draft
        .url
        .text
        .parse()
        .map_err(|why| ConfigError::BadRelay {
            at: at(&draft.url.source),
            why,
        })?;
    layers.note(format!("{}.url", draft.name), &draft.url);
    let url = match url {
        RelayAddress::Maildir(path) => {
            RelayAddress::Maildir(resolve(project, &path, &draft.url.source))
        }
        server => server,
    };
    let user = match (user(layers, &draft)?, &url) {
        (Some(user), _) => Some(user.text),
        (None, RelayAddress::Server(server)) => server.user.clone(),
        (None, RelayAddress::Maildir(_)) => None,
    };
    let password = match (&url, &user) {
        (RelayAddress::Server(_), Some(_)) => password(layers, project, &draft)?,
        _ => None,
    };
    let value = |name: &str| value(layers, &draft, name);
    Ok(RelayConfig {
        user,
        password,
        auth: value("auth")?.and_then(|setting| setting.text.parse().ok()),
        ca_file: value("ca_file")?.map(|setting| project.path(setting.text)),
        rate: value("rate")?.and_then(|setting| setting.text.parse().ok()),
        connections: value("connections")?.and_then(|setting| setting.text.parse().ok()),
        weight: value("weight")?
            .and_then(|setting| setting.text.parse().ok())
            .unwrap_or(1),
        pipelining: value("pipelining")?.is_none_or(|setting| setting.text != "false"),
        url,
        source: draft.url.source,
    })
}

/// `SMTP_USER` belongs to a relay from a flag or variable: a relay of the file must not get another one's login.
fn user(layers: &Layers<'_>, draft: &Draft<'_>) -> Result<Option<Setting>, ConfigError> {
    let in_file = value(layers, draft, "user")?;
    let given = in_file.is_none() && !matches!(draft.url.source, Source::File(_));
    let user = match given && !draft.url.text.starts_with("maildir:") {
        true => layers.variable(&USER),
        false => return Ok(in_file),
    };
    if let Some(user) = &user {
        layers.note(format!("{}.user", draft.name), user);
    }
    Ok(user)
}

fn password(
    layers: &Layers<'_>,
    project: &Project,
    draft: &Draft<'_>,
) -> Result<Option<PasswordSource>, ConfigError> {
    let mut given: Vec<(&'static str, Setting)> = Vec::new();
    for name in ["password_env", "password_file", "password_command"] {
        if let Some(setting) = value(layers, draft, name)? {
            given.push((name, setting));
        }
    }
    if let [(first, _), (second, setting), ..] = given.as_slice() {
        return Err(ConfigError::TwoPasswords {
            at: at(&setting.source),
            given: first,
            also: second,
        });
    }
    Ok(match given.pop() {
        Some(("password_env", setting)) => Some(PasswordSource::Variable(setting.text)),
        Some(("password_file", setting)) => Some(PasswordSource::File(project.path(setting.text))),
        Some((_, setting)) => Some(PasswordSource::Command(setting.text)),
        None => PASSWORD
            .into_iter()
            .find(|name| layers.variables.get(name).is_some())
            .map(|name| PasswordSource::Variable(name.to_string())),
    })
}

/// A key of the relay's own table, or its default; checked and noted.
fn value(
    layers: &Layers<'_>,
    draft: &Draft<'_>,
    name: &str,
) -> Result<Option<Setting>, ConfigError> {
    let Some(key) = PROJECT.key("relay", name) else {
        return Ok(None);
    };
    let in_file = draft.table.and_then(|table| table.values.get(name));
    let setting = in_file
        .map(|found| Setting {
            text: found.text.clone(),
            source: Source::File(found.place.clone()),
        })
        .or_else(|| default(key));
    if let Some(setting) = &setting {
        check(key, setting)?;
        layers.note(format!("{}.{name}", draft.name), setting);
    }
    Ok(setting)
}

/// Paths in the file belong to the project, those of flags and variables to the working directory.
pub(super) fn resolve(project: &Project, path: &Path, source: &Source) -> PathBuf {
    match source {
        Source::Flag(_) | Source::Variable(_) => {
            std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
        }
        Source::File(_) | Source::Default => project.path(path),
    }
}
