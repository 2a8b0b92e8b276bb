//! The end of clients. librdkafka's threads use OpenSSL, which the process takes away from under them when it exits: so
//! it waits until they have ended.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

static OPEN: Mutex<usize> = Mutex::new(0);
static CLOSED: Condvar = Condvar::new();

/// A client that has not ended. Part of its context, which outlives its threads.
pub(super) struct Open;

impl Open {
    pub fn new() -> Open {
        *OPEN.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Open
    }
}

impl Clone for Open {
    fn clone(&self) -> Open {
        Open::new()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        *open = open.saturating_sub(1);
        drop(open);
        CLOSED.notify_all();
    }
}

/// Waits until the clients of all handles that were dropped have ended, for so long at the most: with the cluster away
/// it may take them longer.
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
    fn the_last_to_end_is_waited_for() {
        let (first, second) = (Open::new(), Open::new().clone());
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
