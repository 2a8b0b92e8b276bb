//! How to reach a Kafka cluster: `[kafka]`, `-X`, and where the secrets are kept.

use super::error::ConfigError;
use super::keys::{KafkaKeys, PROPERTIES};
use super::layers::Reader;
use super::secret::{PasswordSource, SecretKeys};
use super::source::{Setting, Source, Variables};
use crate::smtp::HIDDEN;
use std::collections::BTreeMap;
use std::fmt;

/// `[kafka]`, with the properties of `-X` over those of the file.
#[derive(Clone, PartialEq)]
pub struct KafkaConfig {
    pub keys: KafkaKeys,
    properties: BTreeMap<String, String>,
    /// By the property of librdkafka that they are for.
    secrets: BTreeMap<&'static str, PasswordSource>,
}

impl KafkaConfig {
    /// Properties for librdkafka. They include secrets and must not be printed. Errors: a secret that cannot be
    /// fetched.
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

/// Shows the names of properties only, because values may be secrets.
impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("keys", &self.keys)
            .field("properties", &self.properties.keys())
            .field("secrets", &self.secrets)
            .finish()
    }
}

pub(super) fn read(top: &Reader<'_>) -> Result<KafkaConfig, ConfigError> {
    let keys: KafkaKeys = top.table()?;
    let properties = properties(top)?;
    let sasl_password = SecretKeys {
        env: ("sasl_password_env", keys.sasl_password_env.clone()),
        file: ("sasl_password_file", keys.sasl_password_file.clone()),
        command: ("sasl_password_command", keys.sasl_password_command.clone()),
    };
    let key_password = SecretKeys {
        env: ("ssl_key_password_env", keys.ssl_key_password_env.clone()),
        file: ("ssl_key_password_file", keys.ssl_key_password_file.clone()),
        command: (
            "ssl_key_password_command",
            keys.ssl_key_password_command.clone(),
        ),
    };
    let secrets = [
        ("sasl.password", sasl_password.source()?),
        ("ssl.key.password", key_password.source()?),
    ];
    Ok(KafkaConfig {
        keys,
        properties,
        secrets: secrets
            .into_iter()
            .filter_map(|(property, source)| Some((property, source?)))
            .collect(),
    })
}

/// Properties of the file, and over them those of the command line.
fn properties(top: &Reader<'_>) -> Result<BTreeMap<String, String>, ConfigError> {
    let layers = top.layers();
    let mut found: BTreeMap<String, Setting> = BTreeMap::new();
    for (name, text, place) in top.node().table_at(PROPERTIES.path).texts() {
        let source = Source::File(place);
        let text = text.to_string();
        found.insert(name.to_string(), Setting { text, source });
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

/// Whether a property of librdkafka is a secret: a password, a private key or a URL with a login.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognises_secrets_by_name_and_by_value() {
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
}
