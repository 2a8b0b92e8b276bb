//! What the logs of one partition index say of each message: how it ended, whether it moved on, which numbers were used.

use crate::domain::counters::Final;
use crate::domain::event::{Event, EventType};
use crate::domain::ids::{Partition, Row, RunKey};
use crate::domain::outcome::Reason;
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::read_model::letter;
use crate::engine::read_model::naming::{By, namings};
use crate::engine::read_model::scan::scan;
use crate::engine::read_model::{AccountError, View};
use crate::queue::{Queue, chunk};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;

/// A message in one place: the run that it counts for, its row, its round and how often it has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stay {
    pub run: RunKey,
    pub row: Row,
    pub round: u32,
    pub hop: u32,
}

/// What became of a stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    Ended(Final),
    Moved,
    /// The relay has answered, and what was decided then is not durable: it is tried again.
    Answered,
}

#[derive(Debug, Default)]
pub struct Evidence {
    /// Final events, of each stay that with the highest owner number.
    ended: HashMap<Stay, (u64, Final, TopicPartition)>,
    answered: HashSet<Stay>,
    /// The farthest (round, hop) at which anything of a row was found.
    reached: HashMap<(RunKey, Row), (u32, u32)>,
    /// Letters that are there, or were and have been sent again or purged: whether they are in doubt.
    letters: HashMap<(RunKey, Row, u32), bool>,
    /// Rows and rounds that a replay sends.
    replays: HashMap<(RunKey, Row, u32), RunKey>,
    numbers: BTreeMap<TopicPartition, u64>,
    owners: BTreeMap<TopicPartition, u64>,
}

impl Evidence {
    /// Reads the events, letters and tiers of one partition index.
    pub async fn read(
        queue: &dyn Queue,
        view: &View,
        partition: Partition,
    ) -> Result<Evidence, AccountError> {
        let mut evidence = Evidence::default();
        for naming in namings(&view.ledger)?
            .iter()
            .filter(|naming| naming.is_void())
        {
            for letter in &naming.letters {
                let key = (naming.origin, letter.row, letter.round);
                evidence.letters.insert(key, letter.in_doubt);
                if let By::Replay { run, .. } = naming.by {
                    let key = (naming.origin, letter.row, letter.round + 1);
                    evidence.replays.insert(key, run);
                }
            }
        }
        for topic in queue.topics().await? {
            let at = TopicPartition::new(topic, partition);
            match topic {
                Topic::Event => evidence.events(queue, at).await?,
                Topic::Dlq => evidence.letters(queue, view, at).await?,
                Topic::Retry(_) => evidence.copies(queue, view, at).await?,
                _ => {}
            }
        }
        evidence.seen(view);
        Ok(evidence)
    }

    async fn events(&mut self, queue: &dyn Queue, at: TopicPartition) -> Result<(), AccountError> {
        let bounds = queue.bounds(at).await?;
        scan(queue, at, bounds.low, bounds.end, &mut |stored| {
            let payload = stored.record.payload.as_deref().unwrap_or_default();
            match serde_json::from_slice::<Event>(payload) {
                Ok(event) => self.event(&event),
                Err(error) => tracing::warn!(%at, offset = stored.offset, %error, "no event"),
            }
            ControlFlow::Continue(())
        })
        .await?;
        Ok(())
    }

    fn event(&mut self, event: &Event) {
        let Ok(at) = event.metadata.partition.parse::<TopicPartition>() else {
            return;
        };
        let (round, hop, owner) = event.rank();
        let stay = Stay {
            run: event.payload.key,
            row: event.payload.row,
            round,
            hop,
        };
        let highest = self.owners.entry(at).or_default();
        *highest = owner.max(*highest);
        self.reach(&stay);
        let kind = event.header.event_type;
        match kind.end() {
            Some(end) if event.payload.is_final => {
                let known = self.ended.get(&stay);
                if known.is_none_or(|(before, ..)| owner >= *before) {
                    self.ended.insert(stay, (owner, end, at));
                }
            }
            // Named in doubt by an heir, who then may have claimed it himself.
            _ if kind == EventType::InDoubt && event.payload.reason == Some(Reason::WorkerLost) => {
            }
            _ => {
                self.answered.insert(stay);
            }
        }
    }

    fn reach(&mut self, stay: &Stay) {
        let farthest = self.reached.entry((stay.run, stay.row)).or_default();
        *farthest = (stay.round, stay.hop).max(*farthest);
    }

    async fn letters(
        &mut self,
        queue: &dyn Queue,
        view: &View,
        at: TopicPartition,
    ) -> Result<(), AccountError> {
        let bounds = queue.bounds(at).await?;
        scan(queue, at, bounds.low, bounds.end, &mut |stored| {
            let key = stored.record.key.as_deref().unwrap_or_default();
            if let (Some((_, round)), Ok(letter), Ok(head)) = (
                letter::place(key),
                letter::letter(&stored),
                chunk::head(&stored.record),
            ) {
                let run = view.ledger.counts_for(letter.key);
                let key = (run, head.first_row, round);
                self.letters.insert(key, letter.in_doubt);
                self.number(letter.from.0, letter.number);
            }
            ControlFlow::Continue(())
        })
        .await?;
        Ok(())
    }

    async fn copies(
        &mut self,
        queue: &dyn Queue,
        view: &View,
        at: TopicPartition,
    ) -> Result<(), AccountError> {
        let bounds = queue.bounds(at).await?;
        scan(queue, at, bounds.low, bounds.end, &mut |stored| {
            let Ok(chunk) = chunk::decode(&stored.record) else {
                return ControlFlow::Continue(());
            };
            if let Some((source, number)) = chunk.head.moved_from {
                self.number(source, number);
            }
            let run = view.ledger.counts_for(chunk.head.key);
            for message in &chunk.messages {
                self.reach(&Stay::of(run, &message.line));
            }
            ControlFlow::Continue(())
        })
        .await?;
        Ok(())
    }

    fn number(&mut self, source: TopicPartition, number: u64) {
        let highest = self.numbers.entry(source).or_default();
        *highest = number.max(*highest);
    }

    /// Copies that are gone from a tier have left their number with who read them.
    fn seen(&mut self, view: &View) {
        let texts = view.ledger.checkpoints().filter_map(|(_, checkpoint)| {
            crate::protocol::Progress::read(&checkpoint.text).ok()?
        });
        let strings = view.strings.at.values().flatten().cloned();
        for progress in texts.chain(strings) {
            for (source, number) in progress.seen {
                self.number(source, number);
            }
        }
    }

    pub fn of(&self, stay: &Stay) -> Option<Known> {
        let letter = self.letters.get(&(stay.run, stay.row, stay.round));
        let ended = self.ended.get(stay).map(|(_, end, _)| *end);
        let is_death = matches!(ended, Some(Final::Dead | Final::InDoubt));
        let farthest = self.reached.get(&(stay.run, stay.row));
        match (ended, letter) {
            (_, Some(true)) if is_death => Some(Known::Ended(Final::InDoubt)),
            (_, Some(false)) if is_death => Some(Known::Ended(Final::Dead)),
            _ if farthest.is_some_and(|far| *far > (stay.round, stay.hop)) => Some(Known::Moved),
            // Without its letter a death is only decided.
            (Some(_), None) if is_death => Some(Known::Answered),
            (Some(end), _) => Some(Known::Ended(end)),
            (None, _) => self.answered.contains(stay).then_some(Known::Answered),
        }
    }

    /// The run whose chunks the message came in: that of its row, or a replay.
    pub fn run_of(&self, stay: &Stay) -> RunKey {
        let replay = self.replays.get(&(stay.run, stay.row, stay.round));
        replay.copied().unwrap_or(stay.run)
    }

    /// The highest move number that was ever given out in a partition, as far as anything shows.
    pub fn last_number(&self, at: TopicPartition) -> u64 {
        self.numbers.get(&at).copied().unwrap_or_default()
    }

    /// The highest owner number under which anything was told of a partition.
    pub fn last_owner(&self, at: TopicPartition) -> u64 {
        self.owners.get(&at).copied().unwrap_or_default()
    }

    /// What has left a partition of send for a tier; of tiers that is not known, and cancels out in the counts.
    pub fn moved(&self, at: TopicPartition) -> impl Iterator<Item = Stay> {
        let reached = self.reached.iter().filter(move |_| at.topic == Topic::Send);
        reached
            .filter(|(_, (_, hop))| *hop > 0)
            .map(|((run, row), (round, _))| Stay {
                run: *run,
                row: *row,
                round: *round,
                hop: 0,
            })
    }

    /// What ended in a partition, each message once: one that has moved on, and of which an earlier owner heard late,
    /// ended elsewhere.
    pub fn ends(&self, at: TopicPartition) -> impl Iterator<Item = (Stay, Final)> {
        let told = self.ended.iter();
        let told = told.filter(move |(_, (_, _, told_at))| *told_at == at);
        told.filter_map(|(stay, _)| match self.of(stay) {
            Some(Known::Ended(end)) => Some((*stay, end)),
            _ => None,
        })
    }
}

impl Stay {
    pub fn of(run: RunKey, line: &crate::domain::chunk::MessageLine) -> Stay {
        Stay {
            run,
            row: line.row,
            round: line.round,
            hop: line.hop,
        }
    }
}
