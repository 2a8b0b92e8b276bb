//! Errors of workers and of `recover`: exit code and hint of each variant.

use super::{Failure, MORE_PROCESSES};
use crate::engine::recover::RecoverError;
use crate::engine::worker::WorkerError;
use crate::threads::ThreadError;

impl From<WorkerError> for Failure {
    fn from(error: WorkerError) -> Failure {
        match error {
            WorkerError::Queue(error) => error.into(),
            WorkerError::Account(error) => error.into(),
            WorkerError::Broken(_) => Failure::bug(error.to_string()),
            WorkerError::MissingTopic(_) => Failure::usage(format!("{error}; nothing was sent"))
                .with_hint("`mailq topics init` creates missing topics"),
            WorkerError::CutOff => Failure::try_later(error.to_string())
                .with_hint("start it again when the queue is back; it reports messages in doubt"),
            WorkerError::CommitsLost(_) => Failure::usage(format!("{error}; nothing was sent"))
                .with_hint(
                    "`mailq recover` rebuilds them and lists recipients who may get a duplicate",
                ),
            WorkerError::Ledger(_) => Failure::usage(format!("{error}; nothing was sent"))
                .with_hint("if a newer mailq has written it, install that version on this host"),
        }
    }
}

impl From<ThreadError> for Failure {
    fn from(error: ThreadError) -> Failure {
        Failure::try_later(error.to_string()).with_hint(MORE_PROCESSES)
    }
}

impl From<RecoverError> for Failure {
    fn from(error: RecoverError) -> Failure {
        match error {
            RecoverError::Account(error) => error.into(),
            RecoverError::AtWork(_) => {
                Failure::usage(error.to_string()).with_hint("stop all workers, then run it again")
            }
            RecoverError::Taken(_) => Failure::try_later(error.to_string())
                .with_hint("stop all workers, then run it again; what was repaired stays"),
            RecoverError::TooLong { .. } => Failure::usage(error.to_string())
                .with_hint("cancel runs that are no longer needed, then run it again"),
        }
    }
}
