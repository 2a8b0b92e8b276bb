//! SQLite on threads of its own. What waits for the writer is done in order in one transaction (group commit) and
//! answered after it; one that fails does not fail its neighbours.

use super::failure::{Failure, explain, is_busy};
use crate::queue::QueueError;
use rusqlite::{Connection, ErrorCode};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// A transaction takes no more work after this: others want a turn.
const MAX_TRANSACTION_BYTES: usize = 8 * 1024 * 1024;
/// How long a writer with more to do stays away from the lock; other processes look every millisecond.
const TURN: Duration = Duration::from_millis(2);

/// What a thread is asked to do, and who waits for it. May run more than once; only the last run counts.
trait Work: Send {
    fn bytes(&self) -> usize;
    /// Not inside a transaction.
    fn is_bare(&self) -> bool;
    fn run(&mut self, connection: &Connection) -> Result<(), Failure>;
    fn answer(self: Box<Self>, fate: Result<(), QueueError>);
}

struct Task<T, F> {
    bytes: usize,
    bare: bool,
    job: F,
    value: Option<T>,
    answer: oneshot::Sender<Result<T, QueueError>>,
}

impl<T, F> Work for Task<T, F>
where
    T: Send,
    F: FnMut(&Connection) -> Result<T, Failure> + Send,
{
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn is_bare(&self) -> bool {
        self.bare
    }

    fn run(&mut self, connection: &Connection) -> Result<(), Failure> {
        self.value = Some((self.job)(connection)?);
        Ok(())
    }

    fn answer(self: Box<Self>, fate: Result<(), QueueError>) {
        let Task { value, answer, .. } = *self;
        let missing = || QueueError::Unknown("work was not done".to_string());
        // Who asked may have gone; the work is done all the same.
        let _ = answer.send(fate.and_then(|()| value.ok_or_else(missing)));
    }
}

/// What a thread does with its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Reads,
    Writes,
}

/// A thread with a connection; ends when the last handle is gone.
#[derive(Clone)]
pub(super) struct Thread {
    sender: Sender<Box<dyn Work>>,
    path: Arc<Path>,
}

impl Thread {
    pub(super) fn spawn(
        kind: Kind,
        connection: Connection,
        path: &Path,
    ) -> Result<Thread, QueueError> {
        let (sender, receiver) = channel();
        let thread = Thread {
            sender,
            path: Arc::from(path),
        };
        let owned = path.to_path_buf();
        let name = match kind {
            Kind::Reads => "queue-reader",
            Kind::Writes => "queue-writer",
        };
        std::thread::Builder::new()
            .name(name.to_string())
            .spawn(move || match kind {
                Kind::Reads => read(&connection, &owned, &receiver),
                Kind::Writes => write(&connection, &owned, &receiver),
            })
            .map_err(|error| super::schema::away(path, error))?;
        Ok(thread)
    }

    /// Does a job of about so many bytes and waits for it to be durable.
    pub(super) async fn ask<T, F>(&self, bytes: usize, job: F) -> Result<T, QueueError>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T, Failure> + Send + 'static,
    {
        let answer = self.send(bytes, false, job);
        answer.await.map_err(|_| self.gone())?
    }

    /// Outside of any transaction, alone.
    pub(super) async fn ask_bare<T, F>(&self, job: F) -> Result<T, QueueError>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T, Failure> + Send + 'static,
    {
        let answer = self.send(0, true, job);
        answer.await.map_err(|_| self.gone())?
    }

    /// For threads that may block.
    pub(super) fn ask_blocking<T, F>(&self, job: F) -> Result<T, QueueError>
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
        bare: bool,
        job: F,
    ) -> oneshot::Receiver<Result<T, QueueError>>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T, Failure> + Send + 'static,
    {
        let (answer, receiver) = oneshot::channel();
        // A thread that is gone drops the work, and its waiter hears of it.
        let _ = self.sender.send(Box::new(Task {
            bytes,
            bare,
            job,
            value: None,
            answer,
        }));
        receiver
    }

    fn gone(&self) -> QueueError {
        QueueError::Unknown(format!("the thread of `{}` stopped", self.path.display()))
    }
}

fn read(connection: &Connection, path: &Path, work: &Receiver<Box<dyn Work>>) {
    while let Ok(mut task) = work.recv() {
        let fate = one_read(connection, task.as_mut());
        task.answer(fate.map_err(|failure| failure.explain(path)));
    }
}

/// Several statements see one state of the file.
fn one_read(connection: &Connection, task: &mut dyn Work) -> Result<(), Failure> {
    let transaction = connection.unchecked_transaction()?;
    task.run(&transaction)?;
    transaction.commit()?;
    Ok(())
}

fn write(connection: &Connection, path: &Path, work: &Receiver<Box<dyn Work>>) {
    let mut waiting: Option<Box<dyn Work>> = None;
    while let Some(first) = waiting.take().or_else(|| work.recv().ok()) {
        if first.is_bare() {
            let mut task = first;
            let fate = task.run(connection);
            task.answer(fate.map_err(|failure| failure.explain(path)));
            continue;
        }
        let mut bytes = first.bytes();
        let mut group = vec![first];
        while let Ok(next) = work.try_recv() {
            bytes = bytes.saturating_add(next.bytes());
            if next.is_bare() || bytes > MAX_TRANSACTION_BYTES {
                waiting = Some(next);
                break;
            }
            group.push(next);
        }
        finish(connection, path, group);
        if waiting.is_some() {
            std::thread::sleep(TURN);
        }
    }
}

/// Where a transaction failed.
enum Broken {
    /// Nothing was done.
    Begin(rusqlite::Error),
    /// SQLite rolled everything back.
    Inside(rusqlite::Error),
    Commit(rusqlite::Error),
}

fn finish(connection: &Connection, path: &Path, mut group: Vec<Box<dyn Work>>) {
    match transact(connection, &mut group) {
        Ok(fates) => {
            for (task, fate) in group.into_iter().zip(fates) {
                task.answer(fate.map_err(|failure| failure.explain(path)));
            }
        }
        Err(Broken::Begin(error)) => {
            for task in group {
                task.answer(Err(explain(path, &error)));
            }
        }
        // What does not fit together may fit alone: only those are refused that do not.
        Err(_) if group.len() > 1 => {
            for task in group {
                finish(connection, path, vec![task]);
            }
        }
        Err(Broken::Inside(error)) => {
            for task in group {
                task.answer(Err(explain(path, &error)));
            }
        }
        Err(Broken::Commit(error)) => {
            for task in group {
                task.answer(Err(after_commit(path, &error)));
            }
        }
    }
}

/// A full disk is found before the commit mark is written; after any other error it may stand in the log.
fn after_commit(path: &Path, error: &rusqlite::Error) -> QueueError {
    if is_busy(error) || error.sqlite_error_code() == Some(ErrorCode::DiskFull) {
        explain(path, error)
    } else {
        QueueError::Unknown(error.to_string())
    }
}

fn transact(
    connection: &Connection,
    group: &mut [Box<dyn Work>],
) -> Result<Vec<Result<(), Failure>>, Broken> {
    batch(connection, "BEGIN IMMEDIATE").map_err(Broken::Begin)?;
    let mut fates = Vec::with_capacity(group.len());
    for task in group {
        fates.push(guarded(connection, task.as_mut()).map_err(|error| {
            roll_back(connection);
            Broken::Inside(error)
        })?);
    }
    match batch(connection, "COMMIT") {
        Ok(()) => Ok(fates),
        Err(error) => {
            roll_back(connection);
            Err(Broken::Commit(error))
        }
    }
}

/// One task in a savepoint. The outer error is the transaction's: a full disk rolls all of it back.
fn guarded(
    connection: &Connection,
    task: &mut dyn Work,
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
        // Nothing better can be done about an error here: the next BEGIN fails and says so.
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

    fn file() -> (tempfile::TempDir, PathBuf, Thread) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("t.db");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (n INTEGER)")
            .unwrap();
        let writer = Thread::spawn(Kind::Writes, connection, &path).unwrap();
        (directory, path, writer)
    }

    /// The first job holds the writer until the others wait; so they are one group.
    async fn behind_a_gate<T>(writer: &Thread, asked: impl Future<Output = T>) -> T {
        let (open, gate) = channel::<()>();
        let first = writer.ask(MAX_TRANSACTION_BYTES, move |_| {
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
    async fn who_waits_together_is_written_together() {
        let (_directory, path, writer) = file();
        let asked = async {
            tokio::join!(
                writer.ask(10, insert),
                writer.ask(10, insert),
                writer.ask(10, move |_| Ok(count(&Connection::open(&path)?))),
                writer.ask(MAX_TRANSACTION_BYTES, insert),
            )
        };
        let (one, two, outside, next) = behind_a_gate(&writer, asked).await;
        assert_eq!((one, two), (Ok(1), Ok(2)));
        assert_eq!(outside, Ok(0), "nothing was durable yet");
        assert_eq!(next, Ok(3));
    }

    #[tokio::test]
    async fn what_fails_leaves_nothing() {
        let (_directory, path, writer) = file();
        let refused = QueueError::Unknown("refused".into());
        let answer = refused.clone();
        let asked = async {
            tokio::join!(
                writer.ask(1, insert),
                writer.ask(1, move |connection| {
                    insert(connection)?;
                    Err::<(), _>(Failure::Queue(answer.clone()))
                }),
                writer.ask(1, |connection| {
                    insert(connection)?;
                    connection.execute("INSERT INTO no_table VALUES (1)", [])?;
                    Ok(())
                }),
                writer.ask(1, insert),
            )
        };
        let (one, two, three, four) = behind_a_gate(&writer, asked).await;
        assert!(one.is_ok() && four.is_ok());
        assert_eq!(two, Err(refused));
        assert!(matches!(three, Err(QueueError::Away { .. })));
        assert_eq!(count(&Connection::open(&path).unwrap()), 2);
    }
}
