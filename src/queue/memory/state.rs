//! What all processes share, and what is still under way to it. Nothing runs by itself: whoever looks at the state
//! first lets happen what was due until now, in order (`settle`), so a dead or stopped process's records land too.

use super::clock::VirtualClock;
use super::log::{PartitionLog, size_bytes};
use super::members::ProcessId;
use super::seats::Seats;
use super::unkind::{Dice, Fate};
use crate::domain::ids::{Offset, Partition};
use crate::domain::topic::{Topic, TopicPartition};
use crate::queue::{
    Commit, CommitOutcome, Committed, MAX_COMMIT_TEXT, QueueError, Record, SlotRequest, Slots,
    Token,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// What Kafka takes in one record by default.
const MAX_RECORD_BYTES: usize = 1_048_588;
/// After a commit of unknown result the partition is taken away, at the latest this much later.
const FENCE: Duration = Duration::from_secs(5);
/// Who was asked for a partition and keeps it longer than this loses it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers to one request's items, filled in as they are carried out.
type Answers<T> = Rc<RefCell<BTreeMap<usize, T>>>;

/// A request that was sent: when its caller learns how it ended, and how.
#[derive(Debug)]
pub(super) struct Sent<T> {
    pub answered_at: Duration,
    pub answers: Answers<T>,
}

#[derive(Debug)]
enum Step {
    Land {
        process: ProcessId,
        at: TopicPartition,
        record: Record,
        answer: Option<(usize, Answers<Offset>)>,
    },
    Commit {
        commit: Commit,
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
    pub seats: Seats,
    /// By the time when each is due, then in the order of sending.
    under_way: BTreeMap<(Duration, u64), Step>,
    last_step: u64,
    /// When the last record that a process sent to a partition lands: the next lands no earlier.
    last_landing: BTreeMap<(ProcessId, TopicPartition), Duration>,
    /// When each bucket's next slot is due in full.
    buckets: BTreeMap<String, Duration>,
    last_tick: Duration,
}

impl State {
    pub fn new(partitions: Partition, dice: Dice, lease: Duration) -> State {
        State {
            partitions,
            dice,
            logs: BTreeMap::new(),
            commits: BTreeMap::new(),
            seats: Seats::new(lease),
            under_way: BTreeMap::new(),
            last_step: 0,
            last_landing: BTreeMap::new(),
            buckets: BTreeMap::new(),
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
        let fairly = self.dice.unkind.moves_per_second == 0.0;
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
            Step::Commit { commit, answer } => self.write_commit(commit, answer),
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
        if is_dead && self.dice.chance(self.dice.unkind.never_from_the_dead) {
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

    fn write_commit(&mut self, commit: Commit, answer: Option<(usize, Answers<CommitOutcome>)>) {
        let outcome = if self.seats.is_owner(commit.at, commit.token) {
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

    fn schedule(&mut self, due_at: Duration, step: Step) {
        self.last_step += 1;
        self.under_way.insert((due_at, self.last_step), step);
    }

    /// Sends records; those whose result stays unknown have no answer.
    pub fn send_records(
        &mut self,
        now: Duration,
        process: ProcessId,
        at: TopicPartition,
        records: Vec<Record>,
    ) -> Result<Sent<Offset>, QueueError> {
        self.log(at)?;
        check_sizes(at.topic, &records)?;
        let answers = Answers::default();
        let mut answered_at = now + self.dice.latency();
        for (index, record) in records.into_iter().enumerate() {
            let fate = self.dice.fate();
            let told_at = now + self.dice.latency();
            answered_at = answered_at.max(told_at);
            if fate == Fate::Never {
                continue;
            }
            let mut lands_at = told_at;
            if fate == Fate::Late {
                lands_at += self.dice.up_to(self.dice.unkind.late_by);
            }
            let last = self.last_landing.entry((process, at)).or_default();
            lands_at = lands_at.max(*last);
            *last = lands_at;
            if fate != Fate::Late {
                answered_at = answered_at.max(lands_at);
            }
            let is_answered = fate == Fate::Answered;
            let step = Step::Land {
                process,
                at,
                record,
                answer: is_answered.then(|| (index, Rc::clone(&answers))),
            };
            self.schedule(lands_at, step);
        }
        Ok(Sent {
            answered_at,
            answers,
        })
    }

    /// Sends commits in order; those whose result stays unknown have no answer.
    pub fn send_commits(&mut self, now: Duration, commits: Vec<Commit>) -> Sent<CommitOutcome> {
        let answers = Answers::default();
        let mut answered_at = now + self.dice.latency();
        for (index, commit) in commits.into_iter().enumerate() {
            let fate = if is_well_formed(&commit.text) {
                self.dice.fate()
            } else {
                Fate::Never
            };
            answered_at = answered_at.max(now + self.dice.latency());
            let mut written_at = answered_at;
            if fate == Fate::Late {
                written_at += self.dice.up_to(self.dice.unkind.late_by);
            }
            if fate != Fate::Answered {
                let fenced_at = answered_at + self.dice.up_to(FENCE);
                let (at, token) = (commit.at, commit.token);
                self.schedule(fenced_at, Step::Take { at, token });
            }
            if fate != Fate::Never {
                let answer = (fate == Fate::Answered).then(|| (index, Rc::clone(&answers)));
                self.schedule(written_at, Step::Commit { commit, answer });
            }
        }
        Sent {
            answered_at,
            answers,
        }
    }

    /// Slots of a bucket by GCRA.
    pub fn take_slots(&mut self, now: Duration, request: &SlotRequest) -> Slots {
        let early = request
            .interval
            .saturating_mul(request.burst.saturating_sub(1));
        let bucket = self.buckets.entry(request.bucket.clone()).or_default();
        let mut slots = Slots::default();
        loop {
            slots.next = now.max(bucket.saturating_sub(early));
            let is_enough = slots.at.len() >= request.want as usize;
            if is_enough || slots.next > now + request.horizon {
                return slots;
            }
            slots.at.push(slots.next);
            *bucket = slots.next.max(*bucket) + request.interval;
        }
    }

    /// What an unkind queue does unasked, for the time since the last tick.
    pub fn tick(&mut self, now: Duration) {
        let seconds = now.saturating_sub(self.last_tick).as_secs_f64();
        self.last_tick = now;
        if self
            .dice
            .chance(self.dice.unkind.moves_per_second * seconds)
        {
            self.move_any(now);
        }
        if self
            .dice
            .chance(self.dice.unkind.compactions_per_second * seconds)
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

fn check_sizes(topic: Topic, records: &[Record]) -> Result<(), QueueError> {
    let largest = records.iter().map(size_bytes).max().unwrap_or(0);
    if largest > MAX_RECORD_BYTES {
        return Err(QueueError::TooLarge {
            topic,
            bytes: largest,
            limit: MAX_RECORD_BYTES,
        });
    }
    Ok(())
}

/// Kafka takes no other, so nothing is written and the caller learns nothing good.
fn is_well_formed(text: &str) -> bool {
    text.is_ascii() && text.len() <= MAX_COMMIT_TEXT
}
