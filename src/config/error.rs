//! What can be wrong with a configuration: where it is, what is there, and how to fix it.

use super::advice::{reserved_header, why_reserved};
use super::hidden::without_secrets;
use super::schema::ValueError;
use super::source::{Setting, Source};
use crate::domain::shell_word::shell_word;
use crate::domain::shown::on_one_line;
use crate::smtp::UrlError;
use std::path::PathBuf;

/// The message is one line, whatever the file says.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    #[error("no file `{0}`")]
    NoFile(PathBuf),
    #[error("cannot read `{path}`: {why}")]
    Unreadable { path: PathBuf, why: String },
    #[error("cannot write `{path}`: {why}")]
    Unwritable { path: PathBuf, why: String },
    #[error("{why}; `{}` was not read", path.display())]
    NotOurs { path: PathBuf, why: String },
    #[error("every user may write to `{}` (mode {mode:o}); nothing was done", path.display())]
    OthersMayWrite { path: PathBuf, mode: u32 },
    #[error("`{0}` is not UTF-8 text")]
    NotUtf8(PathBuf),
    #[error("{at}: {}", on_one_line(why))]
    Syntax {
        at: String,
        why: String,
        /// What to write instead, as far as that is known. The same in [`ConfigError::BadKey`].
        cure: Option<String>,
    },
    #[error("{at}: unknown key `{}`{}", on_one_line(key), in_section(.section))]
    UnknownKey {
        at: String,
        key: String,
        section: String,
        nearest: Option<String>,
        /// Where the key belongs, or what to do instead.
        advice: Option<String>,
        page: &'static str,
    },
    #[error("{at}: `headers.\"{}\"` {}", on_one_line(name), why_reserved(name))]
    ReservedHeader { at: String, name: String },
    #[error(
        "{at}: `{}` is `{}`: {}",
        on_one_line(key),
        on_one_line(value),
        on_one_line(why)
    )]
    BadValue {
        at: String,
        key: String,
        value: String,
        why: String,
    },
    /// As `BadValue`, where the value may hold a secret or is not a single text.
    #[error("{at}: `{}` {}", on_one_line(key), on_one_line(why))]
    BadKey {
        at: String,
        key: String,
        why: String,
        cure: Option<String>,
    },
    #[error("{at}: {}", on_one_line(&why.to_string()))]
    BadRelay { at: String, why: UrlError },
    #[error("{at}: `{key}` is missing")]
    MissingKey {
        at: String,
        key: &'static str,
        /// An assignment.
        example: String,
    },
    #[error("{at}: `{given}` and `{also}` are both set")]
    TwoSecrets {
        at: String,
        given: &'static str,
        also: &'static str,
    },
    #[error("no password for relay `{relay}`: {why}")]
    NoPassword { relay: String, why: String },
    #[error("no `{name}`: {why}")]
    NoSecret { name: &'static str, why: String },
    #[error("`-X {0}` is a secret, and others can read the command line; nothing was done")]
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
        name => format!(" in `{}`", on_one_line(name)),
    }
}

impl ConfigError {
    /// `key` is the path of a key, `send.rate`, or what stands for one.
    pub(super) fn bad_value(key: &str, setting: &Setting, why: String) -> ConfigError {
        ConfigError::BadValue {
            at: at(&setting.source),
            key: key.to_string(),
            value: without_secrets(&setting.text).into_owned(),
            why,
        }
    }

    pub(super) fn value(key: &str, setting: &Setting, why: ValueError) -> ConfigError {
        match why {
            ValueError::Form(why) => ConfigError::bad_value(key, setting, why),
            ValueError::Hidden(why) => ConfigError::BadKey {
                at: at(&setting.source),
                key: key.to_string(),
                why,
                cure: None,
            },
            ValueError::Relay(why) => ConfigError::BadRelay {
                at: at(&setting.source),
                why,
            },
        }
    }

    /// A command or a key that fixes it, if there is one.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            ConfigError::NoFile(_) => "check the path, or create a project with `mailq init`".into(),
            ConfigError::NotOurs { path, .. } => format!(
                "mailq runs the commands that it names: if you trust it, name it: `--config {}`",
                shell_word(path)
            ),
            ConfigError::OthersMayWrite { path, .. } => format!("`chmod o-w {}`", shell_word(path)),
            ConfigError::UnknownKey {
                advice: Some(advice),
                ..
            } => advice.clone(),
            ConfigError::BadKey {
                cure: Some(cure), ..
            } => cure.clone(),
            ConfigError::Syntax { cure, .. } => return cure.clone(),
            ConfigError::NotUtf8(_) => "save it as UTF-8 text".into(),
            ConfigError::ReservedHeader { name, .. } => reserved_header(name),
            ConfigError::UnknownKey { nearest, page, .. } => match nearest {
                Some(name) => format!("did you mean `{name}`? `man {page}` lists every key"),
                None => format!("`man {page}` lists every key (`mailq manual DIR` writes the page)"),
            },
            ConfigError::MissingKey { example, .. } => format!("add `{example}`"),
            ConfigError::BadRelay { why, .. } => relay_hint(why),
            ConfigError::TwoSecrets { .. } => "keep one of them".into(),
            ConfigError::NoPassword { .. } => {
                "set `password_env`, `password_file` or `password_command` in its `[[relay]]`"
                    .into()
            }
            ConfigError::NoSecret { name, .. } => kept_elsewhere(name),
            ConfigError::SecretOnCommandLine(name) => match name.as_str() {
                "sasl.password" | "ssl.key.password" => kept_elsewhere(name),
                _ => "use a property that names a file if there is one, or set it in `[kafka.properties]` of a file that \
                      only you can read"
                    .into(),
            },
            ConfigError::BadProperty(_) => {
                "for example `-X security.protocol=SASL_SSL`".into()
            }
            ConfigError::NoKafka(_) => {
                "remove it, or name the cluster: `--queue kafka://host:9092`".into()
            }
            ConfigError::NoKey(_) => {
                "copy it from the host where the queue was created; `mailq init` creates the first one"
                    .into()
            }
            ConfigError::BadKeyFile { .. } => {
                "copy it again from the first host; it is 64 hexadecimal digits".into()
            }
            ConfigError::BadValue { .. } | ConfigError::BadKey { .. } => {
                "`man 5 mailq.toml` explains every key (`mailq manual DIR` writes the page)"
                    .into()
            }
            ConfigError::Unreadable { .. }
            | ConfigError::Unwritable { .. } => return None,
        })
    }
}

/// The keys for a secret of librdkafka.
fn kept_elsewhere(property: &str) -> String {
    let key = property.replace('.', "_");
    format!("set `{key}_env`, `{key}_file` or `{key}_command` in `[kafka]`")
}

fn relay_hint(why: &UrlError) -> String {
    match why {
        UrlError::Scheme { meant: Some(url) } => format!("write `url = \"{url}\"`"),
        UrlError::Password => {
            "remove it from the URL and set `password_env = \"SMTP_PASS\"`".into()
        }
        _ => "a relay is `smtp://user@host:587`, `smtps://user@host:465` or `maildir:PATH`".into(),
    }
}

/// For the beginning of an error: with the column, which the `Display` of `Source` leaves out.
pub(super) fn at(source: &Source) -> String {
    match source {
        Source::File(place) => place.to_string(),
        other => other.to_string(),
    }
}
