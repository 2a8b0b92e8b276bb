//! Where a new owner of a partition starts on a queue that forgets commits: from the commit, from the clean checkpoint
//! of the last owner, from the log's start if there never was an owner, and otherwise not at all.

use super::progress::Progress;
use super::text::TextError;
use crate::domain::ids::Offset;
use crate::domain::records::Checkpoint;

/// A commit: offset and text.
pub type Position = (Offset, String);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The commit is there.
    Committed(Position),
    /// The commit is lost, and the last owner's clean checkpoint says what it was.
    Restored(Position),
    /// The partition never had an owner.
    Fresh,
    /// There was a commit, and no checkpoint says what it was.
    Lost,
}

/// An owner commits its epoch, then makes a checkpoint under that epoch durable, and only then claims anything. A
/// checkpoint is `clean` only when nothing was committed after it. So nothing was ever claimed in a partition without
/// commit and checkpoint, and a commit of an older epoch than the checkpoint's is not the last one.
/// Errors: a text that this version cannot read.
pub fn start(
    committed: Option<Position>,
    checkpoint: Option<&Checkpoint>,
) -> Result<Start, TextError> {
    let epoch = match &committed {
        Some((_, text)) => Progress::epoch_of(text)?,
        None => None,
    };
    Ok(match (committed, checkpoint) {
        (Some(committed), None) => Start::Committed(committed),
        (None, None) => Start::Fresh,
        (Some(committed), Some(last)) if epoch.is_some_and(|epoch| epoch >= last.owner) => {
            Start::Committed(committed)
        }
        (_, Some(last)) if last.clean => Start::Restored((last.offset, last.text.clone())),
        (_, Some(_)) => Start::Lost,
    })
}

/// The start of a log that never had a record: nothing was claimed there, whatever an earlier log of that name had. Its
/// epochs and move numbers go on, because earlier ones may stand in events and moved chunks. Errors: a text that this
/// version cannot read.
pub fn start_of_empty_log(last: Option<&Checkpoint>) -> Result<Start, TextError> {
    let Some(last) = last else {
        return Ok(Start::Fresh);
    };
    let before = Progress::read(&last.text, &())?.unwrap_or_default();
    let moving = before.moving.as_ref().map_or(0, |decided| decided.number);
    let progress = Progress {
        owner: before.owner,
        epoch: last.owner,
        last_move: before.last_move.max(moving),
        ..Progress::default()
    };
    Ok(Start::Restored((0, progress.text())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::topic::INITIAL_COMMIT;

    fn string(epoch: u64) -> String {
        let owner = "w".to_string();
        Progress {
            owner,
            epoch,
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

    type Case = (&'static str, Option<Position>, Option<Checkpoint>);

    fn committed(text: &str) -> Option<Position> {
        Some((5, text.to_string()))
    }

    fn all_start(cases: impl IntoIterator<Item = Case>, here: &Start) {
        for (case, commit, last) in cases {
            assert_eq!(start(commit, last.as_ref()).as_ref(), Ok(here), "{case}");
        }
    }

    #[test]
    fn an_owner_continues_from_a_commit_that_is_there() {
        let (three, four) = (string(3), string(4));
        let clean = Some(checkpoint(3, true, three));
        let unclean = Some(checkpoint(4, false, four.clone()));
        let cases: [Case; 3] = [
            ("at work", committed(&four), None),
            ("no checkpoint yet", committed(&four), clean),
            ("with its checkpoint", committed(&four), unclean),
        ];
        all_start(cases, &Start::Committed((5, four)));
        let initial = Start::Committed((5, INITIAL_COMMIT.to_string()));
        all_start([("initial", committed(INITIAL_COMMIT), None)], &initial);
        all_start([("new", None, None)], &Start::Fresh);
        assert!(start(committed("mq9;x"), None).is_err());
    }

    #[test]
    fn a_log_that_never_had_a_record_starts_under_the_next_epoch() {
        assert_eq!(start_of_empty_log(None), Ok(Start::Fresh));
        let text = "mq1;o4,w;n57;l8;ssend/0:3";
        let Ok(Start::Restored((0, text))) =
            start_of_empty_log(Some(&checkpoint(4, false, text.into())))
        else {
            panic!("not from the log's start");
        };
        assert_eq!(text, "mq2;e4,w;n0;l8");
        assert!(start_of_empty_log(Some(&checkpoint(4, true, "mq9;x".into()))).is_err());
    }

    #[test]
    fn only_a_clean_checkpoint_replaces_a_lost_commit() {
        let (three, four) = (string(3), string(4));
        let clean = Some(checkpoint(3, true, three.clone()));
        let cases: [Case; 3] = [
            ("expired", None, clean.clone()),
            ("reset without a text", committed(""), clean.clone()),
            ("made new", committed(INITIAL_COMMIT), clean),
        ];
        all_start(cases, &Start::Restored((7, three.clone())));
        let unclean = Some(checkpoint(4, false, four.clone()));
        let cases: [Case; 3] = [
            ("expired", None, unclean.clone()),
            ("made new", committed(INITIAL_COMMIT), unclean),
            (
                "an old one came back",
                committed(&three),
                Some(checkpoint(5, false, four)),
            ),
        ];
        all_start(cases, &Start::Lost);
    }
}
