//! Errors of `enqueue`: exit code and hint of each variant.

use super::{Exit, Failure, MORE_PROCESSES};
use crate::engine::enqueue::EnqueueError;

const NOT_DONE: &str = "nothing was enqueued";

impl From<EnqueueError> for Failure {
    fn from(error: EnqueueError) -> Failure {
        match error {
            EnqueueError::Queue(error) => error.into(),
            EnqueueError::Recipients(error) => Failure::from(error).not_done(NOT_DONE),
            EnqueueError::Template(error) => Failure::from(error).not_done(NOT_DONE),
            other => {
                let exit = if other.is_temporary() {
                    Exit::TryLater
                } else {
                    Exit::Usage
                };
                let failure = Failure::new(exit, other.to_string());
                match hint(&other) {
                    Some(hint) => failure.with_hint(hint),
                    None => failure,
                }
            }
        }
    }
}

fn hint(error: &EnqueueError) -> Option<&'static str> {
    Some(match error {
        EnqueueError::Render(_) | EnqueueError::RenderAfterSeal(_) => {
            "fix the template or the row and run it again; `mailq preview CAMPAIGN.toml --row N` shows one message"
        }
        EnqueueError::Chunk { .. } => "shorten the template or its inline images",
        EnqueueError::OtherInputs { .. } => {
            "`--only-new` sends to recipients who are not in that run; `--run NAME` sends to the whole list as a new run"
        }
        EnqueueError::Renamed { .. } => {
            "give the campaign its old name (`name = \"…\"`), or send to the whole list again with `--run NAME`"
        }
        EnqueueError::Cancelled { .. } | EnqueueError::CancelledMeanwhile { .. } => {
            "a cancelled run cannot be resumed; `--run NAME --only-new` starts a new one without those who got it"
        }
        EnqueueError::Incomplete { .. } => {
            "finish it with the command that began it, or cancel its rest with `--replace`"
        }
        EnqueueError::Earlier { .. } => {
            "`mailq verify` says what is wrong; `--run NAME` alone sends to the whole list"
        }
        EnqueueError::TooOld { .. } => {
            "`keep` under `[events]` in mailq.toml keeps events longer; `--run NAME` alone sends to the whole list"
        }
        EnqueueError::DroppedMeanwhile { .. } => "run it again",
        EnqueueError::Busy { .. } => "wait for the other process, or stop it",
        EnqueueError::QueueAway { .. } => "run it again later; it continues where it stopped",
        EnqueueError::Partitions { .. } => "`--run NAME` starts a new run",
        EnqueueError::Ledger(_) => {
            "if a newer mailq has written it, install that version on this host"
        }
        EnqueueError::Thread(_) => MORE_PROCESSES,
        EnqueueError::Random => "check the random number generator of this host",
        // These have hints of their own.
        EnqueueError::Queue(_) | EnqueueError::Recipients(_) | EnqueueError::Template(_) => {
            return None;
        }
    })
}
