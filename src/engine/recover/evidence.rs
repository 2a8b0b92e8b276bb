//! What the logs of one partition index say of each message: how it ended, whether it moved on, which numbers were used.

use super::stay::{Stay, StayEnd, ends_in, farthest, replay, stay_end};
use crate::domain::counters::Final;
use crate::domain::event::EventType;
use crate::domain::ids::{Partition, Row, RunKey};
use crate::domain::outcome::Reason;
use crate::domain::topic::{Topic, TopicPartition};
use crate::engine::read_model::chunks::decode;
use crate::engine::read_model::collect::collect_named;
use crate::engine::read_model::event::{EventRecord, read_events};
use crate::engine::read_model::fact::{Detail, EventFact, Fact, MAX_ROWS, RecipientKey};
use crate::engine::read_model::facts::{Facts, Subject};
use crate::engine::read_model::history::History;
use crate::engine::read_model::history_file::HistoryFile;
use crate::engine::read_model::letters::KeptLetter;
use crate::engine::read_model::scan::scan;
use crate::engine::read_model::view::progress;
use crate::engine::read_model::{AccountError, View};
use crate::queue::{Queue, Stored};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::path::Path;

pub struct Evidence {
    runs: Vec<RunKey>,
    indexes: HashMap<RunKey, usize>,
    /// A lookup loads a part of the file.
    histories: RefCell<HistoryFile>,
    numbers: Numbers,
    /// Records that cannot be read, a line each.
    pub unreadable: Vec<String>,
}

/// The highest numbers that are known of each partition.
#[derive(Debug, Default)]
struct Numbers {
    moves: BTreeMap<TopicPartition, u64>,
    epochs: BTreeMap<TopicPartition, u64>,
}

impl Numbers {
    fn saw_move(&mut self, source: TopicPartition, number: u64) {
        let highest = self.moves.entry(source).or_default();
        *highest = number.max(*highest);
    }

    fn saw_epoch(&mut self, at: TopicPartition, epoch: u64) {
        let highest = self.epochs.entry(at).or_default();
        *highest = epoch.max(*highest);
    }
}

impl Evidence {
    /// Reads the events, letters and tiers of one partition index. `folder`: for temporary files.
    pub async fn read(
        queue: &dyn Queue,
        view: &View,
        partition: Partition,
        folder: &Path,
    ) -> Result<Evidence, AccountError> {
        let runs: Vec<RunKey> = view.ledger.runs().map(|run| run.manifest.key).collect();
        let mut reading = Reading {
            queue,
            view,
            facts: Facts::new(runs.iter().map(|run| subject(*run)).collect(), folder),
            numbers: Numbers::default(),
        };
        collect_named(&mut reading.facts, &view.ledger)?;
        reading.events(partition).await?;
        for topic in queue.topics().await? {
            let at = TopicPartition::new(topic, partition);
            match topic {
                Topic::Dlq => reading.log(at, Reading::letter).await?,
                Topic::Retry(_) => reading.log(at, Reading::copies).await?,
                _ => {}
            }
        }
        reading.seen()?;
        let (histories, findings) = reading.facts.finish()?;
        Ok(Evidence {
            indexes: runs.iter().copied().zip(0..).collect(),
            runs,
            histories: RefCell::new(histories.into_file()?),
            numbers: reading.numbers,
            unreadable: findings.into_lines(),
        })
    }

    /// The key of a recipient of a known run.
    pub fn key(&self, run: RunKey, row: Row) -> Option<RecipientKey> {
        let index = self.indexes.get(&run)?;
        Some(RecipientKey::new(*index, row))
    }

    /// What became of a recipient's message at one place; `None`: nothing tells.
    pub fn of(&self, key: RecipientKey, stay: Stay) -> Result<Option<StayEnd>, AccountError> {
        let mut histories = self.histories.borrow_mut();
        Ok(stay_end(histories.get(key)?, stay))
    }

    /// The highest move number that was ever given out in a partition, as far as anything shows.
    pub fn last_move(&self, at: TopicPartition) -> u64 {
        self.numbers.moves.get(&at).copied().unwrap_or_default()
    }

    /// The highest owner epoch under which any event of a partition was written.
    pub fn last_epoch(&self, at: TopicPartition) -> u64 {
        self.numbers.epochs.get(&at).copied().unwrap_or_default()
    }

    /// Shows what left a partition, by run and row. Of tiers it is not known what went on to another one; in the counts
    /// that cancels out.
    pub fn each_left(
        &self,
        at: TopicPartition,
        out: &mut dyn FnMut(LeftPartition) -> Result<(), AccountError>,
    ) -> Result<(), AccountError> {
        let partition = at.to_string();
        let mut histories = self.histories.borrow_mut();
        histories.each(&mut |history: &History| {
            let Some(origin) = self.runs.get(history.key.run()) else {
                return Ok(());
            };
            let left = |stay: Stay, end: Option<Final>| LeftPartition {
                recipient: history.key,
                run: replay(history, stay.round).unwrap_or(*origin),
                stay,
                end,
            };
            for (stay, end) in ends_in(history, &partition) {
                out(left(stay, Some(end)))?;
            }
            match farthest(history).filter(|stay| at.topic == Topic::Send && stay.hop > 0) {
                Some(Stay { round, .. }) => out(left(Stay { round, hop: 0 }, None)),
                None => Ok(()),
            }
        })
    }
}

/// A message that is not in a partition any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftPartition {
    pub recipient: RecipientKey,
    /// The run whose chunks it came in: that of its row, or a replay.
    pub run: RunKey,
    pub stay: Stay,
    /// `None`: it went to a tier.
    pub end: Option<Final>,
}

/// Rows are not limited here: what is read is only looked up.
fn subject(key: RunKey) -> Subject {
    Subject {
        key,
        name: key.to_string(),
        rows: MAX_ROWS,
        is_cancelled: false,
    }
}

struct Reading<'a> {
    queue: &'a dyn Queue,
    view: &'a View,
    facts: Facts,
    numbers: Numbers,
}

impl Reading<'_> {
    async fn events(&mut self, partition: Partition) -> Result<(), AccountError> {
        let Reading { facts, numbers, .. } = self;
        let partitions = partition..partition + 1;
        read_events(
            self.queue,
            partitions,
            &mut |_, _| (),
            &mut |_, _, event| {
                let told = event.and_then(|event| {
                    numbers.saw_epoch(event.partition.parse()?, event.rank.epoch);
                    Ok(event)
                });
                match told {
                    Ok(event) => facts.add(event.run, event.row, &fact(&event)),
                    Err(what) => {
                        facts.findings.add(what);
                        ControlFlow::Continue(())
                    }
                }
            },
        )
        .await?;
        self.facts.check()
    }

    /// Adds what each record of a log says; a record that cannot be read is a finding.
    async fn log(
        &mut self,
        at: TopicPartition,
        add: fn(&mut Self, TopicPartition, &Stored) -> Result<ControlFlow<()>, String>,
    ) -> Result<(), AccountError> {
        let queue = self.queue;
        let bounds = queue.bounds(at).await?;
        scan(
            queue,
            at,
            bounds.low_watermark,
            bounds.end,
            &mut |stored| match add(self, at, &stored) {
                Ok(flow) => flow,
                Err(what) => {
                    self.facts.findings.add(what);
                    ControlFlow::Continue(())
                }
            },
        )
        .await?;
        self.facts.check()
    }

    /// Every letter that ever came, tombstones or not: it shows that a death was carried out.
    fn letter(&mut self, at: TopicPartition, stored: &Stored) -> Result<ControlFlow<()>, String> {
        if stored.record.payload.is_none() {
            return Ok(ControlFlow::Continue(()));
        }
        let letter = KeptLetter::read(at, stored)?;
        self.numbers.saw_move(letter.from.0, letter.number);
        let fact = Fact::Letter {
            round: letter.round,
            in_doubt: letter.in_doubt,
        };
        let run = self.view.ledger.counts_for(letter.run);
        Ok(self.facts.add(run, letter.row, &fact))
    }

    fn copies(&mut self, at: TopicPartition, stored: &Stored) -> Result<ControlFlow<()>, String> {
        let chunk = decode(at, stored)?;
        if let Some((source, number)) = chunk.head.moved_from {
            self.numbers.saw_move(source, number);
        }
        let run = self.view.ledger.counts_for(chunk.head.key);
        Ok(chunk.messages.iter().try_for_each(|message| {
            let (round, hop) = (message.line.round, message.line.hop);
            let fact = Fact::Copied { round, hop };
            self.facts.add(run, message.line.row, &fact)
        }))
    }

    /// Copies that are gone from a tier have left their number with those who read them.
    fn seen(&mut self) -> Result<(), AccountError> {
        let checkpoints = self.view.ledger.checkpoints();
        let texts: Result<Vec<_>, _> = checkpoints
            .map(|(at, checkpoint)| progress(at, &checkpoint.text, &()))
            .collect();
        let strings = self.view.strings.at.values().cloned();
        for progress in texts?.into_iter().chain(strings).flatten() {
            for (source, number) in progress.seen {
                self.numbers.saw_move(source, number);
            }
        }
        Ok(())
    }
}

fn fact<'e>(event: &'e EventRecord<'_>) -> Fact<'e> {
    Fact::Event(EventFact {
        rank: event.rank,
        kind: event.kind,
        is_final: event.is_final,
        is_earlier: false,
        is_worker_lost: event.kind == EventType::InDoubt
            && event.reason == Some(Reason::WorkerLost),
        detail: Detail::Partition(&event.partition),
    })
}
