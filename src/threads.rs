//! Work on threads of their own. The system refuses a thread when a limit of processes is reached; tokio's pool panics
//! then, so nothing here goes through it.

use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokio::sync::oneshot;

/// Why work has no result.
#[derive(Debug, thiserror::Error)]
pub enum ThreadError {
    #[error("cannot start a thread: {0}")]
    NotStarted(#[from] io::Error),
    #[error("a thread has ended before its work")]
    Ended,
}

/// Runs work that blocks on a thread of its own. If the future is dropped, the work goes on.
pub async fn run<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ThreadError> {
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new()
        .name("blocking".to_string())
        .spawn(move || {
            // Nobody waits for it any more if this fails.
            let _ = sender.send(work());
        })?;
    receiver.await.map_err(|_| ThreadError::Ended)
}

thread_local! {
    static IS_CATCHING: Cell<bool> = const { Cell::new(false) };
}

/// Runs what may panic by design of its library. `None`: it did.
pub fn catching<T>(work: impl FnOnce() -> T) -> Option<T> {
    let before = IS_CATCHING.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work)).ok();
    IS_CATCHING.set(before);
    result
}

/// Whether a panic of this thread is caught.
pub fn is_catching() -> bool {
    IS_CATCHING.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_ends_early_is_an_error() {
        assert_eq!(run(|| 7).await.ok(), Some(7));
        let ended: Result<(), ThreadError> = run(|| panic!("a bug")).await;
        assert!(matches!(ended, Err(ThreadError::Ended)));
    }

    #[test]
    fn only_what_is_caught_counts_as_caught() {
        assert!(!is_catching());
        assert_eq!(catching(is_catching), Some(true));
        assert_eq!(catching(|| panic!("by design")), None::<()>);
        assert!(!is_catching());
    }
}
