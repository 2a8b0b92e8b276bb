//! Errors of queues and of reading them: exit code and hint of each variant.

use super::{Exit, Failure, MORE_PROCESSES};
use crate::engine::account::AccountError;
use crate::queue::QueueError;

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Failure {
        let (exit, hint) = match &error {
            QueueError::Missing(_) => (
                Exit::Usage,
                "change to the project's folder, or create a project with `mailq init`",
            ),
            QueueError::Newer { .. } => (
                Exit::Usage,
                "install the newer version of mailq on this host",
            ),
            QueueError::OtherKey { .. } => (
                Exit::Usage,
                "copy `.mailq/key` from the host that created the queue",
            ),
            QueueError::Damaged { .. } => (
                Exit::Usage,
                "check the disk, and restore the file from a backup",
            ),
            QueueError::Full { .. } => (
                Exit::TryLater,
                "free disk space and run it again; nothing is lost",
            ),
            QueueError::Gone { .. } => (
                Exit::TryLater,
                "put the file back, or start it again to use the one that is there now; messages in flight may have been delivered",
            ),
            QueueError::Broken { .. } => (
                Exit::TryLater,
                "start it again; the next worker reports messages in flight as in doubt",
            ),
            QueueError::NoThread(_) => (Exit::TryLater, MORE_PROCESSES),
            QueueError::Away { .. } | QueueError::Unknown(_) => (
                Exit::TryLater,
                "run it again later; it continues where it stopped",
            ),
            QueueError::Setting { .. } => {
                (Exit::Usage, "remove it from `[kafka.properties]` or `-X`")
            }
            QueueError::Login { .. } => (
                Exit::Usage,
                "check `sasl.username` and its password in `[kafka]`",
            ),
            QueueError::Denied { .. } => (
                Exit::Usage,
                "ask the administrator of the cluster for this permission; docs/kafka.md lists all of them",
            ),
            QueueError::NoTopic(_) => (Exit::Usage, "`mailq topics init` creates missing topics"),
            QueueError::BelowLowWatermark { .. } | QueueError::BadRecord { .. } => (
                Exit::NeedsAttention,
                "`mailq verify` lists the recipients that are affected",
            ),
            QueueError::TooLarge { .. } => {
                (Exit::Usage, "shorten the template or its inline images")
            }
        };
        Failure::new(exit, error.to_string()).with_hint(hint)
    }
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Failure {
        match error {
            AccountError::Queue(error) => error.into(),
            AccountError::NoCampaign(_) => {
                Failure::usage(error.to_string()).with_hint("`mailq status` lists the campaigns")
            }
            AccountError::NoLetter(_) => {
                Failure::usage(error.to_string()).with_hint("`mailq dlq list` lists the letters")
            }
            AccountError::Scratch { .. } => Failure::try_later(error.to_string()).with_hint(
                "free disk space in the temporary folder, or set TMPDIR to another folder",
            ),
            AccountError::Ledger(_) | AccountError::Text { .. } | AccountError::Left { .. } => {
                Failure::new(Exit::NeedsAttention, error.to_string())
                    .with_hint("if a newer mailq has written it, install that version on this host")
            }
            AccountError::Letter(_)
            | AccountError::Event { .. }
            | AccountError::NoManifest { .. } => {
                Failure::new(Exit::NeedsAttention, error.to_string())
                    .with_hint("`mailq verify` lists the recipients that are affected")
            }
            AccountError::Pieces { .. } => Failure::new(Exit::NeedsAttention, error.to_string())
                .with_hint("run `mailq dlq replay` again: it completes unfinished replays"),
            AccountError::Chunk { .. } | AccountError::Json(_) => Failure::bug(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_temporary_errors_say_try_later() {
        for (error, exit) in [
            (QueueError::Missing("sqlite:q.db".into()), Exit::Usage),
            (
                QueueError::Full {
                    path: "q.db".into(),
                },
                Exit::TryLater,
            ),
            (
                QueueError::Gone {
                    path: "q.db".into(),
                    what: "it was removed or renamed".into(),
                },
                Exit::TryLater,
            ),
            (
                QueueError::Broken {
                    path: "kafka://b".into(),
                    what: "fatal".into(),
                },
                Exit::TryLater,
            ),
            (QueueError::Unknown("timeout".into()), Exit::TryLater),
        ] {
            let text = error.to_string();
            let failure = Failure::from(error);
            assert_eq!((failure.exit, failure.what), (exit, text));
            assert!(failure.hint.is_some());
        }
    }
}
