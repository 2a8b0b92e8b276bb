//! How a cluster is reached: `[kafka]`, `-X`, and where its secrets are kept.

use super::error::{ConfigError, at};
use super::layers::{Layers, Setting};
use super::project::Project;
use super::secret::PasswordSource;
use super::source::{Source, Variables};
use std::collections::BTreeMap;
use std::fmt;

/// What a secret is shown as.
pub(super) const HIDDEN: &str = "(hidden)";

/// Properties of librdkafka that are secrets, and how their keys in `[kafka]` begin.
const SECRETS: [(&str, &str); 2] = [
    ("sasl.password", "sasl_password"),
    ("ssl.key.password", "ssl_key_password"),
];

/// `[kafka]` with what `-X` lays over it.
#[derive(Clone, PartialEq, Default)]
pub struct KafkaConfig {
    /// Of the send topic and every tier, when they are made.
    pub partitions: u32,
    pub replication: u16,
    /// For a shell; prints an OAUTHBEARER token.
    pub token_command: Option<String>,
    properties: BTreeMap<String, String>,
    secrets: BTreeMap<&'static str, PasswordSource>,
}

impl KafkaConfig {
    /// What librdkafka is told, secrets included: not to be printed. Errors: a secret that cannot be fetched.
    pub fn properties(
        &self,
        variables: &Variables,
    ) -> Result<BTreeMap<String, String>, ConfigError> {
        let mut properties = self.properties.clone();
        for (name, source) in &self.secrets {
            let secret = source
                .fetch(variables)
                .map_err(|why| ConfigError::NoSecret { name, why })?;
            properties.insert((*name).to_string(), secret);
        }
        Ok(properties)
    }
}

/// Names only: values may be secrets.
impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("partitions", &self.partitions)
            .field("replication", &self.replication)
            .field("properties", &self.properties.keys())
            .field("secrets", &self.secrets)
            .finish_non_exhaustive()
    }
}

pub(super) fn read(layers: &Layers<'_>, project: &Project) -> Result<KafkaConfig, ConfigError> {
    let number = |text: &str| text.parse().map_err(|_| "not a number".to_string());
    let partitions = layers.get("kafka", "partitions", number)?;
    let replication = layers.get("kafka", "replication", number)?;
    let token_command = layers.find("kafka", "token_command")?;
    let properties = properties(layers)?;
    let mut secrets = BTreeMap::new();
    for (property, key) in SECRETS {
        if let Some(source) = secret(layers, project, key)? {
            secrets.insert(property, source);
        }
    }
    Ok(KafkaConfig {
        partitions: partitions.unwrap_or(12),
        replication: u16::try_from(replication.unwrap_or(3)).unwrap_or(u16::MAX),
        token_command: token_command.map(|setting| setting.text),
        properties,
        secrets,
    })
}

/// Those of the file, and over them those of the command line.
fn properties(layers: &Layers<'_>) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut found: BTreeMap<String, Setting> = BTreeMap::new();
    for table in layers.document.section("kafka.properties") {
        for (name, value) in &table.values {
            let source = Source::File(value.place.clone());
            let text = value.text.clone();
            found.insert(name.clone(), Setting { text, source });
        }
    }
    for given in layers.properties() {
        let Some((name, value)) = given.split_once('=') else {
            return Err(ConfigError::BadProperty(match is_secret(given, given) {
                true => HIDDEN.to_string(),
                false => given.clone(),
            }));
        };
        let name = name.trim().to_string();
        if is_secret(&name, value) {
            return Err(ConfigError::SecretOnCommandLine(name));
        }
        let text = value.to_string();
        let source = Source::Flag("-X");
        found.insert(name, Setting { text, source });
    }
    for (name, setting) in &found {
        let text = match is_secret(name, &setting.text) {
            true => HIDDEN.to_string(),
            false => setting.text.clone(),
        };
        let source = setting.source.clone();
        layers.note(
            format!("kafka.properties.\"{name}\""),
            &Setting { text, source },
        );
    }
    let plain = found.into_iter();
    Ok(plain.map(|(name, setting)| (name, setting.text)).collect())
}

/// Secrets of librdkafka, private keys among them, and URLs with a login.
fn is_secret(name: &str, value: &str) -> bool {
    const PARTS: [&str; 6] = [
        "password",
        "secret",
        "passphrase",
        "jaas",
        "private.key",
        "oauthbearer.config",
    ];
    let name = name.trim().to_lowercase();
    let is_file = [".file", ".location"].iter().any(|end| name.ends_with(end));
    let has_login = value.split_once("://").is_some_and(|(_, rest)| {
        rest.split('/')
            .next()
            .is_some_and(|host| host.contains('@'))
    });
    let is_key = PARTS.iter().any(|part| name.contains(part))
        || name.ends_with("ssl.key.pem")
        || name.ends_with("ssl.key")
        || value.contains("PRIVATE KEY");
    (is_key && !is_file) || has_login
}

fn secret(
    layers: &Layers<'_>,
    project: &Project,
    key: &str,
) -> Result<Option<PasswordSource>, ConfigError> {
    let mut given: Vec<(&'static str, Setting)> = Vec::new();
    for kind in ["env", "file", "command"] {
        if let Some(setting) = layers.find("kafka", &format!("{key}_{kind}"))? {
            given.push((kind, setting));
        }
    }
    if let [(first, _), (second, setting), ..] = given.as_slice() {
        return Err(ConfigError::BadKey {
            at: at(&setting.source),
            key: format!("kafka.{key}_{second}"),
            why: format!("names what `{key}_{first}` names already"),
        });
    }
    Ok(given.pop().map(|(kind, setting)| match kind {
        "env" => PasswordSource::Variable(setting.text),
        "file" => PasswordSource::File(project.path(setting.text)),
        _ => PasswordSource::Command(setting.text),
    }))
}

/// `kafka://host:9092,host:9092` without its scheme. Errors: why it is none; a login in it is not repeated.
pub(super) fn brokers(text: &str) -> Result<String, &'static str> {
    let list = text.strip_prefix("//").unwrap_or(text);
    let list = list.strip_suffix('/').unwrap_or(list);
    if list.contains('@') {
        return Err("has a login in it");
    }
    let is_broker = |broker: &str| {
        let (host, port) = match broker.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
            _ => (broker, None),
        };
        let known = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        !host.is_empty()
            && host.chars().all(known)
            && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
    };
    match list.split(',').all(is_broker) {
        true => Ok(list.to_string()),
        false => Err("is not a queue like `kafka://host:9092,host:9092`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_name_and_by_look() {
        for (name, value, secret) in [
            ("sasl.password", "x", true),
            ("SASL.Password", "x", true),
            ("ssl.key.pem", "x", true),
            ("ssl.key.password", "x", true),
            ("ssl.keystore.password", "x", true),
            ("sasl.jaas.config", "x", true),
            ("sasl.oauthbearer.client.secret", "x", true),
            ("sasl.oauthbearer.assertion.private.key.pem", "x", true),
            ("sasl.oauthbearer.assertion.private.key.file", "key", false),
            (
                "sasl.oauthbearer.token.endpoint.url",
                "https://me:pw@idp/t",
                true,
            ),
            (
                "sasl.oauthbearer.token.endpoint.url",
                "https://idp/t?a@b",
                false,
            ),
            ("ssl.certificate.pem", "-----BEGIN CERTIFICATE-----", false),
            (
                "ssl.certificate.pem",
                "-----BEGIN RSA PRIVATE KEY-----",
                true,
            ),
            ("ssl.key.location", "k.pem", false),
            ("security.protocol", "SASL_SSL", false),
            ("sasl.username", "me", false),
        ] {
            assert_eq!(is_secret(name, value), secret, "{name}={value}");
        }
    }

    #[test]
    fn brokers_are_hosts_with_ports() {
        for (text, list) in [
            ("//a:9092,b:9092", Some("a:9092,b:9092")),
            ("//kafka-1.example.org", Some("kafka-1.example.org")),
            ("//[::1]:9092/", Some("[::1]:9092")),
            ("//", None),
            ("//a:9092,", None),
            ("//a:0", None),
            ("//a:b", None),
            ("//me:pw@a:9092", None),
            ("//a/b", None),
        ] {
            assert_eq!(brokers(text).ok().as_deref(), list, "{text}");
        }
    }
}
