//! What errors of the queue and the accounts mean for a command: the exit code and the hint, by variant.

use super::{Exit, Failure};
use crate::engine::account::AccountError;
use crate::queue::QueueError;

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Failure {
        let (exit, hint) = match &error {
            QueueError::Missing(_) => (
                Exit::Usage,
                "go to the project, or make one with `mailq init`",
            ),
            QueueError::Newer { .. } => (Exit::Usage, "install the newer mailq here as well"),
            QueueError::OtherKey { .. } => (
                Exit::Usage,
                "copy `.mailq/key` from the host where the queue was made",
            ),
            QueueError::Damaged { .. } => (
                Exit::Usage,
                "check the disk, and put back the last backup of the file",
            ),
            QueueError::Full { .. } => (
                Exit::TryLater,
                "free some space and run it again; nothing is lost",
            ),
            QueueError::Broken { .. } => (
                Exit::TryLater,
                "start it again; what was with a relay is named in doubt by whoever goes on",
            ),
            QueueError::Away { .. } | QueueError::Unknown(_) => (
                Exit::TryLater,
                "run it again later; it goes on where it was",
            ),
            QueueError::Setting { .. } => {
                (Exit::Usage, "take it out of `[kafka] properties` or `-X`")
            }
            QueueError::Login { .. } => (
                Exit::Usage,
                "check `sasl.username` and its password in `[kafka]`",
            ),
            QueueError::Denied { .. } => (
                Exit::Usage,
                "ask whoever runs the cluster for this right; docs/kafka.md lists all",
            ),
            QueueError::NoTopic(_) => (Exit::Usage, "`mailq topics init` makes what is missing"),
            QueueError::BelowLowMark { .. } | QueueError::BadRecord { .. } => (
                Exit::NeedsPerson,
                "`mailq verify` names the recipients that it concerns",
            ),
            QueueError::TooLarge { .. } => (
                Exit::Usage,
                "shorten the template or the pictures inside it",
            ),
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
            AccountError::Scratch { .. } => Failure::try_later(error.to_string())
                .with_hint("free some space in the temporary folder, or set TMPDIR"),
            damage => Failure::new(Exit::NeedsPerson, damage.to_string())
                .with_hint("`mailq verify` names the recipients that it concerns"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again_and_the_rest_is_not() {
        for (error, exit) in [
            (QueueError::Missing("sqlite:q.db".into()), Exit::Usage),
            (
                QueueError::Full {
                    path: "q.db".into(),
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
