//! The settings in force, typed. Read once, at the start of a command.

use super::document::Document;
use super::error::{ConfigError, at};
use super::kafka::{self, KafkaConfig};
use super::keys::PROJECT;
use super::layers::{Flags, Layers, Setting, check};
use super::project::{Project, display_name};
use super::relays::{self, RelayConfig, resolve};
use super::source::{Origin, Source, Variables};
use crate::domain::rate::Rate;
use crate::domain::span;
use crate::engine::policy::RetrySchedule;
use crate::smtp::RelayAddress;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Everything of `mailq.toml`, its variables and flags.
#[derive(Debug, Clone)]
pub struct Settings {
    pub queue: QueueUrl,
    /// First part of topic names.
    pub env: String,
    pub key_file: PathBuf,
    pub lease: Duration,
    pub kafka: KafkaConfig,
    pub send: SendSettings,
    /// Empty where none is named anywhere.
    pub relays: Vec<RelayConfig>,
    /// By domain, lower-case.
    pub sites: BTreeMap<String, SiteConfig>,
    pub retry: RetrySchedule,
    pub events_keep: Duration,
    /// What was taken from where, in the order of the manual.
    pub origins: Vec<Origin>,
}

/// Limits of sending.
#[derive(Debug, Clone, PartialEq)]
pub struct SendSettings {
    /// All workers together.
    pub rate: Rate,
    pub rate_source: Source,
    pub burst: u32,
    /// Of one worker.
    pub connections: u32,
    pub max_uncommitted: u32,
}

/// Limits for a receiving provider.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SiteConfig {
    pub rate: Option<Rate>,
    pub connections: Option<u32>,
}

/// Which queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueUrl {
    /// Absolute path of the database file.
    Sqlite(PathBuf),
    /// Brokers, `host:9092,host:9092`.
    Kafka(String),
}

impl fmt::Display for QueueUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueueUrl::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            QueueUrl::Kafka(brokers) => write!(f, "kafka://{brokers}"),
        }
    }
}

impl Settings {
    /// Reads the project's file and lays variables and flags over it.
    pub fn read(
        project: &Project,
        flags: &Flags,
        variables: &Variables,
    ) -> Result<Settings, ConfigError> {
        let document = match &project.file {
            Some(file) => Document::read(file, display_name(file), &PROJECT)?,
            None => Document::default(),
        };
        Settings::of(&document, project, flags, variables)
    }

    fn of(
        document: &Document,
        project: &Project,
        flags: &Flags,
        variables: &Variables,
    ) -> Result<Settings, ConfigError> {
        let layers = Layers::new(document, variables, flags);
        let queue = queue(&layers, project)?;
        let env = layers.get("", "env", environment)?.unwrap_or_default();
        let key_file = layers.find("", "key_file")?;
        let key_file = key_file.map_or_else(PathBuf::new, |setting| {
            resolve(project, setting.text.as_ref(), &setting.source)
        });
        let lease = layers.get("", "lease", lease)?.unwrap_or_default();
        let kafka = kafka::read(&layers, project)?;
        if matches!(queue, QueueUrl::Sqlite(_)) && !layers.properties().is_empty() {
            return Err(ConfigError::NoKafka(queue.to_string()));
        }
        let relays = relays::read(&layers, project)?;
        Ok(Settings {
            queue,
            env,
            key_file,
            lease,
            kafka,
            send: send(&layers, &relays)?,
            sites: sites(&layers)?,
            retry: retry(&layers)?,
            events_keep: layers
                .get("events", "keep", span::parse)?
                .unwrap_or_default(),
            relays,
            origins: layers.into_origins(),
        })
    }
}

fn queue(layers: &Layers<'_>, project: &Project) -> Result<QueueUrl, ConfigError> {
    let setting = layers.find("", "queue")?.unwrap_or(Setting {
        text: String::new(),
        source: Source::Default,
    });
    let wrong = |why: &str| {
        ConfigError::bad_value(&setting.source, "queue", &setting.text, why.to_string())
    };
    match setting.text.split_once(':') {
        Some(("sqlite", "")) => Err(wrong("no path after `sqlite:`")),
        Some(("sqlite", path)) => Ok(QueueUrl::Sqlite(resolve(
            project,
            path.as_ref(),
            &setting.source,
        ))),
        Some(("kafka", brokers)) => {
            kafka::brokers(brokers)
                .map(QueueUrl::Kafka)
                .map_err(|why| ConfigError::BadKey {
                    at: at(&setting.source),
                    key: "queue".into(),
                    why: why.into(),
                })
        }
        _ => Err(wrong(
            "not a queue like `sqlite:.mailq/queue.db` or `kafka://host:9092`",
        )),
    }
}

fn environment(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.len() <= 32 && text.chars().all(good) {
        Ok(text.to_string())
    } else {
        Err("not up to 32 lower-case letters, digits and `-`".into())
    }
}

fn lease(text: &str) -> Result<Duration, String> {
    let lease = span::parse(text)?;
    if (Duration::from_secs(1)..=Duration::from_secs(600)).contains(&lease) {
        Ok(lease)
    } else {
        Err("not between `1s` and `10m`".into())
    }
}

fn send(layers: &Layers<'_>, relays: &[RelayConfig]) -> Result<SendSettings, ConfigError> {
    let given = layers.find("send", "rate")?;
    let (rate, rate_source) = match given {
        Some(setting) => {
            let rate = setting.text.parse().map_err(|why| {
                ConfigError::bad_value(&setting.source, "send.rate", &setting.text, why)
            })?;
            (rate, setting.source)
        }
        None => {
            let rate = default_rate(relays);
            let setting = Setting {
                text: rate.to_string(),
                source: Source::Default,
            };
            layers.note("send.rate".into(), &setting);
            (rate, Source::Default)
        }
    };
    Ok(SendSettings {
        rate,
        rate_source,
        burst: count(layers, "burst")?,
        connections: count(layers, "connections")?,
        max_uncommitted: count(layers, "max_uncommitted")?,
    })
}

/// What most providers allow a private account; an outbox of files needs no limit.
fn default_rate(relays: &[RelayConfig]) -> Rate {
    let is_outbox = |relay: &RelayConfig| matches!(relay.url, RelayAddress::Maildir(_));
    match !relays.is_empty() && relays.iter().all(is_outbox) {
        true => Rate::Unlimited,
        false => Rate::per_minute(30),
    }
}

fn count(layers: &Layers<'_>, name: &str) -> Result<u32, ConfigError> {
    let count = layers.get("send", name, number)?;
    Ok(count.unwrap_or(1))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "not a number".to_string())
}

fn sites(layers: &Layers<'_>) -> Result<BTreeMap<String, SiteConfig>, ConfigError> {
    let mut sites = BTreeMap::new();
    for table in layers.document.section("site") {
        let name = table.label.clone().unwrap_or_default().to_lowercase();
        let mut site = SiteConfig::default();
        for (key_name, found) in &table.values {
            let Some(key) = PROJECT.key("site", key_name) else {
                continue;
            };
            let setting = Setting {
                text: found.text.clone(),
                source: Source::File(found.place.clone()),
            };
            check(key, &setting)?;
            layers.note(format!("site.\"{name}\".{key_name}"), &setting);
            match key_name.as_str() {
                "rate" => site.rate = setting.text.parse().ok(),
                _ => site.connections = setting.text.parse().ok(),
            }
        }
        let place = Source::File(table.place.clone());
        let good = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
        if name.is_empty() || !name.chars().all(good) || sites.contains_key(&name) {
            return Err(ConfigError::BadKey {
                at: at(&place),
                key: format!("site.\"{name}\""),
                why: "is not a domain, or is there twice".into(),
            });
        }
        sites.insert(name, site);
    }
    Ok(sites)
}

fn retry(layers: &Layers<'_>) -> Result<RetrySchedule, ConfigError> {
    let initial = layers
        .get("retry", "initial", positive)?
        .unwrap_or_default();
    let at_least_initial = |text: &str| {
        let max = positive(text)?;
        match max >= initial {
            true => Ok(max),
            false => Err(format!(
                "shorter than `retry.initial`, which is `{}`",
                span::text(initial)
            )),
        }
    };
    Ok(RetrySchedule {
        initial,
        factor: layers.get("retry", "factor", number)?.unwrap_or(2.0),
        max: layers
            .get("retry", "max", at_least_initial)?
            .unwrap_or_default(),
        jitter: layers.get("retry", "jitter", number)?.unwrap_or(0.1),
        tries: layers.get("retry", "tries", number)?.unwrap_or(3),
        soft_interval: layers
            .get("retry", "soft_interval", positive)?
            .unwrap_or_default(),
    })
}

/// Long enough not to spin, short enough for a clock.
fn positive(text: &str) -> Result<Duration, String> {
    let wait = span::parse(text)?;
    if (Duration::from_millis(100)..=Duration::from_secs(30 * 86_400)).contains(&wait) {
        Ok(wait)
    } else {
        Err("not between `100ms` and `30d`".into())
    }
}

#[cfg(test)]
mod tests;
