//! Turns SQLite's errors into the queue's.

use crate::queue::QueueError;
use rusqlite::{ErrorCode, Row, ffi};
use std::path::Path;

/// Why a job failed: an error of the queue or of SQLite.
#[derive(Debug)]
pub(super) enum Failure {
    Queue(QueueError),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Failure {
        Failure::Sqlite(error)
    }
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Failure {
        Failure::Queue(error)
    }
}

impl Failure {
    pub(super) fn explain(self, path: &Path) -> QueueError {
        match self {
            Failure::Queue(error) => error,
            Failure::Sqlite(error) => explain(path, &error),
        }
    }
}

/// A number of a row that cannot be negative.
pub(super) fn unsigned(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(index)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, number))
}

/// SQLite reports ENOSPC as `SQLITE_FULL` for the file and the log, and as `IOERR_SHMSIZE` for the shared index.
pub(super) fn explain(path: &Path, error: &rusqlite::Error) -> QueueError {
    let path = path.display().to_string();
    let what = error.to_string();
    let Some(code) = error.sqlite_error() else {
        // A value that the schema does not allow.
        return QueueError::Damaged { path, what };
    };
    match code.code {
        ErrorCode::DiskFull => QueueError::Full { path },
        _ if code.extended_code == ffi::SQLITE_IOERR_SHMSIZE => QueueError::Full { path },
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => QueueError::Damaged { path, what },
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => QueueError::Away {
            path,
            what: "another process keeps it locked".to_string(),
        },
        _ => QueueError::Away { path, what },
    }
}

pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}
