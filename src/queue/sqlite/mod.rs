//! The embedded queue: one SQLite file shared by the processes of one machine. Writes, reads and slots have a thread
//! each; leases live in the file, lock files and the buckets beside it.

mod buckets;
mod failure;
mod leases;
mod lock_file;
mod log;
mod membership;
mod schema;
mod share;
mod threads;

use super::{
    Bounds, Buckets, Committed, Member, Membership, Queue, QueueError, Record, SlotRequest, Slots,
    Stored,
};
use crate::domain::ids::{Offset, Partition};
use crate::domain::topic::{Topic, TopicPartition};
use async_trait::async_trait;
use lock_file::LockFile;
use membership::{Joined, SqliteMembership};
use schema::{Durability, Expected};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use threads::{Kind, Thread};

/// Partitions of a new file.
pub const PARTITIONS: Partition = 8;
/// How long ownership lasts without contact, unless told otherwise.
pub const LEASE: Duration = Duration::from_secs(5);
/// A record larger than this is not taken.
pub const MAX_RECORD_BYTES: usize = 16 * 1024 * 1024;
/// Records of one append beyond this go into the next transaction.
const APPEND_BYTES: usize = 4 * 1024 * 1024;
/// A name is looked at by others for moments only: who cannot lock it for this long shares it with a living worker.
const NAME_TRIES: u32 = 20;

/// How a file is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions<'a> {
    /// Makes a file that is not there. Otherwise that is `QueueError::Missing`.
    pub create: bool,
    /// Of the project's key; a file keeps the one that it was made with.
    pub key_fingerprint: &'a str,
    /// Of a new file; an existing one has what it has.
    pub partitions: Partition,
    pub lease: Duration,
}

impl<'a> OpenOptions<'a> {
    /// An existing file with the default lease.
    pub fn new(key_fingerprint: &'a str) -> OpenOptions<'a> {
        OpenOptions {
            create: false,
            key_fingerprint,
            partitions: PARTITIONS,
            lease: LEASE,
        }
    }
}

/// A handle on a file. Several handles, in one process or many, work on the same file.
pub struct SqliteQueue {
    path: PathBuf,
    partitions: Partition,
    lease: Duration,
    boot: Arc<str>,
    writer: Thread,
    reader: Thread,
    buckets: Thread,
}

impl SqliteQueue {
    /// Opens or creates a file; blocks while it does. Created files are the owner's only. Errors: `Missing`, `Newer`,
    /// `OtherKey`, `Damaged`, `Full`, `Away`.
    pub fn open(path: &Path, options: OpenOptions<'_>) -> Result<Rc<SqliteQueue>, QueueError> {
        if !SqliteQueue::exists(path) {
            if !options.create {
                return Err(QueueError::Missing(path.display().to_string()));
            }
            schema::create_file(path)?;
        }
        let boot = boot_id();
        let expected = Expected {
            create: options.create,
            key_fingerprint: options.key_fingerprint,
            partitions: options.partitions.max(1),
            boot: &boot,
        };
        let mut connection = schema::connect(path, Durability::Full)?;
        let partitions = schema::prepare(path, &mut connection, &expected, schema::STEPS)?;
        let writer = Thread::spawn(Kind::Writes, connection, path)?;
        let connection = schema::connect(path, Durability::Full)?;
        let reader = Thread::spawn(Kind::Reads, connection, path)?;
        Ok(Rc::new(SqliteQueue {
            path: path.to_path_buf(),
            partitions,
            lease: options.lease,
            boot: Arc::from(boot),
            writer,
            reader,
            buckets: open_buckets(&beside(path, "-slots"))?,
        }))
    }

    /// Whether there is a file at all.
    pub fn exists(path: &Path) -> bool {
        path.exists()
    }

    /// The fingerprint of the key that an existing file belongs to. `None`: no file, or nothing in it yet.
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

    async fn take_name(&self, name: &str) -> Result<LockFile, QueueError> {
        for _ in 0..NAME_TRIES {
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

    /// What a membership of this name is made of, once the file knows it.
    async fn joined(&self, name: &str) -> Result<Joined, QueueError> {
        let lock = self.take_name(name).await?;
        let (owned, lease) = (name.to_string(), self.lease);
        let id = self
            .writer
            .ask(0, move |connection| leases::join(connection, &owned, lease))
            .await?;
        Ok(Joined {
            me: leases::Me {
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
    async fn tighten(&self) -> Result<(), QueueError> {
        if !self.reader.ask(0, log::is_loose).await? {
            return Ok(());
        }
        while self.writer.ask(0, log::vacuum_step).await? {}
        let path = self.path.clone();
        self.writer
            .ask_bare(move |_| Ok(schema::checkpoint(&path)?))
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
            .ask(0, move |connection| log::create_topics(connection, &topics))
            .await
    }

    async fn topics(&self) -> Result<Vec<Topic>, QueueError> {
        self.reader.ask(0, log::topics).await
    }

    async fn append(
        &self,
        at: TopicPartition,
        records: Vec<Record>,
    ) -> Result<Vec<Offset>, QueueError> {
        let mut offsets = Vec::with_capacity(records.len());
        for (bytes, piece) in pieces(at.topic, records)? {
            let job = move |connection: &rusqlite::Connection| log::append(connection, at, &piece);
            offsets.extend(self.writer.ask(bytes, job).await?);
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
            .ask(0, move |connection| {
                log::fetch(connection, at, from, max_bytes)
            })
            .await
    }

    async fn bounds(&self, at: TopicPartition) -> Result<Bounds, QueueError> {
        self.reader
            .ask(0, move |connection| log::bounds(connection, at))
            .await
    }

    async fn committed(&self, at: &[TopicPartition]) -> Result<Vec<Option<Committed>>, QueueError> {
        let at = at.to_vec();
        self.reader
            .ask(0, move |connection| {
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
        if !self.reader.ask(0, check).await? {
            return Ok(());
        }
        let step = move |connection: &rusqlite::Connection| log::drop_step(connection, at, offset);
        while self.writer.ask(0, step).await? {}
        self.tighten().await
    }

    async fn join(&self, name: &str) -> Result<Rc<dyn Membership>, QueueError> {
        let joined = self.joined(name).await?;
        Ok(Rc::new(SqliteMembership::start(joined)?))
    }

    async fn members(&self) -> Result<Vec<Member>, QueueError> {
        let mut members = self.reader.ask(0, leases::members).await?;
        let folder = self.members_folder();
        members.retain(|member| !lock_file::is_free(&folder, &member.name));
        Ok(members)
    }

    fn buckets(&self) -> Option<&dyn Buckets> {
        Some(self)
    }
}

#[async_trait(?Send)]
impl Buckets for SqliteQueue {
    async fn take_slots(&self, request: SlotRequest) -> Result<Slots, QueueError> {
        let boot = Arc::clone(&self.boot);
        self.buckets
            .ask(0, move |connection| {
                buckets::take(connection, &boot, &request)
            })
            .await
    }
}

fn open_buckets(path: &Path) -> Result<Thread, QueueError> {
    schema::create_file(path)?;
    let connection = schema::connect(path, Durability::Later)?;
    schema::turn_on_log(path, &connection)?;
    connection
        .execute_batch(include_str!("buckets.sql"))
        .map_err(|error| failure::explain(path, &error))?;
    Thread::spawn(Kind::Writes, connection, path)
}

/// Cuts an append so that no transaction is long. Errors: `TooLarge`, before anything is written.
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

/// Which boot the boot-time clock counts from.
fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_string()
}

#[cfg(test)]
mod tests;
