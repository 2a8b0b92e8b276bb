//! The runtime of a command.

use crate::commands::{Failure, MORE_FILES};
use std::future::Future;
use std::os::unix::net::UnixStream;
use tokio::task::LocalSet;

/// Runs the asynchronous part of a command on this thread.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    require_descriptors().map_err(|error| {
        Failure::try_later(format!("cannot start: {error}")).with_hint(MORE_FILES)
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::try_later(format!("cannot start: {error}")))?;
    let result = LocalSet::new().block_on(&runtime, work);
    // Threads that wait for a name server must not delay the exit.
    runtime.shutdown_background();
    result
}

/// The runtime panics without the descriptors that it needs for timers and signals.
fn require_descriptors() -> std::io::Result<()> {
    let pairs: Result<Vec<_>, _> = (0..3).map(|_| UnixStream::pair()).collect();
    pairs.map(drop)
}
