//! One member: receives notices of its partitions, commits, releases. It needs no heartbeat: a member keeps its lease
//! while its process runs.

use super::handle::Process;
use super::members::MemberId;
use async_trait::async_trait;
use mailq::domain::topic::TopicPartition;
use mailq::queue::{Commit, CommitOutcome, Membership, Ownership, Token};
use std::rc::Rc;
use std::time::Duration;

/// How often a member that waits for notices lets the log do what is due.
const LOOK: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct MemoryMembership {
    process: Rc<Process>,
    id: MemberId,
}

impl MemoryMembership {
    pub fn new(process: Rc<Process>, id: MemberId) -> MemoryMembership {
        MemoryMembership { process, id }
    }
}

/// Dropped without `leave`: its partitions are free when the lease ends.
impl Drop for MemoryMembership {
    fn drop(&mut self) {
        let abandon =
            |state: &mut super::State, now| state.assignments.members.abandon(self.id, now);
        self.process.log.settled(abandon);
    }
}

#[async_trait(?Send)]
impl Membership for MemoryMembership {
    fn lease(&self) -> Duration {
        self.process
            .log
            .settled(|state, _| state.assignments.members.lease)
    }

    async fn changed(&self) -> Ownership {
        let log = &self.process.log;
        loop {
            let (next, wake, now) = log.settled(|state, now| {
                let members = &mut state.assignments.members;
                (
                    members.next_notice(self.id, now),
                    members.wake_handle(self.id),
                    now,
                )
            });
            let arrives_at = match next {
                Ok(notice) => return notice,
                Err(arrives_at) => arrives_at.map_or(now + LOOK, |at| at.min(now + LOOK)),
            };
            match wake {
                // Biased, because tokio would otherwise choose the branch with a seed of its own.
                Some(wake) => tokio::select! {
                    biased;
                    () = wake.notified() => {}
                    () = log.until(arrives_at) => {}
                },
                // It has left, so there will be no notice.
                None => std::future::pending().await,
            }
        }
    }

    async fn commit(&self, commits: Vec<Commit>) -> Vec<CommitOutcome> {
        let log = &self.process.log;
        let all = 0..commits.len();
        let sent = log.settled(|state, now| state.send_commits(now, commits));
        log.until(sent.answered_at).await;
        log.settled(|_, _| ());
        let mut answers = sent.answers.take();
        let unknown = || CommitOutcome::Unknown("commit timed out".to_owned());
        all.map(|index| answers.remove(&index).unwrap_or_else(unknown))
            .collect()
    }

    async fn release(&self, at: TopicPartition, token: Token) {
        let release = |state: &mut super::State, now| {
            state.assignments.release(at, token, now, &mut state.random);
        };
        self.process.log.ask(release).await;
    }

    async fn leave(&self) {
        let leave = |state: &mut super::State, now| {
            for (at, token) in state.assignments.owned_by(self.id) {
                state.assignments.release(at, token, now, &mut state.random);
            }
            state.assignments.members.remove(self.id);
        };
        self.process.log.ask(leave).await;
    }
}
