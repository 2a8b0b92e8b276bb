//! A member of those that share the file: a thread that sends heartbeats, and the changes of ownership that they bring.

use super::connection::ConnectionThread;
use super::heartbeat::{Expired, Heartbeat, Held, Holding, Observed, heartbeat};
use super::leases::{self, ThisMember};
use super::lock_file::{LockFile, is_free};
use super::rebalance::MemberId;
use super::states;
use crate::domain::topic::TopicPartition;
use crate::queue::{Commit, CommitOutcome, Membership, Ownership, QueueError, Token};
use async_trait::async_trait;
use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A member with too many partitions learns it within this, however long the lease is.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// How often failing heartbeats are logged.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct State {
    held: Held,
    has_left: bool,
}

/// Shared by the engine and the thread that sends heartbeats.
#[derive(Debug, Default)]
struct Shared(Mutex<State>);

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False: the partition was not held under this token.
    fn remove(&self, at: TopicPartition, token: Token) -> bool {
        let mut state = self.state();
        let is_held = state.held.get(&at).is_some_and(|held| held.token == token);
        if is_held {
            state.held.remove(&at);
        }
        is_held
    }

    fn end(&self) {
        let mut state = self.state();
        state.has_left = true;
        state.held.clear();
    }
}

pub(super) struct SqliteMembership {
    me: ThisMember,
    writer: ConnectionThread,
    shared: Arc<Shared>,
    changes: tokio::sync::Mutex<UnboundedReceiver<Ownership>>,
    /// Dropping it ends the thread.
    _stop: Sender<()>,
    /// If this is dropped without leaving, the lock is released, as if the process had died.
    lock: RefCell<Option<LockFile>>,
}

/// What a new member is made of.
pub(super) struct MemberSetup {
    pub me: ThisMember,
    pub writer: ConnectionThread,
    pub lock: LockFile,
    pub folder: PathBuf,
}

impl SqliteMembership {
    /// Starts a member and the thread that sends its heartbeats.
    pub(super) fn start(setup: MemberSetup) -> Result<SqliteMembership, QueueError> {
        let (membership, thread, stopped) = SqliteMembership::new(setup);
        std::thread::Builder::new()
            .name("queue-heartbeat".to_string())
            .spawn(move || thread.run(&stopped))
            .map_err(|error| QueueError::NoThread(error.to_string()))?;
        Ok(membership)
    }

    /// A member, its heartbeats, and what ends them when the member is dropped.
    fn new(setup: MemberSetup) -> (SqliteMembership, HeartbeatThread, Receiver<()>) {
        let (stop, stopped) = channel();
        let (changes, received) = unbounded_channel();
        let shared = Arc::new(Shared::default());
        let thread = HeartbeatThread {
            me: setup.me.clone(),
            writer: setup.writer.clone(),
            shared: Arc::clone(&shared),
            changes,
            folder: setup.folder,
            others: Vec::new(),
            expired: Expired::new(),
            failed_at: None,
        };
        let membership = SqliteMembership {
            me: setup.me,
            writer: setup.writer,
            shared,
            changes: tokio::sync::Mutex::new(received),
            _stop: stop,
            lock: RefCell::new(Some(setup.lock)),
        };
        (membership, thread, stopped)
    }
}

impl Drop for SqliteMembership {
    fn drop(&mut self) {
        self.shared.end();
    }
}

#[async_trait(?Send)]
impl Membership for SqliteMembership {
    fn lease(&self) -> Duration {
        self.me.lease
    }

    async fn changed(&self) -> Ownership {
        match self.changes.lock().await.recv().await {
            Some(change) => change,
            None => std::future::pending().await,
        }
    }

    async fn commit(&self, commits: Vec<Commit>) -> Vec<CommitOutcome> {
        let count = commits.len();
        let bytes = commits.iter().map(|commit| commit.text.len() + 64).sum();
        let me = self.me.clone();
        let outcomes = self
            .writer
            .run(bytes, move |connection| {
                leases::commit(connection, &me, &commits)
            })
            .await;
        outcomes.unwrap_or_else(|error| {
            let outcome = match error {
                // Nothing was written, and nothing is owned in a file that nobody else sees.
                QueueError::Gone { .. } => CommitOutcome::Refused,
                error => CommitOutcome::Unknown(error.to_string()),
            };
            vec![outcome; count]
        })
    }

    async fn release(&self, at: TopicPartition, token: Token) {
        // Removed here before the file, so that a heartbeat between the two does not report it as lost.
        if !self.shared.remove(at, token) {
            return;
        }
        let me = self.me.id;
        // A lease that cannot be deleted now is not renewed any more, and expires.
        let _ = self
            .writer
            .run(0, move |connection| {
                leases::release(connection, me, at, token)
            })
            .await;
    }

    async fn leave(&self) {
        self.shared.end();
        let me = self.me.id;
        // If this fails, the others find the lock file free and remove the member.
        let _ = self
            .writer
            .run(0, move |connection| leases::remove(connection, me))
            .await;
        if let Some(lock) = self.lock.borrow_mut().take() {
            // In a folder that has taken the place of ours, the files of this name are another member's.
            if lock.is_in_place() {
                states::remove(lock.path());
                lock.remove();
            }
        }
    }
}

/// What the thread that sends heartbeats works with.
struct HeartbeatThread {
    me: ThisMember,
    writer: ConnectionThread,
    shared: Arc<Shared>,
    changes: UnboundedSender<Ownership>,
    folder: PathBuf,
    others: Vec<(MemberId, String)>,
    /// `expired` of the last heartbeat, if that succeeded.
    expired: Expired,
    /// When a failure was last logged, if the last heartbeat failed.
    failed_at: Option<Instant>,
}

impl HeartbeatThread {
    fn run(mut self, stop: &Receiver<()>) {
        let pause = HEARTBEAT_INTERVAL.min(self.me.lease / 5);
        loop {
            self.send();
            match stop.recv_timeout(pause) {
                Err(RecvTimeoutError::Timeout) if !self.shared.state().has_left => {}
                _ => return,
            }
        }
    }

    fn send(&mut self) {
        let others = self.others.iter();
        let observed = Observed {
            dead: others
                .filter(|(_, name)| is_free(&self.folder, name))
                .map(|(id, _)| *id)
                .collect(),
            expired: std::mem::take(&mut self.expired),
        };
        let (me, shared) = (self.me.clone(), Arc::clone(&self.shared));
        let result = self.writer.run_blocking(move |connection| {
            let state = shared.state();
            if state.has_left {
                return Ok(Heartbeat::default());
            }
            let held = state.held.clone();
            drop(state);
            heartbeat(connection, &me, &held, &observed)
        });
        match result {
            Ok(result) => {
                self.failed_at = None;
                self.apply(result);
            }
            // The engine learns it from its own requests, and ends.
            Err(QueueError::Gone { .. }) => {}
            // Nothing is known to have changed. The next heartbeat reads from the file what has.
            Err(error) => self.failed(&error),
        }
    }

    /// Logs the first of several failures: while they last, ownership lasts only as long as the leases.
    fn failed(&mut self, error: &QueueError) {
        if self.failed_at.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
            self.failed_at = Some(Instant::now());
            tracing::warn!(%error, "the leases cannot be renewed");
        }
    }

    fn apply(&mut self, result: Heartbeat) {
        for (at, token) in result.lost {
            if self.shared.remove(at, token) {
                self.report(Ownership::Lost { at, token });
            }
        }
        let mut state = self.shared.state();
        if state.has_left {
            return;
        }
        self.others = result.others;
        self.expired = result.expired;
        for (at, token) in result.gained {
            let is_releasing = false;
            state.held.insert(
                at,
                Holding {
                    token,
                    is_releasing,
                },
            );
            self.report(Ownership::Gained { at, token });
        }
        for (at, holding) in &mut state.held {
            if result.release.contains(&at.partition) {
                holding.is_releasing = true;
                let (at, token) = (*at, holding.token);
                self.report(Ownership::Losing { at, token });
            }
        }
    }

    fn report(&self, change: Ownership) {
        // After the membership is dropped nobody receives changes.
        let _ = self.changes.send(change);
    }
}

#[cfg(test)]
mod tests;
