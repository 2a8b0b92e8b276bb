//! Taking over, in this order: read the commit, commit a new epoch, append in-doubt events for the claims of the last
//! owner, commit again, and only then repeat its move and claim. The epoch comes first, so that two owners never append
//! events under one epoch. Nothing is claimed and no entry leaves before the second commit.

use super::backlog::Backlog;
use super::bases::OwnBases;
use super::check::check_progress;
use super::{CycleView, Machine, MessageRef, OpenMessage, Phase, Rules};
use crate::domain::ids::Offset;
use crate::domain::site::Sites;
use crate::domain::topic::TopicPartition;
use crate::protocol::invariant::Broken;
use crate::protocol::ledger::RunState;
use crate::protocol::progress::{BaseId, Progress};
use crate::protocol::text::{self, Bases, TextError};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

/// What a worker knows of a partition that it has just gained.
#[derive(Debug, Clone)]
pub struct Gain {
    pub at: TopicPartition,
    pub token: u64,
    /// This worker's name, for the commit.
    pub owner: String,
    /// The last commit, whoever made it: offset and text. `None`: the partition was never owned.
    pub committed: Option<(Offset, String)>,
    pub low: Offset,
    /// Every base of the partition that is not deleted.
    pub bases: Vec<BaseId>,
    /// Which domains are one site.
    pub sites: Rc<Sites>,
}

/// Why a partition cannot be taken over. Nothing has been committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GainError {
    /// This version cannot read the commit.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The parts of the commit do not agree.
    #[error(transparent)]
    Broken(#[from] Broken),
}

impl GainError {
    /// The campaign topic has no base of the name that the commit refers to.
    pub fn is_missing_base(&self) -> bool {
        matches!(self, GainError::Text(TextError::NoBase(_)))
    }
}

impl Machine {
    /// `bases`: of a ledger that was read after `gain.committed`.
    pub fn gain(gain: Gain, bases: &dyn Bases, rules: Rules) -> Result<Machine, GainError> {
        let mut base = None;
        let (offset, mut progress) = match gain.committed {
            Some((offset, text)) => {
                let unowned = || Progress {
                    next: offset,
                    ..Progress::default()
                };
                let id = text::base_of(&text);
                base = id.and_then(|id| Some((id, bases.base(id)?)));
                let progress = Progress::read(&text, bases)?;
                (offset, progress.unwrap_or_else(unowned))
            }
            None => (
                gain.low,
                Progress {
                    next: gain.low,
                    ..Progress::default()
                },
            ),
        };
        check_progress(gain.at, &progress)?;
        progress.owner = gain.owner;
        progress.epoch += 1;
        Ok(Machine {
            at: gain.at,
            token: gain.token,
            rules,
            sites: gain.sites,
            phase: Phase::Fencing,
            progress,
            offset,
            low: gain.low,
            acked: None,
            composed: None,
            bases: OwnBases::new(base, gain.bases),
            chunks: BTreeMap::new(),
            backlog: Backlog::default(),
            staged: VecDeque::new(),
            answered: Vec::new(),
            unused: Vec::new(),
            awaits_base: false,
            is_full: false,
            awaits_effects: false,
            waiting: BTreeMap::new(),
            claiming: Vec::new(),
            in_flight: BTreeMap::new(),
            just_left: BTreeSet::new(),
            turn: 0,
            last_limited: None,
        })
    }

    /// Messages that the last owner had claimed, and that are neither done nor part of its move.
    pub(super) fn in_doubt(&self) -> Vec<OpenMessage> {
        let mut found = Vec::new();
        for (offset, open, opened) in self.opened() {
            for (position, message) in opened.messages(&open.outstanding()) {
                let reference = MessageRef { offset, position };
                found.push(self.open_message(reference, open.run, opened, message));
            }
        }
        found
    }

    /// Whether a person decides: the campaign says so, or the run is cancelled and sends nothing more.
    pub(super) fn is_held_in_doubt(&self, message: &OpenMessage, view: &CycleView) -> bool {
        let hold = view.ledger.run(message.run).is_some_and(|run| {
            run.manifest.in_doubt == crate::domain::records::InDoubtPolicy::Hold
        });
        hold || view.ledger.run_state(message.run, view.now) == RunState::Cancelled
    }
}
