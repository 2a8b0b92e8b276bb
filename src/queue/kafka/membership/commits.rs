//! Commits: one synchronous request for all partitions, on a thread of its own, sent only by who owns them.

use super::super::asker::{Asker, add_commit};
use super::rebalance::Member;
use super::shared::Shared;
use crate::clock::{Clock, SystemClock};
use crate::domain::topic::TopicPartition;
use crate::queue::{Commit, CommitOutcome, Committed};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Between tries of a commit that a rebalance has refused.
const RETRY: Duration = Duration::from_millis(50);

/// Old commits are looked for this often while nothing is committed.
const LOOK: Duration = Duration::from_secs(60);
/// A commit that is so old is written again, byte for byte; brokers keep them for days.
const WRITE_AGAIN: Duration = Duration::from_secs(6 * 3_600);

pub(super) type Order = (Vec<Commit>, oneshot::Sender<Vec<CommitOutcome>>);

/// What an answer of the coordinator means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Not written, and the same may be sent again.
    Again,
    /// The member is not one any more.
    Fenced,
    /// Perhaps written, perhaps later.
    Unknown,
    /// Not written, and this process may be no member any more.
    Barred,
}

fn judge(code: Code) -> Verdict {
    match code {
        Code::IllegalGeneration
        | Code::RebalanceInProgress
        | Code::StaleMemberEpoch
        | Code::NotCoordinator
        | Code::CoordinatorLoadInProgress
        | Code::CoordinatorNotAvailable
        | Code::WaitingForCoordinator
        | Code::TimedOutQueue => Verdict::Again,
        Code::UnknownMemberId
        | Code::FencedInstanceId
        | Code::FencedMemberEpoch
        | Code::UnreleasedInstanceId
        | Code::AssignmentLost
        | Code::Fenced => Verdict::Fenced,
        Code::Fatal | Code::GroupAuthorizationFailed => Verdict::Barred,
        _ => Verdict::Unknown,
    }
}

/// Why a commit came to nothing.
struct Failed {
    why: String,
    /// It may be made again when the group was joined again.
    may_return: bool,
}

/// The committing thread's side.
pub(super) struct Committer {
    pub consumer: Arc<BaseConsumer<Member>>,
    pub shared: Arc<Shared>,
    pub asker: Asker,
    pub env: String,
    pub session: Duration,
    pub socket_timeout: Duration,
    /// Leaving and joining again makes a new generation, which fences what is under way. With a member id that stays it
    /// may not: where brokers assign partitions, and where instances have names.
    pub is_fenced_by_joining: bool,
    /// When the coordinator last took a commit: on the boot-time clock, which counts while the machine sleeps.
    pub contact: Duration,
}

impl Committer {
    pub fn run(mut self, orders: &Receiver<Order>) {
        loop {
            match orders.recv_timeout(LOOK) {
                Ok((commits, answer)) => {
                    let outcomes = self.commit(commits);
                    // Who asked may have gone.
                    let _ = answer.send(outcomes);
                }
                Err(RecvTimeoutError::Timeout) => self.keep_alive(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// The group is subscribed to send only, and brokers forget commits of other topics by their age.
    fn keep_alive(&mut self) {
        let old = self.shared.seats().written_before(WRITE_AGAIN);
        if old.is_empty() {
            return;
        }
        for (commit, outcome) in old.clone().into_iter().zip(self.commit(old)) {
            if outcome != CommitOutcome::Done {
                // Nobody waits for the outcome: it is told as a loss, and the partition is offered again.
                self.shared.change(|seats| seats.lose_one(commit.at));
            }
        }
    }

    /// In the order given, as many requests as a partition is named.
    fn commit(&mut self, commits: Vec<Commit>) -> Vec<CommitOutcome> {
        let mut outcomes = Vec::with_capacity(commits.len());
        let mut rest = commits.into_iter().peekable();
        while rest.peek().is_some() {
            let mut round = Vec::new();
            let mut named = BTreeSet::new();
            while let Some(commit) = rest.next_if(|commit| named.insert(commit.at)) {
                round.push(commit);
            }
            outcomes.extend(self.round(&round));
        }
        outcomes
    }

    /// After an unknown result the group is left and joined again, since a new generation fences what may still be under
    /// way. Where nobody has written meanwhile, this worker goes on from memory.
    fn round(&mut self, round: &[Commit]) -> Vec<CommitOutcome> {
        self.look_after_a_gap(round);
        let failed = match self.attempt(round) {
            Ok(outcomes) => return outcomes,
            Err(failed) => failed,
        };
        let why = failed.why;
        tracing::warn!(why, "leaving the group and joining it again");
        if !(failed.may_return && self.come_back(round)) {
            return self.unknown(round, why);
        }
        match self.attempt(round) {
            Ok(outcomes) => outcomes,
            Err(failed) => self.unknown(round, failed.why),
        }
    }

    fn attempt(&mut self, round: &[Commit]) -> Result<Vec<CommitOutcome>, Failed> {
        let begun = Instant::now();
        loop {
            // Taken before the question who owns what, and held until the coordinator has answered.
            let gate_of = Arc::clone(&self.shared);
            let gate = gate_of.gate();
            let owned = self.owned(round);
            if owned.is_empty() {
                return Ok(vec![CommitOutcome::Refused; round.len()]);
            }
            let sent = SystemClock.since_boot();
            let asked = Instant::now();
            let answer = self.send(&owned);
            let took = asked.elapsed();
            match answer {
                Ok(()) if took >= self.socket_timeout => {
                    let why = "an earlier copy of it may still arrive";
                    return Err(Failed {
                        why: format!("a commit took {took:?}; {why}"),
                        may_return: self.may_return(begun),
                    });
                }
                Ok(()) => {
                    self.contact = sent;
                    return Ok(self.done(round, &owned));
                }
                Err(code) => {
                    drop(gate);
                    match judge(code) {
                        Verdict::Again if begun.elapsed() < self.session => {
                            std::thread::sleep(RETRY);
                        }
                        Verdict::Fenced => return Ok(self.fenced(round, code)),
                        verdict => {
                            let why = self.asker.explain_commit(code);
                            let is_barred = verdict == Verdict::Barred;
                            return Err(Failed {
                                why: format!("a commit failed: {why}"),
                                may_return: self.may_return(begun) && !is_barred,
                            });
                        }
                    }
                }
            }
        }
    }

    /// Whoever was silent for so long may have been stopped, and what was claimed then is old: nothing of it is begun
    /// after waking, though nobody else was awake to take it over.
    fn may_return(&self, begun: Instant) -> bool {
        self.is_fenced_by_joining && begun.elapsed() < self.session * 2 / 3
    }

    fn owned<'a>(&self, round: &'a [Commit]) -> Vec<&'a Commit> {
        let seats = self.shared.seats();
        let owned = round
            .iter()
            .filter(|commit| seats.owns(commit.at, commit.token));
        owned.collect()
    }

    fn send(&self, owned: &[&Commit]) -> Result<(), Code> {
        let mut list = TopicPartitionList::new();
        let code =
            |error: rdkafka::error::KafkaError| error.rdkafka_error_code().unwrap_or(Code::Unknown);
        for commit in owned {
            let name = commit.at.topic.name(&self.env);
            add_commit(&mut list, (&name, commit.at), &value(commit)).map_err(code)?;
        }
        self.consumer.commit(&list, CommitMode::Sync).map_err(code)
    }

    fn done(&self, round: &[Commit], owned: &[&Commit]) -> Vec<CommitOutcome> {
        let mut seats = self.shared.seats();
        let names: BTreeSet<TopicPartition> = owned.iter().map(|commit| commit.at).collect();
        for commit in owned {
            seats.wrote(commit.at, value(commit));
        }
        let outcome = |commit: &Commit| match names.contains(&commit.at) {
            true => CommitOutcome::Done,
            false => CommitOutcome::Refused,
        };
        round.iter().map(outcome).collect()
    }

    /// The coordinator does not know us: whatever this process believes, nothing is owned.
    fn fenced(&self, round: &[Commit], code: Code) -> Vec<CommitOutcome> {
        tracing::warn!(%code, "the group has moved on without this worker");
        self.give_up(round);
        self.shared.change(|seats| seats.lose_all());
        vec![CommitOutcome::Refused; round.len()]
    }

    /// Nothing is owned any more.
    fn unknown(&self, round: &[Commit], why: String) -> Vec<CommitOutcome> {
        self.give_up(round);
        self.shared.change(|seats| {
            seats.must_rejoin = true;
            seats.lose_all()
        });
        vec![CommitOutcome::Unknown(why); round.len()]
    }

    /// Keeps what the group gives back and where there stands what this worker has written last, or has just tried to.
    /// False: it is not known in time what stands there.
    fn come_back(&mut self, round: &[Commit]) -> bool {
        let until = Instant::now() + self.session;
        self.shared.change(|seats| seats.suspend());
        if !self.shared.wait_returned(self.session) {
            return false;
        }
        self.shared.change(|seats| seats.lose_the_rest());
        let owned = self.shared.seats().owned();
        let at: Vec<TopicPartition> = owned.iter().map(|(at, ..)| *at).collect();
        let found = loop {
            match self.asker.committed_blocking(&at) {
                Ok(found) => break found,
                Err(_) if Instant::now() < until && !self.shared.seats().has_left => {
                    std::thread::sleep(RETRY);
                }
                Err(_) => return false,
            }
        };
        for ((at, token, written), found) in owned.into_iter().zip(found) {
            let tried = round.iter().find(|c| (c.at, c.token) == (at, token));
            let is_mine = found == written || found == tried.map(value);
            // Where this ownership has written nothing, nothing is known of who else has.
            if found.is_none() || !is_mine {
                tracing::warn!(%at, "another worker has committed here meanwhile");
                self.shared.change(|seats| seats.lose_one(at));
            }
        }
        self.contact = SystemClock.since_boot();
        true
    }

    /// Their fate is in the outcomes; it need not be told twice.
    fn give_up(&self, round: &[Commit]) {
        for commit in round {
            self.shared.give_up(commit.at, commit.token);
        }
    }

    /// This process may have been stopped, and its partitions may have had other owners: what stands there must be
    /// byte for byte what was written last.
    fn look_after_a_gap(&mut self, round: &[Commit]) {
        let silent = SystemClock.since_boot().saturating_sub(self.contact);
        if silent <= self.session * 2 / 3 {
            return;
        }
        let owned = self.owned(round);
        let expected: Vec<(TopicPartition, u64, Option<Committed>)> = {
            let seats = self.shared.seats();
            let of = |commit: &&Commit| {
                let written = seats.written(commit.at).cloned();
                (commit.at, commit.token, written)
            };
            owned.iter().map(of).collect()
        };
        // An ownership that has written nothing yet has nothing to compare, and has claimed nothing.
        let expected: Vec<_> = expected.into_iter().filter(|e| e.2.is_some()).collect();
        let at: Vec<TopicPartition> = expected.iter().map(|(at, ..)| *at).collect();
        let found = self.asker.committed_blocking(&at);
        let found = found.unwrap_or_else(|_| vec![None; at.len()]);
        for ((at, token, written), found) in expected.into_iter().zip(found) {
            if found != written {
                tracing::warn!(%at, ?silent, "another worker has committed here meanwhile");
                self.shared.give_up(at, token);
            }
        }
    }
}

fn value(commit: &Commit) -> Committed {
    Committed {
        offset: commit.offset,
        text: commit.text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rebalance_is_waited_for_and_a_fence_is_not() {
        for code in [
            Code::IllegalGeneration,
            Code::RebalanceInProgress,
            Code::StaleMemberEpoch,
        ] {
            assert_eq!(judge(code), Verdict::Again, "{code}");
        }
        for code in [
            Code::UnknownMemberId,
            Code::FencedInstanceId,
            Code::FencedMemberEpoch,
        ] {
            assert_eq!(judge(code), Verdict::Fenced, "{code}");
        }
    }

    #[test]
    fn what_is_not_known_to_be_refused_is_unknown() {
        for code in [
            Code::RequestTimedOut,
            Code::OperationTimedOut,
            Code::BrokerTransportFailure,
            Code::OffsetMetadataTooLarge,
        ] {
            assert_eq!(judge(code), Verdict::Unknown, "{code}");
        }
        for code in [Code::Fatal, Code::GroupAuthorizationFailed] {
            assert_eq!(judge(code), Verdict::Barred, "{code}");
        }
    }
}
