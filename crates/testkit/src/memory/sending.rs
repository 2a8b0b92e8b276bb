//! What becomes of an append or a commit: decided by the dice when it is sent, carried out by the state when due.

use super::log::size_bytes;
use super::members::ProcessId;
use super::state::{State, Step};
use super::faults::Fate;
use mailq::domain::ids::Offset;
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::queue::{Commit, CommitOutcome, MAX_COMMIT_TEXT, QueueError, Record};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// What Kafka takes in one record by default.
const MAX_RECORD_BYTES: usize = 1_048_588;
/// After a commit of unknown result the partition is taken away, at the latest this much later.
const FENCE: Duration = Duration::from_secs(5);

/// Answers to one request's items, filled in as they are carried out.
pub(super) type Answers<T> = Rc<RefCell<BTreeMap<usize, T>>>;

/// A request that was sent: when its caller learns how it ended, and how.
#[derive(Debug)]
pub(super) struct Sent<T> {
    pub answered_at: Duration,
    pub answers: Answers<T>,
}

impl State {
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
                lands_at += self.dice.up_to(self.dice.faults.late_by);
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

    /// Sends commits in order, in one request that has one fate; when its result stays unknown there is no answer.
    pub fn send_commits(&mut self, now: Duration, commits: Vec<Commit>) -> Sent<CommitOutcome> {
        let answers = Answers::default();
        let fate = self.dice.fate();
        let answered_at = now + self.dice.latency().max(self.dice.latency());
        let late_by = self.dice.faults.late_by;
        let written_at = match fate {
            Fate::Late => answered_at + self.dice.up_to(late_by),
            _ => answered_at,
        };
        for (index, commit) in commits.into_iter().enumerate() {
            let fate = if is_well_formed(&commit.text) {
                fate
            } else {
                Fate::Never
            };
            if fate != Fate::Answered {
                let fenced_at = answered_at + self.dice.up_to(FENCE);
                let (at, token) = (commit.at, commit.token);
                self.schedule(fenced_at, Step::Take { at, token });
            }
            if fate != Fate::Never {
                let answer = (fate == Fate::Answered).then(|| (index, Rc::clone(&answers)));
                let sent_at = now;
                self.schedule(
                    written_at,
                    Step::Commit {
                        commit,
                        sent_at,
                        answer,
                    },
                );
            }
        }
        Sent {
            answered_at,
            answers,
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
