//! What errors of the floors below mean for a command: the exit code and the hint, by variant.

use super::outcome::{Exit, Failure};
use crate::engine::account::AccountError;
use crate::queue::QueueError;
use crate::recipients::RecipientsError;
use crate::render::{ContentError, TemplateError};

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
            QueueError::Away { .. } | QueueError::Unknown(_) => (
                Exit::TryLater,
                "run it again later; it goes on where it was",
            ),
            QueueError::NoTopic(_) => (Exit::Usage, "`mailq init` makes what is missing"),
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

impl From<RecipientsError> for Failure {
    fn from(error: RecipientsError) -> Failure {
        let hint = match &error {
            RecipientsError::Unreadable { .. } => {
                "check the path and the file's permissions".to_string()
            }
            RecipientsError::Unwritable { .. } => "make the list's folder writable".to_string(),
            RecipientsError::Empty { .. } => {
                "the first line names the columns: `email,name`".to_string()
            }
            RecipientsError::Header { .. } => {
                "give every column a name of its own in the first line".to_string()
            }
            RecipientsError::NoEmailColumn { nearest, .. } => match nearest {
                Some(column) => format!("is it `{column}`? then set `email_column = \"{column}\"`"),
                None => "name it with `email_column` in the campaign file".to_string(),
            },
            RecipientsError::BadRows { .. } => {
                "fix the rows, or add `--skip-invalid` to enqueue the rest".to_string()
            }
            RecipientsError::Changed { .. } => {
                "run it again when the file is no longer written to".to_string()
            }
        };
        Failure::usage(format!("{error}; nothing was enqueued")).with_hint(hint)
    }
}

impl From<TemplateError> for Failure {
    fn from(error: TemplateError) -> Failure {
        let hint = match &error {
            TemplateError::UnknownColumn(unknown) => {
                let default = format!(
                    "give a default: `{{{{ {} | default(\"there\") }}}}`",
                    unknown.name
                );
                match &unknown.nearest {
                    Some(nearest) => format!("rename it to `{nearest}`, or {default}"),
                    None => default,
                }
            }
            TemplateError::Missing { .. } | TemplateError::Unreadable { .. } => {
                "templates are files in the project's `templates/` folder".to_string()
            }
            TemplateError::Outside { .. } => "keep every included file in `templates/`".to_string(),
            TemplateError::Syntax { .. } | TemplateError::NoAttribute { .. } => {
                "mend the template; `mailq preview` shows what comes of it".to_string()
            }
        };
        Failure::usage(format!("{error}; nothing was enqueued")).with_hint(hint)
    }
}

impl From<ContentError> for Failure {
    fn from(error: ContentError) -> Failure {
        match error {
            ContentError::Template(error) => error.into(),
            other => Failure::usage(other.to_string())
                .with_hint("mend the campaign file; `mailq.toml(5)` describes its keys"),
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
            (QueueError::Unknown("timeout".into()), Exit::TryLater),
        ] {
            let text = error.to_string();
            let failure = Failure::from(error);
            assert_eq!((failure.exit, failure.what), (exit, text));
            assert!(failure.hint.is_some());
        }
    }
}
