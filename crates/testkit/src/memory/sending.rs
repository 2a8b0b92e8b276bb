//! Sends appends and commits: what becomes of each is drawn when it is sent, and happens when it is due.

use super::faults::Delivery;
use super::log::size_bytes;
use super::members::ProcessId;
use super::state::{Scheduled, State};
use mailq::domain::ids::Offset;
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::queue::{Commit, CommitOutcome, MAX_COMMIT_TEXT, QueueError, Record};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// Kafka's default for `max.message.bytes`.
const MAX_RECORD_BYTES: usize = 1_048_588;
/// A partition is taken from its owner at most this long after a commit of unknown result, as if the group had a new
/// generation.
const FENCE: Duration = Duration::from_secs(5);

/// Answers to the items of one request by index, filled in as they happen.
pub(super) type Answers<T> = Rc<RefCell<BTreeMap<usize, T>>>;

/// A request in flight: when its caller learns the results, and where they will be.
#[derive(Debug)]
pub(super) struct Sent<T> {
    pub answered_at: Duration,
    pub answers: Answers<T>,
}

impl State {
    /// Sends records; those of unknown result get no answer.
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
        let mut answered_at = now + self.random.latency();
        for (index, record) in records.into_iter().enumerate() {
            let delivery = self.random.delivery();
            let told_at = now + self.random.latency();
            answered_at = answered_at.max(told_at);
            if delivery == Delivery::Lost {
                continue;
            }
            let mut lands_at = told_at;
            if delivery == Delivery::Late {
                lands_at += self.random.up_to(self.random.faults.late_by);
            }
            let last = self.last_landing.entry((process, at)).or_default();
            lands_at = lands_at.max(*last);
            *last = lands_at;
            if delivery != Delivery::Late {
                answered_at = answered_at.max(lands_at);
            }
            let is_answered = delivery == Delivery::Acknowledged;
            let step = Scheduled::Land {
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

    /// Sends commits in order, in one request; if its result is unknown, none gets an answer.
    pub fn send_commits(&mut self, now: Duration, commits: Vec<Commit>) -> Sent<CommitOutcome> {
        let answers = Answers::default();
        let delivery = self.random.delivery();
        let answered_at = now + self.random.latency().max(self.random.latency());
        let late_by = self.random.faults.late_by;
        let written_at = match delivery {
            Delivery::Late => answered_at + self.random.up_to(late_by),
            _ => answered_at,
        };
        for (index, commit) in commits.into_iter().enumerate() {
            let delivery = if is_well_formed(&commit.text) {
                delivery
            } else {
                Delivery::Lost
            };
            if delivery != Delivery::Acknowledged {
                let fenced_at = answered_at + self.random.up_to(FENCE);
                let (at, token) = (commit.at, commit.token);
                self.schedule(fenced_at, Scheduled::Revoke { at, token });
            }
            if delivery != Delivery::Lost {
                let answer =
                    (delivery == Delivery::Acknowledged).then(|| (index, Rc::clone(&answers)));
                let sent_at = now;
                self.schedule(
                    written_at,
                    Scheduled::Commit {
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

/// Kafka would refuse any other text, so it is never written.
fn is_well_formed(text: &str) -> bool {
    text.is_ascii() && text.len() <= MAX_COMMIT_TEXT
}
