//! What is logged: by `-v` or `-q`, else by `MAILQ_LOG`, else by `LOG_LEVEL`, else warnings only. In which form: by
//! `MAILQ_LOG_FORMAT`.

use super::environment::{LOG, LOG_FORMAT, LOG_LEVEL, Variable};
use super::error::ConfigError;
use super::source::{Setting, Source, Variables};

/// A filter for tracing's subscriber, and the form of the lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// Directives of `tracing_subscriber::EnvFilter`: `info`, `mailq::smtp=debug`.
    pub filter: String,
    /// Where the filter comes from.
    pub source: Source,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    /// One JSON document a line.
    Json,
}

impl LogSettings {
    /// `verbose` is how often `-v` was given. Errors: a variable with an unknown level or form.
    pub fn read(
        verbose: u8,
        quiet: bool,
        variables: &Variables,
    ) -> Result<LogSettings, ConfigError> {
        let (filter, source) = match (verbose, quiet) {
            (0, true) => ("error".to_string(), Source::Flag("-q")),
            (0, false) => of_variables(variables)?,
            (1, _) => ("info".to_string(), Source::Flag("-v")),
            (2, _) => ("debug".to_string(), Source::Flag("-vv")),
            _ => ("trace".to_string(), Source::Flag("-vvv")),
        };
        Ok(LogSettings {
            filter,
            source,
            format: format(variables)?,
        })
    }
}

fn format(variables: &Variables) -> Result<LogFormat, ConfigError> {
    let Some(setting) = first(&LOG_FORMAT, variables) else {
        return Ok(LogFormat::Text);
    };
    match setting.text.as_str() {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => {
            let why = "not `text` or `json`".to_string();
            Err(ConfigError::bad_value("log format", &setting, why))
        }
    }
}

fn of_variables(variables: &Variables) -> Result<(String, Source), ConfigError> {
    if let Some(setting) = first(&LOG, variables) {
        return Ok((setting.text, setting.source));
    }
    let Some(setting) = first(&LOG_LEVEL, variables) else {
        return Ok(("warn".to_string(), Source::Default));
    };
    // Containers often set this variable for programs in other languages, which have other names for the levels.
    let filter = match setting.text.to_ascii_lowercase().as_str() {
        "trace" => "trace",
        "debug" => "debug",
        "info" => "info",
        "warn" | "warning" => "warn",
        "error" | "critical" | "fatal" => "error",
        "off" | "none" => "off",
        _ => {
            let why = "not `error`, `warn`, `info`, `debug` or `trace`".to_string();
            return Err(ConfigError::bad_value("log level", &setting, why));
        }
    };
    Ok((filter.to_string(), setting.source))
}

fn first(variable: &Variable, variables: &Variables) -> Option<Setting> {
    variable.names.iter().find_map(|name| {
        Some(Setting {
            text: variables.get(name)?.to_string(),
            source: Source::Variable((*name).to_string()),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_variables() {
        for (verbose, quiet, pairs, filter) in [
            (0, false, &[][..], "warn"),
            (0, false, &[("LOG_LEVEL", "WARNING")], "warn"),
            (0, false, &[("LOG_LEVEL", "DEBUG")], "debug"),
            (
                0,
                false,
                &[("LOG_LEVEL", "DEBUG"), ("MAILQ_LOG", "mailq=trace")],
                "mailq=trace",
            ),
            (1, false, &[("LOG_LEVEL", "DEBUG")], "info"),
            (0, true, &[("LOG_LEVEL", "DEBUG")], "error"),
            (5, false, &[], "trace"),
        ] {
            let variables = pairs
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect();
            let settings = LogSettings::read(verbose, quiet, &variables).unwrap();
            assert_eq!(settings.filter, filter);
        }
        for pair in [("LOG_LEVEL", "loud"), ("MAILQ_LOG_FORMAT", "xml")] {
            let variables = [(pair.0.to_string(), pair.1.to_string())]
                .into_iter()
                .collect();
            assert!(LogSettings::read(0, false, &variables).is_err());
        }
    }
}
