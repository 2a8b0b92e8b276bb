//! Commits, on a thread of their own: one synchronous OffsetCommit request for all partitions.
//!
//! Brokers check the member and its generation, not the partition. So ownership is checked here, under a lock that is
//! held until the coordinator has answered: no commit is sent for a partition that this worker has lost. A commit of
//! unknown result may still land. Then the group is left and joined again, because a new generation fences the old
//! request, and the committed string is read: where it is the one that this worker wrote last, it goes on from memory.

use super::rebalance::MemberContext;
use super::shared::Shared;
use crate::clock::{Clock, SystemClock};
use crate::domain::topic::TopicPartition;
use crate::queue::kafka::query::{QueryClient, add_commit};
use crate::queue::{Commit, CommitOutcome, Committed};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Pause before a commit is sent again that a rebalance has refused.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// How often old commits are looked for while nothing is committed.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
/// A commit of this age is written again, byte for byte, before brokers forget it (`offsets.retention.minutes`).
const REFRESH_AFTER: Duration = Duration::from_secs(6 * 3_600);

pub(super) type CommitRequest = (Vec<Commit>, oneshot::Sender<Vec<CommitOutcome>>);

/// What an error code of the coordinator means for a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// Not written; the same commit may be sent again.
    Retry,
    /// Not written; the coordinator does not know this member any more.
    Fenced,
    /// Nobody knows: it may have been written or may be written later.
    Unknown,
    /// Not written; this process must not be a member any more.
    Forbidden,
}

fn classify(code: Code) -> Refusal {
    match code {
        Code::IllegalGeneration
        | Code::RebalanceInProgress
        | Code::StaleMemberEpoch
        | Code::NotCoordinator
        | Code::CoordinatorLoadInProgress
        | Code::CoordinatorNotAvailable
        | Code::WaitingForCoordinator
        | Code::TimedOutQueue => Refusal::Retry,
        Code::UnknownMemberId
        | Code::FencedInstanceId
        | Code::FencedMemberEpoch
        | Code::UnreleasedInstanceId
        | Code::AssignmentLost
        | Code::Fenced => Refusal::Fenced,
        Code::Fatal | Code::GroupAuthorizationFailed => Refusal::Forbidden,
        _ => Refusal::Unknown,
    }
}

/// A commit of unknown result.
struct Failed {
    why: String,
    /// Whether it may be sent again after the group was left and joined again.
    may_rejoin: bool,
}

/// What the thread that commits works with.
pub(super) struct Committer {
    pub consumer: Arc<BaseConsumer<MemberContext>>,
    pub shared: Arc<Shared>,
    pub queries: QueryClient,
    pub env: String,
    pub session: Duration,
    pub socket_timeout: Duration,
    /// Whether leaving and joining fences requests in flight. It does not where the member id stays the same: with
    /// the broker's assignor (KIP-848) and with static membership.
    pub is_fenced_by_joining: bool,
    /// When the coordinator last accepted a commit, on the boot-time clock, which also counts while the machine sleeps.
    pub last_contact: Duration,
}

impl Committer {
    pub fn run(mut self, requests: &Receiver<CommitRequest>) {
        loop {
            match requests.recv_timeout(REFRESH_INTERVAL) {
                Ok((commits, answer)) => {
                    let outcomes = self.commit(commits);
                    // The caller may have dropped its future.
                    let _ = answer.send(outcomes);
                }
                Err(RecvTimeoutError::Timeout) => self.refresh_old_commits(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// The group subscribes to the send topic only, and brokers forget commits of other topics by their age.
    fn refresh_old_commits(&mut self) {
        let old = self.shared.assignments().commits_older_than(REFRESH_AFTER);
        if old.is_empty() {
            return;
        }
        for (commit, outcome) in old.clone().into_iter().zip(self.commit(old)) {
            if outcome != CommitOutcome::Done {
                // Nobody waits for this outcome, so it is reported as a loss. The partition is then gained again.
                self.shared
                    .change(|assignments| assignments.lose_one(commit.at));
            }
        }
    }

    /// Commits in the order given. A request names a partition once, so a second commit of it goes into the next one.
    fn commit(&mut self, commits: Vec<Commit>) -> Vec<CommitOutcome> {
        let mut outcomes = Vec::with_capacity(commits.len());
        let mut rest = commits.into_iter().peekable();
        while rest.peek().is_some() {
            let mut batch = Vec::new();
            let mut named = BTreeSet::new();
            while let Some(commit) = rest.next_if(|commit| named.insert(commit.at)) {
                batch.push(commit);
            }
            outcomes.extend(self.commit_batch(&batch));
        }
        outcomes
    }

    /// Commits each partition once. After an unknown result it rejoins and sends the commits again.
    fn commit_batch(&mut self, batch: &[Commit]) -> Vec<CommitOutcome> {
        self.check_after_silence(batch);
        let failed = match self.attempt(batch) {
            Ok(outcomes) => return outcomes,
            Err(failed) => failed,
        };
        let why = failed.why;
        tracing::warn!(why, "leaving the group and joining it again");
        if !(failed.may_rejoin && self.rejoin(batch)) {
            return self.unknown(batch, why);
        }
        match self.attempt(batch) {
            Ok(outcomes) => outcomes,
            Err(failed) => self.unknown(batch, failed.why),
        }
    }

    fn attempt(&mut self, batch: &[Commit]) -> Result<Vec<CommitOutcome>, Failed> {
        let begun = Instant::now();
        loop {
            // Locked before ownership is checked and until the coordinator has answered: see `lock_commits`.
            let shared = Arc::clone(&self.shared);
            let commits_locked = shared.lock_commits();
            let owned = self.owned(batch);
            if owned.is_empty() {
                return Ok(vec![CommitOutcome::Refused; batch.len()]);
            }
            let sent = SystemClock.since_boot();
            let asked = Instant::now();
            let answer = self.send(&owned);
            let took = asked.elapsed();
            match answer {
                Ok(()) if took >= self.socket_timeout => {
                    // librdkafka has sent the request again after its timeout; the first one may be in flight still.
                    return Err(Failed {
                        why: format!(
                            "a commit took {took:?}; an earlier copy of it may still arrive"
                        ),
                        may_rejoin: self.may_rejoin(begun),
                    });
                }
                Ok(()) => {
                    self.last_contact = sent;
                    return Ok(self.done(batch, &owned));
                }
                Err(code) => {
                    drop(commits_locked);
                    match classify(code) {
                        Refusal::Retry if begun.elapsed() < self.session => {
                            std::thread::sleep(RETRY_PAUSE);
                        }
                        Refusal::Fenced => return Ok(self.fenced(batch, code)),
                        refusal => {
                            let why = self.queries.explain_commit(code);
                            let is_forbidden = refusal == Refusal::Forbidden;
                            return Err(Failed {
                                why: format!("a commit failed: {why}"),
                                may_rejoin: self.may_rejoin(begun) && !is_forbidden,
                            });
                        }
                    }
                }
            }
        }
    }

    /// Claims are valid for two thirds of the session. A worker that was stopped for longer must not go on with them,
    /// even if all other workers were stopped too and none has taken its partitions.
    fn may_rejoin(&self, begun: Instant) -> bool {
        self.is_fenced_by_joining && begun.elapsed() < self.session * 2 / 3
    }

    fn owned<'a>(&self, batch: &'a [Commit]) -> Vec<&'a Commit> {
        let assignments = self.shared.assignments();
        let owned = batch
            .iter()
            .filter(|commit| assignments.owns(commit.at, commit.token));
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

    fn done(&self, batch: &[Commit], owned: &[&Commit]) -> Vec<CommitOutcome> {
        let mut assignments = self.shared.assignments();
        let owned: BTreeSet<TopicPartition> = owned.iter().map(|commit| commit.at).collect();
        let mut outcome = |commit: &Commit| {
            if !owned.contains(&commit.at) {
                return CommitOutcome::Refused;
            }
            if assignments.record_commit(commit.at, value(commit)) {
                return CommitOutcome::Done;
            }
            // A rebalance takes partitions away only under the lock that this commit holds.
            let why = format!("{} was revoked while it was committed", commit.at);
            tracing::error!("broken rule: {why}");
            CommitOutcome::Unknown(why)
        };
        batch.iter().map(&mut outcome).collect()
    }

    /// The coordinator does not know this member, so it owns nothing.
    fn fenced(&self, batch: &[Commit], code: Code) -> Vec<CommitOutcome> {
        tracing::warn!(%code, "the group has moved on without this worker");
        self.release(batch);
        self.shared.change(|assignments| assignments.lose_all());
        vec![CommitOutcome::Refused; batch.len()]
    }

    /// Gives up every partition, because nobody knows which commit stands.
    fn unknown(&self, batch: &[Commit], why: String) -> Vec<CommitOutcome> {
        self.release(batch);
        self.shared.change(|assignments| {
            assignments.must_rejoin = true;
            assignments.lose_all()
        });
        vec![CommitOutcome::Unknown(why); batch.len()]
    }

    /// Leaves the group and joins it again. Keeps a partition if the group assigns it again and its committed string is
    /// the one that this worker wrote last, or has just tried to write. False: this was not known in time.
    fn rejoin(&mut self, batch: &[Commit]) -> bool {
        let until = Instant::now() + self.session;
        self.shared.change(|assignments| assignments.suspend());
        if !self.shared.wait_rejoined(self.session) {
            return false;
        }
        self.shared
            .change(|assignments| assignments.lose_suspended());
        let owned = self.shared.assignments().owned();
        let at: Vec<TopicPartition> = owned.iter().map(|(at, ..)| *at).collect();
        let found = loop {
            match self.queries.committed_blocking(&at) {
                Ok(found) => break found,
                Err(_) if Instant::now() < until && !self.shared.assignments().has_left => {
                    std::thread::sleep(RETRY_PAUSE);
                }
                Err(_) => return false,
            }
        };
        for ((at, token, written), found) in owned.into_iter().zip(found) {
            let tried = batch.iter().find(|c| (c.at, c.token) == (at, token));
            let is_mine = found == written || found == tried.map(value);
            // An ownership that has written nothing cannot tell whether another worker has.
            if found.is_none() || !is_mine {
                tracing::warn!(%at, "another worker has committed here meanwhile");
                self.shared.change(|assignments| assignments.lose_one(at));
            }
        }
        self.last_contact = SystemClock.since_boot();
        true
    }

    /// The outcomes say that these are lost, so no change of ownership is reported for them.
    fn release(&self, batch: &[Commit]) {
        for commit in batch {
            self.shared.release(commit.at, commit.token);
        }
    }

    /// After a long silence this process may have been stopped while other workers owned its partitions. The committed
    /// strings must then be the ones that it wrote last, byte for byte; other partitions are given up.
    fn check_after_silence(&mut self, batch: &[Commit]) {
        let silent = SystemClock.since_boot().saturating_sub(self.last_contact);
        if silent <= self.session * 2 / 3 {
            return;
        }
        let owned = self.owned(batch);
        let expected: Vec<(TopicPartition, u64, Option<Committed>)> = {
            let assignments = self.shared.assignments();
            let of = |commit: &&Commit| {
                let written = assignments.last_commit(commit.at).cloned();
                (commit.at, commit.token, written)
            };
            owned.iter().map(of).collect()
        };
        // An ownership that has written nothing yet has claimed nothing, and has nothing to compare.
        let expected: Vec<_> = expected.into_iter().filter(|e| e.2.is_some()).collect();
        let at: Vec<TopicPartition> = expected.iter().map(|(at, ..)| *at).collect();
        let found = self.queries.committed_blocking(&at);
        // What cannot be read is not the string that this worker wrote.
        let found = found.unwrap_or_else(|_| vec![None; at.len()]);
        for ((at, token, written), found) in expected.into_iter().zip(found) {
            if found != written {
                tracing::warn!(%at, ?silent, "another worker has committed here meanwhile");
                self.shared.release(at, token);
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
    fn a_commit_is_sent_again_after_a_rebalance_and_not_after_fencing() {
        for code in [
            Code::IllegalGeneration,
            Code::RebalanceInProgress,
            Code::StaleMemberEpoch,
        ] {
            assert_eq!(classify(code), Refusal::Retry, "{code}");
        }
        for code in [
            Code::UnknownMemberId,
            Code::FencedInstanceId,
            Code::FencedMemberEpoch,
        ] {
            assert_eq!(classify(code), Refusal::Fenced, "{code}");
        }
    }

    #[test]
    fn an_error_that_does_not_refuse_a_commit_leaves_it_unknown() {
        for code in [
            Code::RequestTimedOut,
            Code::OperationTimedOut,
            Code::BrokerTransportFailure,
            Code::OffsetMetadataTooLarge,
        ] {
            assert_eq!(classify(code), Refusal::Unknown, "{code}");
        }
        for code in [Code::Fatal, Code::GroupAuthorizationFailed] {
            assert_eq!(classify(code), Refusal::Forbidden, "{code}");
        }
    }
}
