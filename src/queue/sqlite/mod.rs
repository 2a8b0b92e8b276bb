//! The embedded queue: one SQLite file, which the processes of one machine share.
//!
//! Beside `queue.db` lie the token buckets (`queue.db-slots`) and a folder with a lock file for each member, and what it
//! says of itself (`queue.db-members`, `states`). Writing, reading and taking slots have a connection and a thread each
//! (`connection`). Records and offsets are in `log`, ownership in `leases`, `heartbeat` and `rebalance`, the format of the
//! file in `schema`.

mod buckets;
mod connection;
mod disk;
mod failure;
mod heartbeat;
mod identity;
mod leases;
mod lock_file;
mod log;
mod membership;
mod rebalance;
mod schema;
mod states;

use super::{
    Bounds, Buckets, Committed, Member, Membership, Metric, Queue, QueueError, Record, SlotRequest,
    Slots, Stored,
};
use crate::domain::ids::{Offset, Partition};
use crate::domain::topic::{Topic, TopicPartition};
use crate::threads;
use async_trait::async_trait;
use connection::{Access, ConnectionThread};
use identity::Identity;
use lock_file::LockFile;
use membership::{MemberSetup, SqliteMembership};
use schema::{BusyWait, Durability, Expected};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Partitions of a new file.
pub const PARTITIONS: Partition = 8;
/// How long ownership lasts without contact, by default.
pub const LEASE: Duration = Duration::from_secs(5);
/// How long the write lock is waited for, by default. A transaction of another writer holds up to 8 MB.
pub const BUSY_WAIT: Duration = Duration::from_secs(30);
/// A larger record is refused.
pub const MAX_RECORD_BYTES: usize = 16 * 1024 * 1024;
/// The records of one append beyond this go into further transactions.
const APPEND_BYTES: usize = 4 * 1024 * 1024;
/// Other members lock the file of a name only for moments, to see whether it is free. If a name cannot be locked in as
/// many attempts, a running worker has it.
const NAME_ATTEMPTS: u32 = 20;

/// How a file is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions<'a> {
    /// Creates the file if it does not exist. Otherwise that is `QueueError::Missing`.
    pub create: bool,
    /// The fingerprint of the project's key. A file keeps the one that it was created with.
    pub key_fingerprint: &'a str,
    /// The number of partitions of a new file. An existing one keeps its number.
    pub partitions: Partition,
    pub lease: Duration,
    /// How long opening waits for the write lock.
    pub open_wait: Duration,
    /// How long a write waits for it until this handle joins. A member waits for [`BUSY_WAIT`], because a commit that
    /// fails costs it the partition.
    pub write_wait: Duration,
}

impl<'a> OpenOptions<'a> {
    /// Options for an existing file, with the default lease.
    pub fn new(key_fingerprint: &'a str) -> OpenOptions<'a> {
        OpenOptions {
            create: false,
            key_fingerprint,
            partitions: PARTITIONS,
            lease: LEASE,
            open_wait: BUSY_WAIT,
            write_wait: BUSY_WAIT,
        }
    }
}

/// A handle on a file. Any number of handles, in one process or many, may work on the same file.
pub struct SqliteQueue {
    path: PathBuf,
    partitions: Partition,
    lease: Duration,
    boot: Arc<str>,
    busy_wait: BusyWait,
    identity: Identity,
    writer: ConnectionThread,
    reader: ConnectionThread,
    buckets: ConnectionThread,
}

impl SqliteQueue {
    /// Opens or creates a file; blocks. A new file is readable for its owner only. Errors: `Missing`, `Newer`, `OtherKey`,
    /// `Damaged`, `Full`, `Away`.
    pub fn open(path: &Path, options: OpenOptions<'_>) -> Result<Rc<SqliteQueue>, QueueError> {
        if !SqliteQueue::exists(path) {
            if !options.create {
                return Err(QueueError::Missing(path.display().to_string()));
            }
            schema::create_file(path)?;
        }
        let boot = boot_id()?;
        let busy_wait = BusyWait::new(options.open_wait);
        let expected = Expected {
            create: options.create,
            key_fingerprint: options.key_fingerprint,
            partitions: options.partitions.max(1),
            boot: &boot,
            busy_wait: options.open_wait,
        };
        let mut connection = schema::connect(path, Durability::Full, &busy_wait)?;
        let partitions = schema::prepare(path, &mut connection, &expected, schema::STEPS)?;
        let slots = beside(path, "-slots");
        let buckets = open_buckets(&slots, &busy_wait, options.open_wait)?;
        let identity = Identity::of(&[path, &slots]).map_err(|error| schema::away(path, error))?;
        let spawn = |access, connection| {
            ConnectionThread::spawn(access, connection, path, identity.clone())
        };
        let writer = spawn(Access::Write, connection)?;
        let connection = schema::connect(path, Durability::Full, &busy_wait)?;
        let reader = spawn(Access::Read, connection)?;
        busy_wait.set(options.write_wait);
        Ok(Rc::new(SqliteQueue {
            path: path.to_path_buf(),
            partitions,
            lease: options.lease,
            identity,
            boot: Arc::from(boot),
            writer,
            reader,
            buckets,
            busy_wait,
        }))
    }

    /// Whether the file exists.
    pub fn exists(path: &Path) -> bool {
        path.exists()
    }

    /// The fingerprint of the key that an existing file belongs to. `None`: no file, or an empty one.
    pub fn fingerprint(path: &Path) -> Result<Option<String>, QueueError> {
        if !SqliteQueue::exists(path) {
            return Ok(None);
        }
        schema::fingerprint(path)
    }

    fn partitions_of(&self, topic: Topic) -> Partition {
        match topic {
            Topic::Campaign | Topic::Suppression => 1,
            Topic::Send | Topic::Retry(_) | Topic::Dlq | Topic::Event => self.partitions,
        }
    }

    fn members_folder(&self) -> PathBuf {
        beside(&self.path, "-members")
    }

    async fn lock_name(&self, name: &str) -> Result<LockFile, QueueError> {
        for _ in 0..NAME_ATTEMPTS {
            let lock = LockFile::take(&self.members_folder(), name)
                .map_err(|error| schema::away(&self.path, error))?;
            if let Some(lock) = lock {
                return Ok(lock);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let what = format!("a worker named `{name}` is already running");
        Err(schema::away(&self.path, what))
    }

    /// Locks a name and writes the new member to the file.
    async fn add_member(&self, name: &str) -> Result<MemberSetup, QueueError> {
        self.busy_wait.set(BUSY_WAIT);
        let lock = self.lock_name(name).await?;
        let (owned, lease) = (name.to_string(), self.lease);
        let id = self
            .writer
            .run(0, move |connection| leases::join(connection, &owned, lease))
            .await?;
        Ok(MemberSetup {
            me: leases::ThisMember {
                id,
                name: name.to_string(),
                lease,
                partitions: self.partitions,
            },
            writer: self.writer.clone(),
            lock,
            folder: self.members_folder(),
        })
    }

    /// After much was dropped: gives the space back in small steps, so that nobody waits for it.
    async fn vacuum(&self) -> Result<(), QueueError> {
        if !self.reader.run(0, log::is_worth_vacuuming).await? {
            return Ok(());
        }
        while self.writer.run(0, log::vacuum_step).await? {}
        let path = self.path.clone();
        self.writer
            .run_outside_transaction(move |_| Ok(schema::checkpoint(&path)?))
            .await
    }
}

#[async_trait(?Send)]
impl Queue for SqliteQueue {
    fn url(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    fn partitions(&self) -> Partition {
        self.partitions
    }

    async fn create_topics(&self, topics: &[Topic]) -> Result<(), QueueError> {
        let topics: Vec<_> = topics
            .iter()
            .map(|t| (*t, self.partitions_of(*t)))
            .collect();
        self.writer
            .run(0, move |connection| log::create_topics(connection, &topics))
            .await
    }

    async fn topics(&self) -> Result<Vec<Topic>, QueueError> {
        self.reader.run(0, log::topics).await
    }

    async fn append(
        &self,
        at: TopicPartition,
        records: Vec<Record>,
    ) -> Result<Vec<Offset>, QueueError> {
        let mut offsets = Vec::with_capacity(records.len());
        for (bytes, piece) in pieces(at.topic, records)? {
            let job = move |connection: &rusqlite::Connection| log::append(connection, at, &piece);
            offsets.extend(self.writer.run(bytes, job).await?);
        }
        Ok(offsets)
    }

    async fn fetch(
        &self,
        at: TopicPartition,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<Stored>, QueueError> {
        self.reader
            .run(0, move |connection| {
                log::fetch(connection, at, from, max_bytes)
            })
            .await
    }

    async fn bounds(&self, at: TopicPartition) -> Result<Bounds, QueueError> {
        self.reader
            .run(0, move |connection| log::bounds(connection, at))
            .await
    }

    async fn committed(&self, at: &[TopicPartition]) -> Result<Vec<Option<Committed>>, QueueError> {
        let at = at.to_vec();
        self.reader
            .run(0, move |connection| {
                at.iter()
                    .map(|at| log::committed(connection, *at))
                    .collect()
            })
            .await
    }

    fn commits_expire(&self) -> bool {
        false
    }

    async fn drop_below(&self, at: TopicPartition, offset: Offset) -> Result<(), QueueError> {
        let check =
            move |connection: &rusqlite::Connection| log::is_droppable(connection, at, offset);
        if !self.reader.run(0, check).await? {
            return Ok(());
        }
        let step = move |connection: &rusqlite::Connection| log::drop_step(connection, at, offset);
        while self.writer.run(0, step).await? {}
        self.vacuum().await
    }

    async fn join(&self, name: &str) -> Result<Rc<dyn Membership>, QueueError> {
        let setup = self.add_member(name).await?;
        Ok(Rc::new(SqliteMembership::start(setup)?))
    }

    async fn members(&self) -> Result<Vec<Member>, QueueError> {
        let mut members = self.reader.run(0, leases::members).await?;
        let folder = self.members_folder();
        members.retain(|member| !lock_file::is_free(&folder, &member.name));
        Ok(members)
    }

    fn buckets(&self) -> Option<&dyn Buckets> {
        Some(self)
    }

    fn check(&self) -> Result<(), QueueError> {
        self.identity.check()
    }

    async fn publish_state(&self, member: &str, text: String) -> Result<(), QueueError> {
        self.identity.check()?;
        let (folder, member) = (self.members_folder(), member.to_string());
        let writing = threads::run(move || states::publish(&folder, &member, &text));
        let written = writing.await.map_err(std::io::Error::other).flatten();
        written.map_err(|error| schema::away(&self.path, error))
    }

    async fn states(&self) -> Result<Option<Vec<(String, String)>>, QueueError> {
        let folder = self.members_folder();
        let members = self.members().await?.into_iter();
        let states = members.filter_map(|member| {
            let text = states::read(&folder, &member.name)?;
            Some((member.name, text))
        });
        Ok(Some(states.collect()))
    }

    fn metrics(&self) -> Vec<Metric> {
        disk::used_ratio(&self.path).into_iter().collect()
    }
}

#[async_trait(?Send)]
impl Buckets for SqliteQueue {
    async fn take_slots(&self, requests: Vec<SlotRequest>) -> Result<Vec<Slots>, QueueError> {
        let boot = Arc::clone(&self.boot);
        self.buckets
            .run(0, move |connection| {
                let taken = requests.iter();
                taken
                    .map(|request| buckets::take(connection, &boot, request))
                    .collect()
            })
            .await
    }
}

fn open_buckets(
    path: &Path,
    busy_wait: &BusyWait,
    open_wait: Duration,
) -> Result<ConnectionThread, QueueError> {
    schema::create_file(path)?;
    let connection = schema::connect(path, Durability::Later, busy_wait)?;
    schema::enable_wal(path, &connection, open_wait)?;
    connection
        .execute_batch(include_str!("buckets.sql"))
        .map_err(|error| failure::explain(path, &error))?;
    // The identity of the queue covers this file too; asking for slots must not wait for anything.
    ConnectionThread::spawn(Access::Write, connection, path, Identity::default())
}

/// Splits an append so that no transaction is long. Errors: `TooLarge`, before anything is written.
fn pieces(topic: Topic, records: Vec<Record>) -> Result<Vec<(usize, Vec<Record>)>, QueueError> {
    let mut pieces: Vec<(usize, Vec<Record>)> = Vec::new();
    for record in records {
        let bytes = log::record_bytes(&record);
        if bytes > MAX_RECORD_BYTES {
            return Err(QueueError::TooLarge {
                topic,
                bytes,
                limit: MAX_RECORD_BYTES,
            });
        }
        match pieces.last_mut() {
            Some((sum, piece)) if *sum + bytes <= APPEND_BYTES => {
                *sum += bytes;
                piece.push(record);
            }
            _ => pieces.push((bytes, vec![record])),
        }
    }
    Ok(pieces)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

/// The boot that the boot-time clock counts from. Without it, leases and slots of an earlier boot would count.
fn boot_id() -> Result<String, QueueError> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let id = std::fs::read_to_string(path).map_err(|error| schema::away(path, error))?;
    Ok(id.trim().to_string())
}

#[cfg(test)]
mod tests;
