//! Passwords: where they are kept and how they are fetched. They never come from argv and are never printed.

use super::error::ConfigError;
use super::source::Variables;
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

impl PasswordSource {
    /// Fetches it; called for each login, so that tokens of `xoauth2` are fresh. `relay` is for messages.
    pub fn read(&self, relay: &str, variables: &Variables) -> Result<Secret, ConfigError> {
        match self.fetch(variables) {
            Ok(secret) => Ok(Secret::new(secret)),
            Err(why) => Err(ConfigError::NoPassword {
                relay: relay.to_string(),
                why,
            }),
        }
    }

    /// As text: not to be printed. Errors: why there is none.
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
            "" => Err(format!("{self} gives nothing")),
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
    String::from_utf8(output.stdout).map_err(|_| format!("`{command}` prints no UTF-8"))
}

/// For people: where, never what.
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
    fn secrets_are_fetched_and_not_shown() {
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
