//! The runtime of a command.

use crate::commands::Failure;
use std::future::Future;
use tokio::task::LocalSet;

/// Runs the asynchronous part of a command on this thread.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::try_later(format!("cannot start: {error}")))?;
    let result = LocalSet::new().block_on(&runtime, work);
    // Threads that wait for a name server must not delay the exit.
    runtime.shutdown_background();
    result
}
