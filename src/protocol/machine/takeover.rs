//! Taking over: read the string, commit a new number, name what the last owner had claimed, commit, and only then
//! repeat its move and claim. Nothing is claimed and nothing leaves before that second commit.

use super::{Machine, Moment, Phase, Rules, Slot};
use crate::domain::ids::Offset;
use crate::domain::topic::TopicPartition;
use crate::protocol::ledger::Standing;
use crate::protocol::progress::{Progress, TextError};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a worker knows of a partition that it has just gained.
#[derive(Debug, Clone)]
pub struct Gain {
    pub at: TopicPartition,
    pub token: u64,
    /// This worker's name; it stands in the string.
    pub owner: String,
    /// The last commit, whoever made it: offset and text. `None`: the partition was never owned.
    pub committed: Option<(Offset, String)>,
    pub low: Offset,
}

impl Machine {
    /// Errors: a text that this version cannot read; the partition then stays as it is.
    pub fn gain(gain: Gain, rules: Rules) -> Result<Machine, TextError> {
        let (offset, mut progress) = match gain.committed {
            Some((offset, text)) => {
                let unowned = || Progress {
                    next: offset,
                    ..Progress::default()
                };
                (offset, Progress::read(&text)?.unwrap_or_else(unowned))
            }
            None => (
                gain.low,
                Progress {
                    next: gain.low,
                    ..Progress::default()
                },
            ),
        };
        progress.owner = gain.owner;
        progress.number += 1;
        Ok(Machine {
            at: gain.at,
            token: gain.token,
            rules,
            phase: Phase::Numbering,
            progress,
            offset,
            low: gain.low,
            acked: None,
            composed: None,
            chunks: BTreeMap::new(),
            staged: VecDeque::new(),
            reports: Vec::new(),
            telling: None,
            going: BTreeMap::new(),
            claiming: Vec::new(),
            handed: BTreeSet::new(),
            just_left: BTreeSet::new(),
            turn: 0,
        })
    }

    /// Claimed by the last owner, and neither done nor named by its move.
    pub(super) fn in_doubt(&self) -> Vec<Slot> {
        let open = self.progress.open.iter();
        open.flat_map(|(offset, chunk)| {
            chunk
                .outstanding()
                .iter()
                .map(|position| Slot {
                    offset: *offset,
                    position,
                })
                .collect::<Vec<_>>()
        })
        .collect()
    }

    /// A person decides where the campaign says so, and where a cancelled run sends nothing any more.
    pub(super) fn is_held_in_doubt(&self, slot: Slot, moment: &Moment) -> bool {
        let Some(chunk) = self.progress.open.get(&slot.offset) else {
            return false;
        };
        let hold = moment.ledger.run(chunk.run).is_some_and(|run| {
            run.manifest.in_doubt == crate::domain::records::InDoubtPolicy::Hold
        });
        hold || moment.ledger.standing(chunk.run, moment.now) == Standing::Cancelled
    }
}
