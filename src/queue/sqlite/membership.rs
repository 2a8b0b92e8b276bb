//! A process's place among those that share the file: a thread that beats, and the changes that it finds.

use super::leases::{self, Beat, Held, Holding, Known, Me, Overdue};
use super::lock_file::{LockFile, is_free};
use super::share::MemberId;
use super::threads::Thread;
use crate::domain::topic::TopicPartition;
use crate::queue::{Commit, CommitOutcome, Membership, Ownership, QueueError, Token};
use async_trait::async_trait;
use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Who holds too much hears of it within this, whatever the lease.
const BEAT: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct State {
    held: Held,
    left: bool,
}

/// Shared by the engine's side and the thread that beats.
#[derive(Debug, Default)]
struct Shared(Mutex<State>);

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False: it was not held under this token.
    fn forget(&self, at: TopicPartition, token: Token) -> bool {
        let mut state = self.state();
        let is_held = state.held.get(&at).is_some_and(|held| held.token == token);
        if is_held {
            state.held.remove(&at);
        }
        is_held
    }

    fn end(&self) {
        let mut state = self.state();
        state.left = true;
        state.held.clear();
    }
}

pub(super) struct SqliteMembership {
    me: Me,
    writer: Thread,
    shared: Arc<Shared>,
    changes: tokio::sync::Mutex<UnboundedReceiver<Ownership>>,
    /// Dropped: the thread ends.
    _stop: Sender<()>,
    /// Let go when this is dropped without leaving: then it is as if the process had died.
    lock: RefCell<Option<LockFile>>,
}

/// What a new membership is made of.
pub(super) struct Joined {
    pub me: Me,
    pub writer: Thread,
    pub lock: LockFile,
    pub folder: PathBuf,
}

impl SqliteMembership {
    /// Starts the thread that beats.
    pub(super) fn start(joined: Joined) -> Result<SqliteMembership, QueueError> {
        let (membership, heart, stopped) = SqliteMembership::new(joined);
        std::thread::Builder::new()
            .name("queue-beat".to_string())
            .spawn(move || heart.run(&stopped))
            .map_err(|error| QueueError::Unknown(error.to_string()))?;
        Ok(membership)
    }

    /// A membership, its beats, and what ends them when the membership is dropped.
    fn new(joined: Joined) -> (SqliteMembership, Heart, Receiver<()>) {
        let (stop, stopped) = channel();
        let (changes, received) = unbounded_channel();
        let shared = Arc::new(Shared::default());
        let heart = Heart {
            me: joined.me.clone(),
            writer: joined.writer.clone(),
            shared: Arc::clone(&shared),
            changes,
            folder: joined.folder,
            others: Vec::new(),
            overdue: Overdue::new(),
        };
        let membership = SqliteMembership {
            me: joined.me,
            writer: joined.writer,
            shared,
            changes: tokio::sync::Mutex::new(received),
            _stop: stop,
            lock: RefCell::new(Some(joined.lock)),
        };
        (membership, heart, stopped)
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
            .ask(bytes, move |connection| {
                leases::commit(connection, &me, &commits)
            })
            .await;
        outcomes.unwrap_or_else(|error| vec![CommitOutcome::Unknown(error.to_string()); count])
    }

    async fn release(&self, at: TopicPartition, token: Token) {
        // First here, so that the next beat does not take it for lost.
        if !self.shared.forget(at, token) {
            return;
        }
        let me = self.me.id;
        // A lease that cannot be deleted is not kept any more and ends by itself.
        let _ = self
            .writer
            .ask(0, move |connection| {
                leases::release(connection, me, at, token)
            })
            .await;
    }

    async fn leave(&self) {
        self.shared.end();
        let me = self.me.id;
        // If this fails the free lock file says the same.
        let _ = self
            .writer
            .ask(0, move |connection| leases::remove(connection, me))
            .await;
        if let Some(lock) = self.lock.borrow_mut().take() {
            lock.remove();
        }
    }
}

/// The thread that keeps the leases.
struct Heart {
    me: Me,
    writer: Thread,
    shared: Arc<Shared>,
    changes: UnboundedSender<Ownership>,
    folder: PathBuf,
    others: Vec<(MemberId, String)>,
    /// What the last beat found, if it succeeded.
    overdue: Overdue,
}

impl Heart {
    fn run(mut self, stop: &Receiver<()>) {
        let pause = BEAT.min(self.me.lease / 5);
        loop {
            self.beat();
            match stop.recv_timeout(pause) {
                Err(RecvTimeoutError::Timeout) if !self.shared.state().left => {}
                _ => return,
            }
        }
    }

    fn beat(&mut self) {
        let others = self.others.iter();
        let known = Known {
            dead: others
                .filter(|(_, name)| is_free(&self.folder, name))
                .map(|(id, _)| *id)
                .collect(),
            overdue: std::mem::take(&mut self.overdue),
        };
        let (me, shared) = (self.me.clone(), Arc::clone(&self.shared));
        let result = self.writer.ask_blocking(move |connection| {
            let state = shared.state();
            if state.left {
                return Ok(Beat::default());
            }
            let held = state.held.clone();
            drop(state);
            leases::beat(connection, &me, &held, &known)
        });
        // After an error nothing is believed: who lost what stands in the file, and the next beat reads it.
        if let Ok(beat) = result {
            self.apply(beat);
        }
    }

    fn apply(&mut self, beat: Beat) {
        for (at, token) in beat.lost {
            if self.shared.forget(at, token) {
                self.tell(Ownership::Lost { at, token });
            }
        }
        let mut state = self.shared.state();
        if state.left {
            return;
        }
        self.others = beat.others;
        self.overdue = beat.overdue;
        for (at, token) in beat.gained {
            let giving = false;
            state.held.insert(at, Holding { token, giving });
            self.tell(Ownership::Gained { at, token });
        }
        for (at, holding) in &mut state.held {
            if beat.give.contains(&at.partition) {
                holding.giving = true;
                let (at, token) = (*at, holding.token);
                self.tell(Ownership::Losing { at, token });
            }
        }
    }

    fn tell(&self, change: Ownership) {
        // Nobody listens after the membership is dropped.
        let _ = self.changes.send(change);
    }
}

#[cfg(test)]
mod tests;
