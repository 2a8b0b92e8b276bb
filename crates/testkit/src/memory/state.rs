//! What all processes share, and what is in flight to it. Nothing runs by itself: each look at the state first does what
//! was due until now, in order (`settle`), so the records of killed and stopped processes land too.

use super::assignments::Assignments;
use super::clock::VirtualClock;
use super::faults::Random;
use super::history::WrittenCommit;
use super::log::PartitionLog;
use super::members::ProcessId;
use super::sending::Answers;
use mailq::domain::ids::{Offset, Partition};
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::queue::slots::Bucket;
use mailq::queue::{Commit, CommitOutcome, Committed, QueueError, Record, Token};
use std::collections::BTreeMap;
use std::time::Duration;

/// A member that keeps a partition for longer than this after it was asked to release it loses it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What happens at an instant that was drawn before.
#[derive(Debug)]
pub(super) enum Scheduled {
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
    Revoke {
        at: TopicPartition,
        token: Token,
    },
}

#[derive(Debug)]
pub(super) struct State {
    pub partitions: Partition,
    pub random: Random,
    pub logs: BTreeMap<TopicPartition, PartitionLog>,
    pub commits: BTreeMap<TopicPartition, Committed>,
    pub do_commits_expire: bool,
    pub written: Vec<WrittenCommit>,
    pub assignments: Assignments,
    /// By the instant when each is due, then in the order of sending.
    in_flight: BTreeMap<(Duration, u64), Scheduled>,
    last_scheduled: u64,
    /// When the last record that a process sent to a partition lands; the next one lands no earlier.
    pub last_landing: BTreeMap<(ProcessId, TopicPartition), Duration>,
    /// Token buckets by name. `None`: there are none that processes share.
    pub buckets: Option<BTreeMap<String, Bucket>>,
    last_tick: Duration,
}

impl State {
    pub fn new(partitions: Partition, random: Random, lease: Duration) -> State {
        State {
            partitions,
            random,
            logs: BTreeMap::new(),
            commits: BTreeMap::new(),
            do_commits_expire: false,
            written: Vec::new(),
            assignments: Assignments::new(lease),
            in_flight: BTreeMap::new(),
            last_scheduled: 0,
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
                self.assignments.add(at);
            }
        }
    }

    pub fn log(&self, at: TopicPartition) -> Result<&PartitionLog, QueueError> {
        self.logs.get(&at).ok_or(QueueError::NoTopic(at.topic))
    }

    pub fn is_anything_in_flight(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// Does everything that was due until now.
    pub fn settle(&mut self, now: Duration) {
        while let Some(entry) = self.in_flight.first_entry() {
            let (due_at, _) = *entry.key();
            if due_at > now {
                break;
            }
            let step = entry.remove();
            self.assignments.expire_until(due_at, &mut self.random);
            self.carry_out(due_at, step);
        }
        self.assignments.expire_until(now, &mut self.random);
        let fairly = self.random.faults.rebalances_per_second == 0.0;
        self.assignments.assign_free(now, fairly, &mut self.random);
        if fairly {
            self.assignments.balance(now, &mut self.random);
        }
    }

    fn carry_out(&mut self, now: Duration, step: Scheduled) {
        match step {
            Scheduled::Land {
                process,
                at,
                record,
                answer,
            } => self.land(now, process, at, record, answer),
            Scheduled::Commit {
                commit,
                sent_at,
                answer,
            } => self.write_commit((sent_at, now), commit, answer),
            Scheduled::Revoke { at, token } => {
                self.assignments.revoke(at, token, now, &mut self.random)
            }
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
        let is_dead = self.assignments.members.is_dead(process);
        if is_dead && self.random.chance(self.random.faults.lost_after_kill) {
            // Records of a process land in order, so those behind this one in the same partition are lost with it.
            self.in_flight.retain(|_, step| {
                !matches!(step, Scheduled::Land { process: p, at: a, .. } if (*p, *a) == (process, at))
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
        let outcome = if let Some(process) = self.assignments.owner(commit.at, commit.token) {
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

    pub fn schedule(&mut self, due_at: Duration, step: Scheduled) {
        self.last_scheduled += 1;
        self.in_flight.insert((due_at, self.last_scheduled), step);
    }

    /// Faults that nobody's request causes, for the time since the last tick.
    pub fn tick(&mut self, now: Duration) {
        let seconds = now.saturating_sub(self.last_tick).as_secs_f64();
        self.last_tick = now;
        if self
            .random
            .chance(self.random.faults.rebalances_per_second * seconds)
        {
            self.move_any(now);
        }
        if self
            .random
            .chance(self.random.faults.compactions_per_second * seconds)
        {
            self.compact_any();
        }
    }

    pub fn move_any(&mut self, now: Duration) {
        if let Some((at, token)) = self.assignments.move_any(now, &mut self.random) {
            self.schedule(now + PATIENCE, Scheduled::Revoke { at, token });
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
        let chosen = self.random.pick(&compacted);
        if let Some(log) = chosen.and_then(|at| self.logs.get_mut(&at)) {
            log.compact(self.random.number(log.bounds().end));
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
