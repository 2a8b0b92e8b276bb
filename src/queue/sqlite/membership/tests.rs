//! Processes that are stopped for longer than their lease: a member beats only when its test says so.

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

/// Longer than any test, so that a lease ends only where a test ends it.
const LEASE: Duration = Duration::from_secs(600);
const SEND: TopicPartition = TopicPartition::new(Topic::Send, 0);

/// A file with the topic send, and a runtime. Beats block, so they run outside of it.
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

    /// Every lease is over, and every member is silent.
    fn end_leases(&self) {
        self.sql("UPDATE lease SET expires = 1; UPDATE member SET expires = 1");
    }

    fn join(&self, queue: &SqliteQueue, name: &str) -> Beaten {
        let joined = self.runtime.block_on(queue.joined(name)).unwrap();
        let (membership, heart, _) = SqliteMembership::new(joined);
        Beaten {
            membership,
            heart,
            owned: BTreeMap::new(),
        }
    }

    fn commit(&self, member: &Beaten, token: Token, text: &str) -> CommitOutcome {
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

/// A member without its thread. Between two beats it is as if its process were stopped.
struct Beaten {
    membership: SqliteMembership,
    heart: Heart,
    owned: BTreeMap<TopicPartition, Token>,
}

impl Beaten {
    /// Beats once and gives up what it is asked for. How many partitions it has lost.
    fn beat(&mut self, file: &File) -> usize {
        self.heart.beat();
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
    a.beat(&file);
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
    // As if another had taken everything and given it back.
    file.sql("DELETE FROM lease");
    assert_eq!(file.commit(&a, token, "three"), CommitOutcome::Refused);
    assert_eq!(file.committed(SEND).as_deref(), Some("two"));
    assert_eq!(file.committed(TopicPartition::new(Topic::Send, 1)), None);
    assert_eq!(a.beat(&file), 8);
    a.beat(&file);
    assert!(a.owned[&SEND] > token);
    assert_eq!(file.commit(&a, token, "three"), CommitOutcome::Refused);
    assert_eq!(file.commit(&a, a.owned[&SEND], "four"), CommitOutcome::Done);
}

#[test]
fn a_stopped_member_is_not_listed_and_loses_nothing_to_nobody() {
    let file = File::new();
    let mut a = file.join(&file.queue, "a");
    a.beat(&file);
    file.end_leases();
    assert_eq!(file.members(), 0);
    assert_eq!(a.beat(&file), 0);
    assert_eq!(file.members(), 1);
    let token = a.owned[&SEND];
    assert_eq!(file.commit(&a, token, "x"), CommitOutcome::Done);
}

#[test]
fn a_stopped_owner_loses_to_another_after_its_lease() {
    let file = File::new();
    let mut a = file.join(&file.queue, "a");
    a.beat(&file);
    let token = a.owned[&SEND];
    file.end_leases();
    let other = open(&file.path());
    let mut b = file.join(&other, "b");
    // The first beat finds the leases over, the second ends them.
    b.beat(&file);
    assert_eq!(b.owned.len(), 0);
    b.beat(&file);
    assert_eq!(b.owned.len(), 8);
    assert_eq!(file.commit(&a, token, "x"), CommitOutcome::Refused);
    assert_eq!(a.beat(&file), 8);
    for _ in 0..2 {
        b.beat(&file);
        a.beat(&file);
    }
    assert_eq!((a.owned.len(), b.owned.len()), (4, 4));
}
