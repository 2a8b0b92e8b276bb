//! Where a new owner of a partition begins, on queues that forget commits: from the commit, from what the last owner
//! left behind at its end, from the start where there never was an owner, and otherwise not at all.

use super::progress::{Progress, TextError};
use crate::domain::ids::Offset;
use crate::domain::records::Checkpoint;

/// A commit as it is written: offset and text.
pub type Position = (Offset, String);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The commit is there.
    Committed(Position),
    /// The commit is gone, and this is what it was.
    Restored(Position),
    /// Nobody ever owned the partition.
    Fresh,
    /// There was a commit, and nobody knows what it said.
    Lost,
}

/// Before an owner claims anything its number is committed, and then a checkpoint under that number is durable; `clean`
/// it is only when nothing was committed after it. So of a partition without commit and checkpoint nothing was ever
/// claimed, and a commit older than the checkpoint is not believed.
/// Errors: a text that this version cannot read.
pub fn start(
    committed: Option<Position>,
    checkpoint: Option<&Checkpoint>,
) -> Result<Start, TextError> {
    let number = match &committed {
        Some((_, text)) => Progress::read(text)?.map(|progress| progress.number),
        None => None,
    };
    Ok(match (committed, checkpoint) {
        (Some(committed), None) => Start::Committed(committed),
        (None, None) => Start::Fresh,
        (Some(committed), Some(last)) if number.is_some_and(|number| number >= last.owner) => {
            Start::Committed(committed)
        }
        (_, Some(last)) if last.clean => Start::Restored((last.offset, last.text.clone())),
        (_, Some(_)) => Start::Lost,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::topic::INITIAL_COMMIT;

    fn string(number: u64) -> String {
        let owner = "w".to_string();
        Progress {
            owner,
            number,
            ..Progress::default()
        }
        .text()
    }

    fn checkpoint(owner: u64, clean: bool, text: String) -> Checkpoint {
        Checkpoint {
            at: "send/0".into(),
            owner,
            clean,
            offset: 7,
            text,
            claims: 64,
            by: "w".into(),
            written_at: String::new(),
        }
    }

    #[test]
    fn only_what_is_known_is_gone_on_from() {
        let committed = |text: &str| Some((5, text.to_string()));
        let going_on = |text: &str| Start::Committed((5, text.to_string()));
        let (three, four) = (string(3), string(4));
        let restored = Start::Restored((7, three.clone()));
        for (case, commit, last, start_here) in [
            ("new", None, None, Start::Fresh),
            (
                "initial",
                committed(INITIAL_COMMIT),
                None,
                going_on(INITIAL_COMMIT),
            ),
            ("at work", committed(&four), None, going_on(&four)),
            (
                "numbered",
                committed(&four),
                Some(checkpoint(4, false, four.clone())),
                going_on(&four),
            ),
            (
                "gained after a clean stop, no checkpoint yet",
                committed(&four),
                Some(checkpoint(3, true, three.clone())),
                going_on(&four),
            ),
            (
                "expired after a clean stop",
                None,
                Some(checkpoint(3, true, three.clone())),
                restored.clone(),
            ),
            (
                "reset without a text",
                committed(""),
                Some(checkpoint(3, true, three.clone())),
                restored.clone(),
            ),
            (
                "made new after it expired",
                committed(INITIAL_COMMIT),
                Some(checkpoint(3, true, three.clone())),
                restored,
            ),
            (
                "expired after a kill",
                None,
                Some(checkpoint(4, false, three.clone())),
                Start::Lost,
            ),
            (
                "made new after a kill",
                committed(INITIAL_COMMIT),
                Some(checkpoint(4, false, three.clone())),
                Start::Lost,
            ),
            (
                "an old commit came back",
                committed(&three),
                Some(checkpoint(5, false, four.clone())),
                Start::Lost,
            ),
        ] {
            assert_eq!(start(commit, last.as_ref()), Ok(start_here), "{case}");
        }
        assert!(start(committed("mq9;x"), None).is_err());
    }
}
