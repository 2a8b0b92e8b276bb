//! The environment variables that set no key of a file. Those of keys are declared with their key.

/// A variable under all its names.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// The first that is set wins.
    pub names: &'static [&'static str],
    /// For the manual, as sentences.
    pub text: &'static str,
}

pub const HOST: Variable = Variable {
    names: &["SMTP_HOST", "EMAIL_SMTP_HOST"],
    text: "Host of a relay, instead of those in `mailq.toml`.",
};

pub const PORT: Variable = Variable {
    names: &["SMTP_PORT", "EMAIL_SMTP_PORT"],
    text: "Port of the relay `SMTP_HOST`. 465 is TLS from the first byte.",
};

pub const PASSWORD: Variable = Variable {
    names: &["SMTP_PASS", "EMAIL_SMTP_PASS"],
    text: "Password of each relay that has a user and no `password_env`, `password_file` or `password_command`.",
};

pub const CONFIG: Variable = Variable {
    names: &["CONFIG_FILE"],
    text: "File of the project, as `--config`.",
};

/// A filter that tracing understands.
pub const LOG: Variable = Variable {
    names: &["MAILQ_LOG"],
    text: "What is logged: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `mailq::smtp=debug`.",
};

/// A level, with the names that other languages use.
pub const LOG_LEVEL: Variable = Variable {
    names: &["LOG_LEVEL"],
    text: "What is logged if `MAILQ_LOG` is unset: `error`, `warn`, `info`, `debug` or `trace`. Default: `warn`.",
};

pub const LOG_FORMAT: Variable = Variable {
    names: &["MAILQ_LOG_FORMAT"],
    text: "Form of the log: `text`, or `json` for one JSON document a line. Default: `text`.",
};

/// In the order of the manual.
pub const VARIABLES: [Variable; 7] = [HOST, PORT, PASSWORD, CONFIG, LOG, LOG_LEVEL, LOG_FORMAT];
