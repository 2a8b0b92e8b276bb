//! How a command ends: its exit code, or a failure with a hint. Each file below maps the errors of one area.

mod enqueue;
mod input;
mod queue;
mod worker;

use crate::commands::access::denied;
use crate::config::ConfigError;
pub use input::{GROUP_TOO_LARGE, SEVERAL, SPACE_BEFORE_QUOTE, UNNAMED};
use rustix::fs::Access;
use std::error::Error;
use std::process::ExitCode;

/// Exit codes for cron and scripts. The manual page lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Bounces are normal results.
    Done = 0,
    /// Done, but something that this call enqueued or finished needs attention.
    NeedsAttention = 1,
    /// The command line, the configuration or an input is wrong.
    Usage = 2,
    /// The queue or a relay is unavailable, or work is left (EX_TEMPFAIL of sysexits.h).
    TryLater = 75,
    /// Stopped by Ctrl-C.
    Interrupted = 130,
}

impl Exit {
    pub const ALL: [(Exit, &'static str); 5] = [
        (
            Exit::Done,
            "done; bounces are normal results. Also after a clean stop of `send` by SIGTERM or SIGHUP",
        ),
        (
            Exit::NeedsAttention,
            "done, but something needs attention: dead letters, messages in doubt, a failed verification, rejected rows",
        ),
        (
            Exit::Usage,
            "the command line, the configuration or an input is wrong",
        ),
        (
            Exit::TryLater,
            "try again later: queue or relay unavailable, stopped with work left, or ended at once by a second signal",
        ),
        (Exit::Interrupted, "stopped by Ctrl-C"),
    ];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a command failed. Printed as `error: {what}` and `hint: {hint}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What failed, where, and what was not done. Empty: nothing is printed.
    pub what: String,
    /// The command or key that fixes it.
    pub hint: Option<String>,
    pub exit: Exit,
}

impl Failure {
    pub fn new(exit: Exit, what: impl Into<String>) -> Failure {
        Failure {
            what: what.into(),
            hint: None,
            exit,
        }
    }

    pub fn usage(what: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, what)
    }

    pub fn try_later(what: impl Into<String>) -> Failure {
        Failure::new(Exit::TryLater, what)
    }

    /// What only a bug in mailq can cause.
    pub fn bug(what: impl Into<String>) -> Failure {
        Failure::new(Exit::NeedsAttention, what)
            .with_hint("this is a bug in mailq: please report it with these lines")
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Appends what was not done, such as `nothing was enqueued`, unless it is there already.
    pub fn not_done(mut self, what: &str) -> Failure {
        if !self.what.contains(what) {
            self.what = format!("{}; {what}", self.what);
        }
        self
    }

    /// Appends an error and its sources, each text once.
    pub fn caused_by(mut self, error: &dyn Error) -> Failure {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let text = error.to_string();
            if !self.what.contains(&text) {
                self.what = format!("{}: {text}", self.what);
            }
            cause = error.source();
        }
        self
    }

    /// The reader of stdout has gone (`mailq events | head`). Ends the command without an error.
    pub fn unread() -> Failure {
        Failure::new(Exit::Done, "")
    }
}

/// The hint where a thread cannot be started.
const MORE_PROCESSES: &str = "raise the limit of processes for this user (`ulimit -u`)";

/// The hint where a file or connection cannot be opened.
pub const MORE_FILES: &str = "raise the limit of open files for this user (`ulimit -n`)";

/// The hint for a file that this user may not use.
const GIVE: &str = "run mailq as its owner, or change owner or mode of the file";

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        let owned = match &error {
            ConfigError::Unreadable { path, .. } => denied(path, Access::READ_OK),
            ConfigError::Unwritable { path, .. } => denied(path, Access::WRITE_OK),
            _ => None,
        };
        match owned {
            Some(why) => Failure::usage(why).with_hint(GIVE),
            None => Failure {
                hint: error.hint(),
                ..Failure::usage(error.to_string())
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_each_cause_once() {
        let inner = std::io::Error::other("disk on fire");
        let outer = std::io::Error::other(inner);
        let failure = Failure::try_later("cannot write `x`").caused_by(&outer);
        assert_eq!(failure.what, "cannot write `x`: disk on fire");
        assert_eq!(failure.exit, Exit::TryLater);
    }
}
