//! Passwords: where they are kept and how they are fetched. They never come from argv and are never printed.

use super::error::{ConfigError, at};
use super::source::{Sourced, Variables};
use crate::smtp::Secret;
use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

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
            PasswordSource::File(path) => std::fs::read_to_string(path)
                .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?,
            PasswordSource::Command(command) => output_of(command)?,
        };
        let first = match self {
            PasswordSource::Variable(_) => text.as_str(),
            _ => text.lines().next().unwrap_or_default(),
        };
        match first {
            "" => Err(format!("{self} is empty")),
            secret => Ok(secret.to_string()),
        }
    }
}

fn output_of(command: &str) -> Result<String, String> {
    let output = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run `{command}`: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{command}` failed ({})", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{command}` does not print UTF-8"))
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
