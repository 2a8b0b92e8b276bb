//! What can be wrong with a configuration: where it is, what is there, and what mends it.

use super::source::Source;
use crate::smtp::UrlError;
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    #[error("no file `{0}`")]
    NoFile(PathBuf),
    #[error("cannot read `{path}`: {why}")]
    Unreadable { path: PathBuf, why: String },
    #[error("cannot write `{path}`: {why}")]
    Unwritable { path: PathBuf, why: String },
    #[error("{at}: {why}")]
    Syntax { at: String, why: String },
    #[error("{at}: unknown key `{key}`{}", in_section(.section))]
    UnknownKey {
        at: String,
        key: String,
        section: String,
        nearest: Option<String>,
        page: &'static str,
    },
    #[error("{at}: `{key}` is `{value}`: {why}")]
    BadValue {
        at: String,
        key: String,
        value: String,
        why: String,
    },
    /// As `BadValue`, where the value may hold a secret or is no single value.
    #[error("{at}: `{key}` {why}")]
    BadKey {
        at: String,
        key: String,
        why: String,
    },
    #[error("{at}: {why}")]
    BadRelay { at: String, why: UrlError },
    #[error("{file}: `{key}` is missing")]
    MissingKey {
        file: String,
        key: &'static str,
        example: &'static str,
    },
    #[error("{at}: {given} and {also} both name the password")]
    TwoPasswords {
        at: String,
        given: &'static str,
        also: &'static str,
    },
    #[error("no password for relay `{relay}`: {why}")]
    NoPassword { relay: String, why: String },
    #[error("no `{name}`: {why}")]
    NoSecret { name: &'static str, why: String },
    #[error("`-X {0}` is a secret, and others can read a command line; nothing was done")]
    SecretOnCommandLine(String),
    #[error("`-X {0}` is not `key=value`")]
    BadProperty(String),
    #[error("`-X` is for a queue on Kafka, and this one is `{0}`")]
    NoKafka(String),
    #[error("no key `{0}`")]
    NoKey(PathBuf),
    #[error("key `{path}` is damaged: {why}")]
    BadKeyFile { path: PathBuf, why: String },
}

fn in_section(section: &str) -> String {
    match section {
        "" => String::new(),
        name => format!(" in `{name}`"),
    }
}

impl ConfigError {
    pub(super) fn bad_value(source: &Source, key: &str, value: &str, why: String) -> ConfigError {
        ConfigError::BadValue {
            at: at(source),
            key: key.to_string(),
            value: value.to_string(),
            why,
        }
    }

    /// A command or key that mends it, where one does.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            ConfigError::NoFile(_) => "check the path, or make a project with `mailq init`".into(),
            ConfigError::UnknownKey { nearest, page, .. } => match nearest {
                Some(name) => format!("did you mean `{name}`? every key is in `man {page}`"),
                None => format!("every key is in `man {page}` (`mailq manual DIR` writes it)"),
            },
            ConfigError::MissingKey { key, example, .. } => format!("add `{key} = {example}`"),
            ConfigError::BadRelay { why, .. } => match why {
                UrlError::Password => {
                    "leave it out of the URL, and set `password_env = \"SMTP_PASS\"`".into()
                }
                _ => "a relay is `smtp://user@host:587`, `smtps://user@host:465` or `maildir:PATH`"
                    .into(),
            },
            ConfigError::TwoPasswords { .. } => "keep one of them".into(),
            ConfigError::NoPassword { .. } => {
                "set `password_env`, `password_file` or `password_command` in its `[[relay]]`"
                    .into()
            }
            ConfigError::NoSecret { name, .. } => {
                let key = name.replace('.', "_");
                format!("set `{key}_env`, `{key}_file` or `{key}_command` in `[kafka]`")
            }
            ConfigError::SecretOnCommandLine(name) => match name.as_str() {
                "sasl.password" | "ssl.key.password" => {
                    let key = name.replace('.', "_");
                    format!("set `{key}_env`, `{key}_file` or `{key}_command` in `[kafka]`")
                }
                _ => "name a file instead where there is such a property, or write it into `[kafka] properties` \
                      of a file that only you can read"
                    .into(),
            },
            ConfigError::BadProperty(_) => {
                "for instance `-X security.protocol=SASL_SSL`".into()
            }
            ConfigError::NoKafka(_) => {
                "leave it out, or name the cluster: `--queue kafka://host:9092`".into()
            }
            ConfigError::NoKey(_) => {
                "copy it from the host where the queue was made; `mailq init` makes the first one"
                    .into()
            }
            ConfigError::BadKeyFile { .. } => {
                "copy it again from the first host: it is 64 hexadecimal digits".into()
            }
            ConfigError::BadValue { .. } | ConfigError::BadKey { .. } => {
                "each key and its form is in `man 5 mailq.toml` (`mailq manual DIR` writes it)"
                    .into()
            }
            ConfigError::Syntax { .. }
            | ConfigError::Unreadable { .. }
            | ConfigError::Unwritable { .. } => return None,
        })
    }
}

/// As the start of an error: with the column, which `Source` leaves out.
pub(super) fn at(source: &Source) -> String {
    match source {
        Source::File(place) => place.to_string(),
        other => other.to_string(),
    }
}
