//! Processes that are stopped for longer than their lease: here a member sends a heartbeat only when its test says so.

use super::*;
use crate::domain::topic::Topic;
use crate::queue::Queue;
use crate::queue::sqlite::{OpenOptions, SqliteQueue};
use futures_util::FutureExt;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// Longer than any test, so that a lease expires only when a test says so.
const LEASE: Duration = Duration::from_secs(600);
const SEND: TopicPartition = TopicPartition::new(Topic::Send, 0);

/// A file with the send topic, and a runtime. Heartbeats block, so they run outside of it.
struct File {
    runtime: Runtime,
    folder: TempDir,
    queue: Rc<SqliteQueue>,
}

impl File {
    fn new() -> File {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let queue = open(&folder.path().join("queue.db"));
        runtime
            .block_on(queue.create_topics(&[Topic::Send]))
            .unwrap();
        File {
            runtime,
            folder,
            queue,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("queue.db")
    }

    fn sql(&self, statements: &str) {
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        connection.execute_batch(statements).unwrap();
    }

    /// Lets every lease and every member expire.
    fn end_leases(&self) {
        self.sql("UPDATE lease SET expires = 1; UPDATE member SET expires = 1");
    }

    fn join(&self, queue: &SqliteQueue, name: &str) -> Manual {
        let setup = self.runtime.block_on(queue.add_member(name)).unwrap();
        let (membership, heartbeats, _) = SqliteMembership::new(setup);
        Manual {
            membership,
            heartbeats,
            owned: BTreeMap::new(),
        }
    }

    fn commit(&self, member: &Manual, token: Token, text: &str) -> CommitOutcome {
        let commit = Commit {
            at: SEND,
            token,
            offset: 1,
            text: text.into(),
        };
        let outcomes = member.membership.commit(vec![commit]);
        self.runtime.block_on(outcomes).remove(0)
    }

    fn committed(&self, at: TopicPartition) -> Option<String> {
        let found = self.runtime.block_on(self.queue.committed(&[at]));
        found.unwrap().remove(0).map(|committed| committed.text)
    }

    fn members(&self) -> usize {
        let members = self.runtime.block_on(self.queue.members());
        members.unwrap().len()
    }
}

fn open(path: &Path) -> Rc<SqliteQueue> {
    let options = OpenOptions {
        create: true,
        lease: LEASE,
        ..OpenOptions::new("key")
    };
    SqliteQueue::open(path, options).unwrap()
}

/// A member without its thread. Between two heartbeats it is as if its process were stopped.
struct Manual {
    membership: SqliteMembership,
    heartbeats: HeartbeatThread,
    owned: BTreeMap<TopicPartition, Token>,
}

impl Manual {
    /// Sends a heartbeat and releases partitions that it is losing. Returns how many it has lost.
    fn heartbeat(&mut self, file: &File) -> usize {
        self.heartbeats.send();
        let mut lost = 0;
        while let Some(change) = self.membership.changed().now_or_never() {
            match change {
                Ownership::Gained { at, token } => {
                    assert_eq!(self.owned.insert(at, token), None, "{at} gained twice");
                }
                Ownership::Losing { at, token } | Ownership::Uncertain { at, token } => {
                    assert_eq!(self.owned.remove(&at), Some(token));
                    file.runtime.block_on(self.membership.release(at, token));
                }
                Ownership::Lost { at, token } => {
                    assert_eq!(self.owned.remove(&at), Some(token));
                    lost += 1;
                }
            }
        }
        lost
    }
}

#[test]
fn a_commit_stands_until_another_takes_the_lease() {
    let file = File::new();
    let mut a = file.join(&file.queue, "a");
    a.heartbeat(&file);
    assert_eq!((a.owned.len(), a.membership.lease()), (8, LEASE));
    let token = a.owned[&SEND];
    assert_eq!(file.commit(&a, token, "one"), CommitOutcome::Done);
    assert_eq!(file.commit(&a, token + 999, "x"), CommitOutcome::Refused);
    for bad in ["ü", &"x".repeat(3_501)] {
        let outcome = file.commit(&a, token, bad);
        assert!(matches!(outcome, CommitOutcome::Unknown(_)), "{outcome:?}");
    }
    file.end_leases();
    assert_eq!(file.commit(&a, token, "two"), CommitOutcome::Done);
    // As if another member had taken everything and released it.
    file.sql("DELETE FROM lease");
    assert_eq!(file.commit(&a, token, "three"), CommitOutcome::Refused);
    assert_eq!(file.committed(SEND).as_deref(), Some("two"));
    assert_eq!(file.committed(TopicPartition::new(Topic::Send, 1)), None);
    assert_eq!(a.heartbeat(&file), 8);
    a.heartbeat(&file);
    assert!(a.owned[&SEND] > token);
    assert_eq!(file.commit(&a, token, "three"), CommitOutcome::Refused);
    assert_eq!(file.commit(&a, a.owned[&SEND], "four"), CommitOutcome::Done);
}

#[test]
fn a_stopped_member_is_not_listed_and_keeps_its_partitions() {
    let file = File::new();
    let mut a = file.join(&file.queue, "a");
    a.heartbeat(&file);
    file.end_leases();
    assert_eq!(file.members(), 0);
    assert_eq!(a.heartbeat(&file), 0);
    assert_eq!(file.members(), 1);
    let token = a.owned[&SEND];
    assert_eq!(file.commit(&a, token, "x"), CommitOutcome::Done);
}

#[test]
fn a_stopped_owner_loses_to_another_after_its_lease() {
    let file = File::new();
    let mut a = file.join(&file.queue, "a");
    a.heartbeat(&file);
    let token = a.owned[&SEND];
    file.end_leases();
    let other = open(&file.path());
    let mut b = file.join(&other, "b");
    // The first heartbeat finds the leases expired, the second ends them.
    b.heartbeat(&file);
    assert_eq!(b.owned.len(), 0);
    b.heartbeat(&file);
    assert_eq!(b.owned.len(), 8);
    assert_eq!(file.commit(&a, token, "x"), CommitOutcome::Refused);
    assert_eq!(a.heartbeat(&file), 8);
    for _ in 0..2 {
        b.heartbeat(&file);
        a.heartbeat(&file);
    }
    assert_eq!((a.owned.len(), b.owned.len()), (4, 4));
}
