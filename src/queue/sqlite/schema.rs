//! Opens the file: creates it, checks its format and its key, and migrates older formats.

use super::BUSY_WAIT;
use super::failure::{Failure, explain, is_busy};
use crate::domain::ids::Partition;
use crate::queue::QueueError;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The format that this mailq writes.
pub(super) const FORMAT: i64 = 1;

/// A migration from one format to the next.
pub(super) struct Step {
    pub from: i64,
    pub sql: &'static str,
}

/// One step for each released format before [`FORMAT`]. A released step never changes.
pub(super) const STEPS: &[Step] = &[];

/// What the caller expects of a file.
pub(super) struct Expected<'a> {
    pub create: bool,
    pub key_fingerprint: &'a str,
    pub partitions: Partition,
    pub boot: &'a str,
    /// How long switching to WAL is tried again.
    pub busy_wait: Duration,
}

/// When a commit is durable.
#[derive(Clone, Copy)]
pub(super) enum Durability {
    /// Before it returns (`synchronous = FULL`).
    Full,
    /// Some time later, in order (`synchronous = NORMAL`).
    Later,
}

/// How long the connections of a handle wait for the write lock, in steps of a millisecond.
#[derive(Clone)]
pub(super) struct BusyWait(Arc<AtomicU64>);

impl BusyWait {
    pub(super) fn new(wait: Duration) -> BusyWait {
        let busy_wait = BusyWait(Arc::default());
        busy_wait.set(wait);
        busy_wait
    }

    pub(super) fn set(&self, wait: Duration) {
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.0.store(millis, Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn handler(self) -> impl FnMut(i32) -> bool + Send + 'static {
        let mut since = Instant::now();
        move |waited| {
            if waited == 0 {
                since = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(1));
            since.elapsed() < self.get()
        }
    }
}

/// Creates an empty file for the owner only. SQLite gives the WAL and its index the same mode.
pub(super) fn create_file(path: &Path) -> Result<(), QueueError> {
    let made = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::StorageFull => Err(QueueError::Full {
            path: path.display().to_string(),
        }),
        Err(error) => Err(away(path, error)),
    }
}

pub(super) fn away(path: &Path, what: impl ToString) -> QueueError {
    QueueError::Away {
        path: path.display().to_string(),
        what: what.to_string(),
    }
}

/// Connects to an existing file.
pub(super) fn connect(
    path: &Path,
    durability: Durability,
    busy_wait: &BusyWait,
) -> Result<Connection, QueueError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let configure = || -> rusqlite::Result<Connection> {
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_handler(Some(busy_wait.clone().handler()))?;
        connection.set_prepared_statement_cache_capacity(64);
        let level = match durability {
            Durability::Full => "FULL",
            Durability::Later => "NORMAL",
        };
        connection.pragma_update(None, "synchronous", level)?;
        // A WAL that has grown beside a long read transaction is truncated to this later.
        connection.pragma_update(None, "journal_size_limit", 16 * 1024 * 1024)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        Ok(connection)
    };
    configure().map_err(|error| explain(path, &error))
}

/// Turns on write-ahead logging, which the file keeps. SQLite does not call the busy handler for this, so two processes
/// that do it at once have to try again by themselves.
pub(super) fn enable_wal(
    path: &Path,
    connection: &Connection,
    busy_wait: Duration,
) -> Result<(), QueueError> {
    let since = Instant::now();
    loop {
        let mode: rusqlite::Result<String> =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0));
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => return Err(away(path, "its file system does not support shared memory")),
            Err(error) if is_busy(&error) && since.elapsed() < busy_wait => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(explain(path, &error)),
        }
    }
}

/// Creates or checks the queue in a file, and returns how many partitions it has.
pub(super) fn prepare(
    path: &Path,
    connection: &mut Connection,
    expected: &Expected<'_>,
    steps: &[Step],
) -> Result<Partition, QueueError> {
    if is_empty(connection).map_err(|error| explain(path, &error))? {
        if !expected.create {
            return Err(QueueError::Missing(path.display().to_string()));
        }
        let first = || -> rusqlite::Result<()> {
            connection.pragma_update(None, "page_size", 8192)?;
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")
        };
        first().map_err(|error| explain(path, &error))?;
        enable_wal(path, connection, expected.busy_wait)?;
    }
    create_or_check(path, connection, expected, steps).map_err(|failure| failure.explain(path))
}

/// The fingerprint of the key that the queue belongs to.
pub(super) fn fingerprint(path: &Path) -> Result<Option<String>, QueueError> {
    let connection = connect(path, Durability::Full, &BusyWait::new(BUSY_WAIT))?;
    let read = || -> rusqlite::Result<Option<String>> {
        if !connection.table_exists(None, "meta")? {
            return Ok(None);
        }
        meta(&connection, "key")
    };
    read().map_err(|error| explain(path, &error))
}

/// Copies the WAL into the file and truncates it. If another connection reads or writes just now, this is left for the
/// next time: waiting would delay heartbeats.
pub(super) fn checkpoint(path: &Path) -> Result<(), QueueError> {
    let connection = connect(path, Durability::Full, &BusyWait::new(BUSY_WAIT))?;
    let run = || -> rusqlite::Result<()> {
        connection.busy_timeout(Duration::ZERO)?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    };
    run().map_err(|error| explain(path, &error))
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    let objects: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(objects == 0)
}

/// Creates, migrates and checks in one transaction, so that of several processes only the first has anything to do.
fn create_or_check(
    path: &Path,
    connection: &mut Connection,
    expected: &Expected<'_>,
    steps: &[Step],
) -> Result<Partition, Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if is_empty(&transaction)? {
        transaction.execute_batch(include_str!("schema.sql"))?;
        set_meta(&transaction, "format", FORMAT)?;
        set_meta(&transaction, "key", expected.key_fingerprint)?;
        set_meta(&transaction, "partitions", expected.partitions)?;
        set_meta(&transaction, "token", 0)?;
    }
    let damaged = |what: &str| QueueError::Damaged {
        path: path.display().to_string(),
        what: what.to_string(),
    };
    if !transaction.table_exists(None, "meta")? {
        return Err(damaged("it is another program's database").into());
    }
    let found: i64 =
        meta(&transaction, "format")?.ok_or_else(|| damaged("it has no format version"))?;
    migrate(path, &transaction, found, steps)?;
    let key: String = meta(&transaction, "key")?.ok_or_else(|| damaged("it has no key"))?;
    if key != expected.key_fingerprint {
        return Err(Failure::Queue(QueueError::OtherKey {
            path: path.display().to_string(),
            found: key,
            expected: expected.key_fingerprint.to_string(),
        }));
    }
    let boot: Option<String> = meta(&transaction, "boot")?;
    if boot.as_deref() != Some(expected.boot) {
        transaction.execute_batch("DELETE FROM lease; DELETE FROM member;")?;
        set_meta(&transaction, "boot", expected.boot)?;
    }
    let partitions: Partition = meta(&transaction, "partitions")?
        .filter(|partitions| *partitions > 0)
        .ok_or_else(|| damaged("it has no partitions"))?;
    transaction.commit()?;
    Ok(partitions)
}

fn migrate(
    path: &Path,
    connection: &Connection,
    found: i64,
    steps: &[Step],
) -> Result<(), Failure> {
    if found > FORMAT {
        return Err(Failure::Queue(QueueError::Newer {
            path: path.display().to_string(),
            found,
            known: FORMAT,
        }));
    }
    for format in found..FORMAT {
        let step = steps
            .iter()
            .find(|step| step.from == format)
            .ok_or_else(|| QueueError::Damaged {
                path: path.display().to_string(),
                what: format!("format {format} is unknown"),
            })?;
        connection.execute_batch(step.sql)?;
        set_meta(connection, "format", format + 1)?;
    }
    Ok(())
}

pub(super) fn meta<T: rusqlite::types::FromSql>(
    connection: &Connection,
    name: &str,
) -> rusqlite::Result<Option<T>> {
    connection
        .query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| {
            row.get(0)
        })
        .optional()
}

fn set_meta(
    connection: &Connection,
    name: &str,
    value: impl rusqlite::ToSql,
) -> rusqlite::Result<usize> {
    connection.execute(
        "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)",
        params![name, value],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: Expected = Expected {
        create: true,
        key_fingerprint: "k",
        partitions: 8,
        boot: "b",
        busy_wait: BUSY_WAIT,
    };

    fn fresh(directory: &tempfile::TempDir) -> (std::path::PathBuf, Connection) {
        let path = directory.path().join("queue.db");
        create_file(&path).unwrap();
        let mut connection = connect(&path, Durability::Full, &BusyWait::new(BUSY_WAIT)).unwrap();
        assert_eq!(prepare(&path, &mut connection, &EXPECTED, STEPS), Ok(8));
        (path, connection)
    }

    #[test]
    fn an_older_format_is_migrated() {
        let directory = tempfile::tempdir().unwrap();
        let (path, mut connection) = fresh(&directory);
        connection
            .execute_batch("DROP TABLE progress; UPDATE meta SET value = 0 WHERE name = 'format'")
            .unwrap();
        assert!(matches!(
            prepare(&path, &mut connection, &EXPECTED, STEPS),
            Err(QueueError::Damaged { .. })
        ));
        let bad = [Step {
            from: 0,
            sql: "CREATE TABLE progress (partition INTEGER); CREATE TABLE progress (partition INTEGER);",
        }];
        assert!(prepare(&path, &mut connection, &EXPECTED, &bad).is_err());
        let good = [Step {
            from: 0,
            sql: "CREATE TABLE progress (partition INTEGER PRIMARY KEY, offset INTEGER, text TEXT);",
        }];
        // The failed step left nothing behind, else this one would find the table there.
        assert_eq!(prepare(&path, &mut connection, &EXPECTED, &good), Ok(8));
        assert_eq!(meta(&connection, "format"), Ok(Some(1i64)));
        assert_eq!(prepare(&path, &mut connection, &EXPECTED, &[]), Ok(8));
    }

    #[test]
    fn leases_of_another_boot_are_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let (path, mut connection) = fresh(&directory);
        let count = |connection: &Connection| -> i64 {
            connection
                .query_row("SELECT count(*) FROM lease", [], |row| row.get(0))
                .unwrap()
        };
        connection
            .execute_batch("INSERT INTO lease VALUES (1, 1, 1, 99)")
            .unwrap();
        prepare(&path, &mut connection, &EXPECTED, STEPS).unwrap();
        assert_eq!(count(&connection), 1);
        let rebooted = Expected {
            boot: "c",
            ..EXPECTED
        };
        prepare(&path, &mut connection, &rebooted, STEPS).unwrap();
        assert_eq!(count(&connection), 0);
    }
}
