//! One member's place: it hears news of its partitions, commits, gives up. It beats by being run.

use super::handle::Process;
use super::members::MemberId;
use async_trait::async_trait;
use mailq::domain::topic::TopicPartition;
use mailq::queue::{Commit, CommitOutcome, Membership, Ownership, Token};
use std::rc::Rc;
use std::time::Duration;

/// How often a member that waits for news lets happen what is due.
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

/// Dropped without `leave`: the others wait for the lease to end.
impl Drop for MemoryMembership {
    fn drop(&mut self) {
        let abandon = |state: &mut super::State, now| state.seats.members.abandon(self.id, now);
        self.process.log.settled(abandon);
    }
}

#[async_trait(?Send)]
impl Membership for MemoryMembership {
    fn lease(&self) -> Duration {
        self.process
            .log
            .settled(|state, _| state.seats.members.lease)
    }

    async fn changed(&self) -> Ownership {
        let log = &self.process.log;
        loop {
            let (heard, wake, now) = log.settled(|state, now| {
                let members = &mut state.seats.members;
                (
                    members.hear(self.id, now),
                    members.wake_handle(self.id),
                    now,
                )
            });
            let arrives_at = match heard {
                Ok(news) => return news,
                Err(arrives_at) => arrives_at.map_or(now + LOOK, |at| at.min(now + LOOK)),
            };
            match wake {
                // Biased, since tokio would otherwise choose the branch with a seed of its own.
                Some(wake) => tokio::select! {
                    biased;
                    () = wake.notified() => {}
                    () = log.until(arrives_at) => {}
                },
                // Left: there will be no news.
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
            state.seats.release(at, token, now, &mut state.dice);
        };
        self.process.log.ask(release).await;
    }

    async fn leave(&self) {
        let leave = |state: &mut super::State, now| {
            for (at, token) in state.seats.owned_by(self.id) {
                state.seats.release(at, token, now, &mut state.dice);
            }
            state.seats.members.remove(self.id);
        };
        self.process.log.ask(leave).await;
    }
}
