//! What is logged: `-v` and `-q`, then `MAILQ_LOG`, then `LOG_LEVEL`, then warnings only; `MAILQ_LOG_FORMAT=json`.

use super::error::ConfigError;
use super::source::{Source, Variables};

/// A filter for tracing's subscriber, and the form of the lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// Directives as `tracing` understands them: `info`, `mailq::smtp=debug`.
    pub filter: String,
    /// For messages.
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
    /// `verbose` and `quiet` count how often the flags were given.
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
        let format = match variables.get("MAILQ_LOG_FORMAT") {
            None | Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(other) => {
                let source = Source::Variable("MAILQ_LOG_FORMAT".into());
                let why = "not `text` or `json`".to_string();
                return Err(ConfigError::bad_value(&source, "log format", other, why));
            }
        };
        Ok(LogSettings {
            filter,
            source,
            format,
        })
    }
}

fn of_variables(variables: &Variables) -> Result<(String, Source), ConfigError> {
    if let Some(filter) = variables.get("MAILQ_LOG") {
        return Ok((filter.to_string(), Source::Variable("MAILQ_LOG".into())));
    }
    let Some(level) = variables.get("LOG_LEVEL") else {
        return Ok(("warn".to_string(), Source::Default));
    };
    let source = Source::Variable("LOG_LEVEL".into());
    // The names of the seeds' language are understood as well.
    let filter = match level.to_ascii_lowercase().as_str() {
        "trace" => "trace",
        "debug" => "debug",
        "info" => "info",
        "warn" | "warning" => "warn",
        "error" | "critical" | "fatal" => "error",
        "off" | "none" => "off",
        _ => {
            let why = "not `error`, `warn`, `info`, `debug` or `trace`".to_string();
            return Err(ConfigError::bad_value(&source, "log level", level, why));
        }
    };
    Ok((filter.to_string(), source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_come_before_variables() {
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
