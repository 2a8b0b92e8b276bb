//! Passwords: where they are kept and how they are fetched. They never come from argv and are never printed.

use super::error::{ConfigError, at};
use super::source::{Sourced, Variables};
use crate::bounded_file;
use crate::smtp::Secret;
use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Longest file with a password in its first line.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Where a password is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordSource {
    Variable(String),
    File(PathBuf),
    /// For `sh -c`.
    Command(String),
}

/// The three keys that name where one secret is kept, each with its value.
pub(super) struct SecretKeys {
    pub env: (&'static str, Option<Sourced<String>>),
    pub file: (&'static str, Option<Sourced<PathBuf>>),
    pub command: (&'static str, Option<Sourced<String>>),
}

impl SecretKeys {
    /// Errors: two of the keys are set.
    pub fn source(self) -> Result<Option<PasswordSource>, ConfigError> {
        let (env, file, command) = (self.env, self.file, self.command);
        if let Some(found) = &env.1 {
            check_variable(env.0, found)?;
        }
        let variable =
            |found: Sourced<String>| (PasswordSource::Variable(found.value), found.source);
        let path = |found: Sourced<PathBuf>| (PasswordSource::File(found.value), found.source);
        let shell = |found: Sourced<String>| (PasswordSource::Command(found.value), found.source);
        let mut given = [
            (env.0, env.1.map(variable)),
            (file.0, file.1.map(path)),
            (command.0, command.1.map(shell)),
        ]
        .into_iter()
        .filter_map(|(key, found)| Some((key, found?)));
        match (given.next(), given.next()) {
            (Some((first, _)), Some((second, (_, source)))) => Err(ConfigError::TwoSecrets {
                at: at(&source),
                given: first,
                also: second,
            }),
            (first, _) => Ok(first.map(|(_, (secret, _))| secret)),
        }
    }
}

/// Errors: a value that is not the name of a variable. It may be the password itself, so it is not shown.
fn check_variable(key: &str, found: &Sourced<String>) -> Result<(), ConfigError> {
    let name = found.value.as_str();
    // Kubernetes also sets variables with dots and hyphens.
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.chars().all(is_letter) {
        return Ok(());
    }
    let bare = name.trim_start_matches('$').trim_matches(['{', '}']);
    let is_usual = !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    let example = if is_usual { bare } else { "SMTP_PASS" };
    Err(ConfigError::BadKey {
        at: at(&found.source),
        key: key.to_string(),
        why: "is not the name of a variable".to_string(),
        cure: Some(format!(
            "it names the variable that holds the password: `{key} = \"{example}\"`"
        )),
    })
}

impl PasswordSource {
    /// Fetches the password. Called for each login, so that tokens for `xoauth2` are fresh. `relay` is for messages.
    pub fn read(&self, relay: &str, variables: &Variables) -> Result<Secret, ConfigError> {
        match self.fetch(variables) {
            Ok(secret) => Ok(Secret::new(secret)),
            Err(why) => Err(ConfigError::NoPassword {
                relay: relay.to_string(),
                why,
            }),
        }
    }

    /// The secret itself, which must not be printed. Errors: why there is none.
    pub(super) fn fetch(&self, variables: &Variables) -> Result<String, String> {
        let text = match self {
            PasswordSource::Variable(name) => variables
                .get(name)
                .ok_or_else(|| format!("variable `{name}` is not set"))?
                .to_string(),
            PasswordSource::File(path) => {
                let bytes = bounded_file::read(path, MAX_SECRET_BYTES)
                    .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
                text(bytes).ok_or_else(|| format!("{self} is not UTF-8"))?
            }
            PasswordSource::Command(command) => text(output_of(command)?)
                .ok_or_else(|| format!("`{command}` does not print UTF-8"))?,
        };
        let first = match self {
            PasswordSource::Variable(_) => text.as_str(),
            // Some editors end lines with a CR alone, and `lines` keeps a CR that no LF follows.
            _ => text.split(['\r', '\n']).next().unwrap_or_default(),
        };
        match first {
            "" => Err(format!("{self} is empty")),
            secret => Ok(secret.to_string()),
        }
    }
}

/// Text without its byte order mark: UTF-8, or the UTF-16 that Windows PowerShell writes to files.
fn text(bytes: Vec<u8>) -> Option<String> {
    let units = |of: fn([u8; 2]) -> u16| {
        let pairs = bytes.chunks_exact(2).skip(1);
        pairs
            .filter_map(|pair| pair.try_into().ok().map(of))
            .collect::<Vec<u16>>()
    };
    match bytes.as_slice() {
        [0xFF, 0xFE, ..] => String::from_utf16(&units(u16::from_le_bytes)).ok(),
        [0xFE, 0xFF, ..] => String::from_utf16(&units(u16::from_be_bytes)).ok(),
        [0xEF, 0xBB, 0xBF, text @ ..] => String::from_utf8(text.to_vec()).ok(),
        _ => String::from_utf8(bytes).ok(),
    }
}

fn output_of(command: &str) -> Result<Vec<u8>, String> {
    let failed = |error: io::Error| format!("cannot run `{command}`: {error}");
    let mut shell = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(failed)?;
    let mut printed = Vec::new();
    if let Some(output) = shell.stdout.take() {
        // A command that prints without an end gets an error when the pipe is closed.
        let mut output = output.take(MAX_SECRET_BYTES + 1);
        output.read_to_end(&mut printed).map_err(failed)?;
    }
    let status = shell.wait().map_err(failed)?;
    if printed.len() as u64 > MAX_SECRET_BYTES {
        return Err(format!(
            "`{command}` prints more than {MAX_SECRET_BYTES} bytes"
        ));
    }
    if !status.success() {
        return Err(format!("`{command}` failed ({status})"));
    }
    Ok(printed)
}

/// Where the password is kept, never the password.
impl fmt::Display for PasswordSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PasswordSource::Variable(name) => write!(f, "variable `{name}`"),
            PasswordSource::File(path) => write!(f, "file `{}`", path.display()),
            PasswordSource::Command(command) => write!(f, "command `{command}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_end_and_a_byte_order_mark_are_no_part_of_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        for bytes in [
            &b"geheim\n"[..],
            b"geheim\r\n",
            b"geheim\r",
            b"geheim\n\n",
            b"\xEF\xBB\xBFgeheim\r\n",
            b"\xFF\xFEg\0e\0h\0e\0i\0m\0\r\0\n\0",
            b"\xFE\xFF\0g\0e\0h\0e\0i\0m\0\n",
        ] {
            std::fs::write(&file, bytes).unwrap();
            let command = format!("cat '{}'", file.display());
            for source in [
                PasswordSource::File(file.clone()),
                PasswordSource::Command(command),
            ] {
                let read = source.read("r", &Variables::default()).unwrap();
                assert!(read == Secret::new("geheim"), "{source}: {bytes:?}");
            }
        }
        for value in ["geheim\n", "geheim\r\n", "\u{FEFF}geheim\n\n"] {
            let variables: Variables = [("P".to_string(), value.to_string())].into_iter().collect();
            let read = PasswordSource::Variable("P".into()).read("r", &variables);
            assert!(read.unwrap() == Secret::new("geheim"), "{value:?}");
        }
        let variables: Variables = [("P".to_string(), "\r\n".to_string())]
            .into_iter()
            .collect();
        assert!(
            PasswordSource::Variable("P".into())
                .read("r", &variables)
                .is_err()
        );
    }

    #[test]
    fn a_password_in_place_of_a_name_is_refused_and_not_shown() {
        for (value, example) in [
            ("$SMTP_PASS", Some("SMTP_PASS")),
            ("${MY_PASS}", Some("MY_PASS")),
            ("$", Some("SMTP_PASS")),
            ("${}", Some("SMTP_PASS")),
            ("hunter2 secret", Some("SMTP_PASS")),
            ("$hunter-2", Some("SMTP_PASS")),
            ("SMTP_PASS", None),
            ("smtp.pass-1", None),
        ] {
            let found = Sourced {
                value: value.to_string(),
                source: crate::config::source::Source::Default,
            };
            let error = check_variable("password_env", &found).err();
            let hint = error.as_ref().and_then(ConfigError::hint);
            let wanted = example.map(|name| {
                format!(
                    "it names the variable that holds the password: `password_env = \"{name}\"`"
                )
            });
            assert_eq!(hint, wanted, "{value}");
            assert!(
                error.is_none_or(|error| !error.to_string().contains(value)),
                "{value}"
            );
        }
    }

    #[test]
    fn fetches_secrets_without_showing_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "hunter2\r\nmore\n").unwrap();
        let variables = [("P".to_string(), " with space ".to_string())]
            .into_iter()
            .collect();
        for (source, secret) in [
            (PasswordSource::Variable("P".into()), " with space "),
            (PasswordSource::File(file), "hunter2"),
            (
                PasswordSource::Command("echo token; echo more".into()),
                "token",
            ),
        ] {
            let read = source.read("r", &variables).unwrap();
            assert!(read == Secret::new(secret), "{source}");
        }
        for source in [
            PasswordSource::Variable("Q".into()),
            PasswordSource::File(folder.path().join("none")),
            PasswordSource::Command("false".into()),
            PasswordSource::Command("true".into()),
            PasswordSource::Command("yes".into()),
        ] {
            let error = source.read("mx:587", &variables).unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with("no password for relay `mx:587`: ")
            );
        }
    }
}
