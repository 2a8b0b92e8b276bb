//! The runtime of a command.

use crate::commands::Failure;
use std::future::Future;
use tokio::task::LocalSet;

/// Runs a command's asynchronous part to its end, on this thread.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::try_later(format!("cannot start: {error}")))?;
    let result = LocalSet::new().block_on(&runtime, work);
    // Threads that wait for a name server must not hold up the end.
    runtime.shutdown_background();
    result
}
