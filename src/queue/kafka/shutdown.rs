//! Waits at the end of the process until the threads of librdkafka's clients have ended. They use OpenSSL, whose exit
//! handler frees what they still use: a process that exited under them crashed.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

static OPEN: Mutex<usize> = Mutex::new(0);
static CLOSED: Condvar = Condvar::new();

/// A client that is not closed. It is part of the client's context, which librdkafka drops after the client's threads.
pub(super) struct OpenClient;

impl OpenClient {
    pub fn new() -> OpenClient {
        *OPEN.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        OpenClient
    }
}

impl Clone for OpenClient {
    fn clone(&self) -> OpenClient {
        OpenClient::new()
    }
}

impl Drop for OpenClient {
    fn drop(&mut self) {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        *open = open.saturating_sub(1);
        drop(open);
        CLOSED.notify_all();
    }
}

/// Waits until all clients are closed, after their handles were dropped, for so long at the most: closing takes longer
/// while the cluster is away.
pub fn wait_until_closed(at_most: Duration) {
    let open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let ended = CLOSED.wait_timeout_while(open, at_most, |open| *open > 0);
    drop(ended);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn waits_for_the_last_client() {
        let (first, second) = (OpenClient::new(), OpenClient::new().clone());
        drop(first);
        let begun = Instant::now();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            drop(second);
        });
        wait_until_closed(Duration::from_secs(60));
        assert!(begun.elapsed() >= Duration::from_millis(100));
        thread.join().unwrap();
    }
}
