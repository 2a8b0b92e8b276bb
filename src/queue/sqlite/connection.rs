//! SQLite connections on threads of their own.
//!
//! Jobs that wait for the writer run in order in one transaction (group commit) and are answered after it. Each runs in a
//! savepoint, so a job that fails is rolled back alone.

use super::failure::{Failure, explain, is_busy};
use super::identity::Identity;
use crate::queue::QueueError;
use rusqlite::{Connection, ErrorCode};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// A transaction takes no more jobs after this, so that other processes get the write lock.
const MAX_TRANSACTION_BYTES: usize = 8 * 1024 * 1024;
/// How long a writer with more jobs leaves the write lock to others. Their busy handlers try every millisecond.
const YIELD: Duration = Duration::from_millis(2);

/// A job and its caller. It may run more than once, each time after a rollback; the last run counts.
trait Job: Send {
    fn bytes(&self) -> usize;
    fn runs_outside_transaction(&self) -> bool;
    fn run(&mut self, connection: &Connection) -> Result<(), Failure>;
    fn answer(self: Box<Self>, result: Result<(), QueueError>);
}

struct Task<T, F> {
    bytes: usize,
    outside_transaction: bool,
    job: F,
    value: Option<T>,
    answer: oneshot::Sender<Result<T, QueueError>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnMut(&Connection) -> Result<T, Failure> + Send,
{
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn runs_outside_transaction(&self) -> bool {
        self.outside_transaction
    }

    fn run(&mut self, connection: &Connection) -> Result<(), Failure> {
        self.value = Some((self.job)(connection)?);
        Ok(())
    }

    fn answer(self: Box<Self>, result: Result<(), QueueError>) {
        let Task { value, answer, .. } = *self;
        let missing = || QueueError::Unknown("the job did not run".to_string());
        // The caller may have dropped its future; the job is done all the same.
        let _ = answer.send(result.and_then(|()| value.ok_or_else(missing)));
    }
}

/// What a thread does with its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// A handle on a thread with a connection. The thread ends when the last handle is dropped.
#[derive(Clone)]
pub(super) struct ConnectionThread {
    sender: Sender<Box<dyn Job>>,
    path: Arc<Path>,
}

impl ConnectionThread {
    pub(super) fn spawn(
        kind: Access,
        connection: Connection,
        path: &Path,
        identity: Identity,
    ) -> Result<ConnectionThread, QueueError> {
        let (sender, receiver) = channel();
        let thread = ConnectionThread {
            sender,
            path: Arc::from(path),
        };
        let owned = path.to_path_buf();
        let name = match kind {
            Access::Read => "queue-reader",
            Access::Write => "queue-writer",
        };
        std::thread::Builder::new()
            .name(name.to_string())
            .spawn(move || match kind {
                Access::Read => read(&connection, (&owned, &identity), &receiver),
                Access::Write => write(&connection, (&owned, &identity), &receiver),
            })
            .map_err(|error| QueueError::NoThread(error.to_string()))?;
        Ok(thread)
    }

    /// Runs a job that writes about `bytes`, and waits until it is durable. If the future is dropped, the job still runs.
    pub(super) async fn run<T, F>(&self, bytes: usize, job: F) -> Result<T, QueueError>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T, Failure> + Send + 'static,
    {
        let answer = self.send(bytes, false, job);
        answer.await.map_err(|_| self.gone())?
    }

    /// Runs a job alone and outside of any transaction.
    pub(super) async fn run_outside_transaction<T, F>(&self, job: F) -> Result<T, QueueError>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T, Failure> + Send + 'static,
    {
        let answer = self.send(0, true, job);
        answer.await.map_err(|_| self.gone())?
    }

    /// The same as `run` for threads that may block.
    pub(super) fn run_blocking<T, F>(&self, job: F) -> Result<T, QueueError>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T, Failure> + Send + 'static,
    {
        let answer = self.send(0, false, job);
        answer.blocking_recv().map_err(|_| self.gone())?
    }

    fn send<T, F>(
        &self,
        bytes: usize,
        outside_transaction: bool,
        job: F,
    ) -> oneshot::Receiver<Result<T, QueueError>>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T, Failure> + Send + 'static,
    {
        let (answer, receiver) = oneshot::channel();
        // If the thread has ended, the job is dropped with its sender, and the receiver reports that.
        let _ = self.sender.send(Box::new(Task {
            bytes,
            outside_transaction,
            job,
            value: None,
            answer,
        }));
        receiver
    }

    fn gone(&self) -> QueueError {
        QueueError::Broken {
            path: self.path.display().to_string(),
            what: "its thread has ended".to_string(),
        }
    }
}

/// Path and identity of a connection's file.
type OpenedFile<'a> = (&'a Path, &'a Identity);

fn read(connection: &Connection, file: OpenedFile, jobs: &Receiver<Box<dyn Job>>) {
    let (path, identity) = file;
    while let Ok(mut task) = jobs.recv() {
        let result = match identity.check() {
            Ok(()) => one_read(connection, task.as_mut()),
            Err(gone) => Err(gone.into()),
        };
        task.answer(result.map_err(|failure| failure.explain(path)));
    }
}

/// Reads in one transaction, so that all statements of a job see the same state of the file.
fn one_read(connection: &Connection, task: &mut dyn Job) -> Result<(), Failure> {
    let transaction = connection.unchecked_transaction()?;
    task.run(&transaction)?;
    transaction.commit()?;
    Ok(())
}

fn write(connection: &Connection, file: OpenedFile, jobs: &Receiver<Box<dyn Job>>) {
    let (path, identity) = file;
    let mut waiting: Option<Box<dyn Job>> = None;
    while let Some(first) = waiting.take().or_else(|| jobs.recv().ok()) {
        if let Err(gone) = identity.check() {
            first.answer(Err(gone));
            continue;
        }
        if first.runs_outside_transaction() {
            let mut task = first;
            let result = task.run(connection);
            task.answer(result.map_err(|failure| failure.explain(path)));
            continue;
        }
        let mut bytes = first.bytes();
        let mut group = vec![first];
        while let Ok(next) = jobs.try_recv() {
            bytes = bytes.saturating_add(next.bytes());
            if next.runs_outside_transaction() || bytes > MAX_TRANSACTION_BYTES {
                waiting = Some(next);
                break;
            }
            group.push(next);
        }
        commit_group(connection, file, group);
        if waiting.is_some() {
            std::thread::sleep(YIELD);
        }
    }
}

/// Where a transaction failed.
enum TransactionError {
    /// No job ran.
    Begin(rusqlite::Error),
    /// Rolled back before its commit: the file is gone.
    Gone(QueueError),
    /// SQLite has rolled everything back.
    Inside(rusqlite::Error),
    /// The result may be unknown: see `after_commit`.
    Commit(rusqlite::Error),
}

fn commit_group(connection: &Connection, file: OpenedFile, mut group: Vec<Box<dyn Job>>) {
    let (path, identity) = file;
    match run_group(connection, identity, &mut group) {
        Ok(results) => {
            for (task, result) in group.into_iter().zip(results) {
                task.answer(result.map_err(|failure| failure.explain(path)));
            }
        }
        Err(TransactionError::Begin(error)) => {
            for task in group {
                task.answer(Err(explain(path, &error)));
            }
        }
        Err(TransactionError::Gone(error)) => {
            for task in group {
                task.answer(Err(error.clone()));
            }
        }
        // Together the jobs did not fit on the disk. Each is tried alone, so that only those fail that do not fit.
        Err(_) if group.len() > 1 => {
            for task in group {
                commit_group(connection, file, vec![task]);
            }
        }
        Err(TransactionError::Inside(error)) => {
            for task in group {
                task.answer(Err(explain(path, &error)));
            }
        }
        Err(TransactionError::Commit(error)) => {
            for task in group {
                task.answer(Err(after_commit(path, &error)));
            }
        }
    }
}

/// A full disk is found before the commit record is written. After any other error the record may be in the WAL.
fn after_commit(path: &Path, error: &rusqlite::Error) -> QueueError {
    if is_busy(error) || error.sqlite_error_code() == Some(ErrorCode::DiskFull) {
        explain(path, error)
    } else {
        QueueError::Unknown(error.to_string())
    }
}

fn run_group(
    connection: &Connection,
    identity: &Identity,
    group: &mut [Box<dyn Job>],
) -> Result<Vec<Result<(), Failure>>, TransactionError> {
    batch(connection, "BEGIN IMMEDIATE").map_err(TransactionError::Begin)?;
    let mut results = Vec::with_capacity(group.len());
    for task in group {
        results.push(in_savepoint(connection, task.as_mut()).map_err(|error| {
            roll_back(connection);
            TransactionError::Inside(error)
        })?);
    }
    // Waiting for the write lock may have taken long.
    if let Err(gone) = identity.check() {
        roll_back(connection);
        return Err(TransactionError::Gone(gone));
    }
    match batch(connection, "COMMIT") {
        Ok(()) => Ok(results),
        Err(error) => {
            roll_back(connection);
            Err(TransactionError::Commit(error))
        }
    }
}

/// Runs one job in a savepoint. The outer error is the transaction's: a full disk rolls all of it back.
fn in_savepoint(
    connection: &Connection,
    task: &mut dyn Job,
) -> Result<Result<(), Failure>, rusqlite::Error> {
    batch(connection, "SAVEPOINT task")?;
    match task.run(connection) {
        Ok(()) => {
            batch(connection, "RELEASE task")?;
            Ok(Ok(()))
        }
        Err(Failure::Sqlite(error)) if connection.is_autocommit() => Err(error),
        Err(failure) => {
            batch(connection, "ROLLBACK TO task")?;
            batch(connection, "RELEASE task")?;
            Ok(Err(failure))
        }
    }
}

fn roll_back(connection: &Connection) {
    if !connection.is_autocommit() {
        // If this fails, the next BEGIN fails and reports it.
        let _ = batch(connection, "ROLLBACK");
    }
}

fn batch(connection: &Connection, sql: &'static str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn count(connection: &Connection) -> i64 {
        connection
            .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
            .unwrap()
    }

    fn insert(connection: &Connection) -> Result<i64, Failure> {
        connection.execute("INSERT INTO t VALUES (1)", [])?;
        Ok(count(connection))
    }

    fn file() -> (tempfile::TempDir, PathBuf, ConnectionThread) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("t.db");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (n INTEGER)")
            .unwrap();
        let writer =
            ConnectionThread::spawn(Access::Write, connection, &path, Identity::default()).unwrap();
        (directory, path, writer)
    }

    /// The first job blocks the writer until the others wait, so that they are one group.
    async fn behind_a_gate<T>(writer: &ConnectionThread, asked: impl Future<Output = T>) -> T {
        let (open, gate) = channel::<()>();
        let first = writer.run(MAX_TRANSACTION_BYTES, move |_| {
            let _ = gate.recv();
            Ok(())
        });
        let opened = async {
            open.send(()).unwrap();
        };
        let (first, asked, ()) = tokio::join!(first, asked, opened);
        first.unwrap();
        asked
    }

    #[tokio::test]
    async fn waiting_jobs_are_written_in_one_transaction() {
        let (_directory, path, writer) = file();
        let asked = async {
            tokio::join!(
                writer.run(10, insert),
                writer.run(10, insert),
                writer.run(10, move |_| Ok(count(&Connection::open(&path)?))),
                writer.run(MAX_TRANSACTION_BYTES, insert),
            )
        };
        let (one, two, outside, next) = behind_a_gate(&writer, asked).await;
        assert_eq!((one, two), (Ok(1), Ok(2)));
        assert_eq!(outside, Ok(0), "nothing was durable yet");
        assert_eq!(next, Ok(3));
    }

    #[tokio::test]
    async fn a_failed_job_leaves_nothing_behind() {
        let (_directory, path, writer) = file();
        let refused = QueueError::Unknown("refused".into());
        let answer = refused.clone();
        let asked = async {
            tokio::join!(
                writer.run(1, insert),
                writer.run(1, move |connection| {
                    insert(connection)?;
                    Err::<(), _>(Failure::Queue(answer.clone()))
                }),
                writer.run(1, |connection| {
                    insert(connection)?;
                    connection.execute("INSERT INTO no_table VALUES (1)", [])?;
                    Ok(())
                }),
                writer.run(1, insert),
            )
        };
        let (one, two, three, four) = behind_a_gate(&writer, asked).await;
        assert!(one.is_ok() && four.is_ok());
        assert_eq!(two, Err(refused));
        assert!(matches!(three, Err(QueueError::Away { .. })));
        assert_eq!(count(&Connection::open(&path).unwrap()), 2);
    }
}
