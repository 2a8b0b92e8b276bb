//! What all processes share, and what is still under way to it. Nothing runs by itself: whoever looks at the state
//! first lets happen what was due until now, in order (`settle`), so a dead or stopped process's records land too.

use super::clock::VirtualClock;
use super::history::WrittenCommit;
use super::log::PartitionLog;
use super::members::ProcessId;
use super::seats::Seats;
use super::sending::Answers;
use super::faults::Dice;
use mailq::domain::ids::{Offset, Partition};
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::queue::slots::Bucket;
use mailq::queue::{Commit, CommitOutcome, Committed, QueueError, Record, Token};
use std::collections::BTreeMap;
use std::time::Duration;

/// Who was asked for a partition and keeps it longer than this loses it.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) enum Step {
    Land {
        process: ProcessId,
        at: TopicPartition,
        record: Record,
        answer: Option<(usize, Answers<Offset>)>,
    },
    Commit {
        commit: Commit,
        sent_at: Duration,
        answer: Option<(usize, Answers<CommitOutcome>)>,
    },
    Take {
        at: TopicPartition,
        token: Token,
    },
}

#[derive(Debug)]
pub(super) struct State {
    pub partitions: Partition,
    pub dice: Dice,
    pub logs: BTreeMap<TopicPartition, PartitionLog>,
    pub commits: BTreeMap<TopicPartition, Committed>,
    pub do_commits_expire: bool,
    pub written: Vec<WrittenCommit>,
    pub seats: Seats,
    /// By the time when each is due, then in the order of sending.
    under_way: BTreeMap<(Duration, u64), Step>,
    last_step: u64,
    /// When the last record that a process sent to a partition lands: the next lands no earlier.
    pub last_landing: BTreeMap<(ProcessId, TopicPartition), Duration>,
    /// By name; `None`: there are none for all processes.
    pub buckets: Option<BTreeMap<String, Bucket>>,
    last_tick: Duration,
}

impl State {
    pub fn new(partitions: Partition, dice: Dice, lease: Duration) -> State {
        State {
            partitions,
            dice,
            logs: BTreeMap::new(),
            commits: BTreeMap::new(),
            do_commits_expire: false,
            written: Vec::new(),
            seats: Seats::new(lease),
            under_way: BTreeMap::new(),
            last_step: 0,
            last_landing: BTreeMap::new(),
            buckets: Some(BTreeMap::new()),
            last_tick: Duration::ZERO,
        }
    }

    pub fn create(&mut self, topic: Topic) {
        let count = match topic {
            Topic::Campaign | Topic::Suppression => 1,
            _ => self.partitions,
        };
        for at in (0..count).map(|partition| TopicPartition::new(topic, partition)) {
            self.logs.entry(at).or_default();
            if topic.is_owned() {
                self.seats.add(at);
            }
        }
    }

    pub fn log(&self, at: TopicPartition) -> Result<&PartitionLog, QueueError> {
        self.logs.get(&at).ok_or(QueueError::NoTopic(at.topic))
    }

    pub fn is_anything_under_way(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Lets everything happen that was due until now.
    pub fn settle(&mut self, now: Duration) {
        while let Some(entry) = self.under_way.first_entry() {
            let (due_at, _) = *entry.key();
            if due_at > now {
                break;
            }
            let step = entry.remove();
            self.seats.expire_until(due_at, &mut self.dice);
            self.carry_out(due_at, step);
        }
        self.seats.expire_until(now, &mut self.dice);
        let fairly = self.dice.faults.moves_per_second == 0.0;
        self.seats.give_vacant(now, fairly, &mut self.dice);
        if fairly {
            self.seats.ask_for_fair_shares(now, &mut self.dice);
        }
    }

    fn carry_out(&mut self, now: Duration, step: Step) {
        match step {
            Step::Land {
                process,
                at,
                record,
                answer,
            } => self.land(now, process, at, record, answer),
            Step::Commit {
                commit,
                sent_at,
                answer,
            } => self.write_commit((sent_at, now), commit, answer),
            Step::Take { at, token } => self.seats.take(at, token, now, &mut self.dice),
        }
    }

    fn land(
        &mut self,
        now: Duration,
        process: ProcessId,
        at: TopicPartition,
        record: Record,
        answer: Option<(usize, Answers<Offset>)>,
    ) {
        let is_dead = self.seats.members.is_dead(process);
        if is_dead && self.dice.chance(self.dice.faults.never_from_the_dead) {
            // In order, so what it sent after this one to the same partition is lost with it.
            self.under_way.retain(|_, step| {
                !matches!(step, Step::Land { process: p, at: a, .. } if (*p, *a) == (process, at))
            });
        } else if let Some(log) = self.logs.get_mut(&at) {
            let offset = log.land(VirtualClock::wall(now), record);
            if let Some((index, answers)) = answer {
                answers.borrow_mut().insert(index, offset);
            }
        }
    }

    fn write_commit(
        &mut self,
        (sent_at, written_at): (Duration, Duration),
        commit: Commit,
        answer: Option<(usize, Answers<CommitOutcome>)>,
    ) {
        let outcome = if let Some(process) = self.seats.owner(commit.at, commit.token) {
            self.written.push(WrittenCommit {
                process,
                at: commit.at,
                token: commit.token,
                sent_at,
                written_at,
                offset: commit.offset,
                text: commit.text.clone(),
            });
            let committed = Committed {
                offset: commit.offset,
                text: commit.text,
            };
            self.commits.insert(commit.at, committed);
            CommitOutcome::Done
        } else {
            CommitOutcome::Refused
        };
        if let Some((index, answers)) = answer {
            answers.borrow_mut().insert(index, outcome);
        }
    }

    pub fn schedule(&mut self, due_at: Duration, step: Step) {
        self.last_step += 1;
        self.under_way.insert((due_at, self.last_step), step);
    }

    /// Faults that nobody's request causes, for the time since the last tick.
    pub fn tick(&mut self, now: Duration) {
        let seconds = now.saturating_sub(self.last_tick).as_secs_f64();
        self.last_tick = now;
        if self
            .dice
            .chance(self.dice.faults.moves_per_second * seconds)
        {
            self.move_any(now);
        }
        if self
            .dice
            .chance(self.dice.faults.compactions_per_second * seconds)
        {
            self.compact_any();
        }
    }

    pub fn move_any(&mut self, now: Duration) {
        if let Some((at, token)) = self.seats.move_any(now, &mut self.dice) {
            self.schedule(now + PATIENCE, Step::Take { at, token });
        }
    }

    /// Compacts a random prefix of a random partition.
    pub fn compact_any(&mut self) {
        let compacted: Vec<TopicPartition> = self
            .logs
            .keys()
            .filter(|at| at.topic.is_compacted())
            .copied()
            .collect();
        let chosen = self.dice.pick(&compacted);
        if let Some(log) = chosen.and_then(|at| self.logs.get_mut(&at)) {
            log.compact(self.dice.number(log.bounds().end));
        }
    }

    pub fn compact_all(&mut self) {
        for (at, log) in &mut self.logs {
            if at.topic.is_compacted() {
                log.compact(log.bounds().end);
            }
        }
    }
}
