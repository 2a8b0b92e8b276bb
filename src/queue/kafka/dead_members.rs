//! Lets a new member wait for killed workers of its host, which stay members until their session ends.
//!
//! While one of them is a member, a rebalance cannot complete, so a new member gets no partitions. The other members
//! suffer too: on a connection on which a member waits for its place, a broker answers nothing else, commits included.

use crate::domain::worker_name::process_of;
use crate::queue::{Member, QueueError};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// Waits until no dead worker of this host is a member, for one session each at the most: a process that cannot be seen
/// from here, in another container of the same host name, may be alive.
pub(super) async fn wait(
    members: impl AsyncFn() -> Result<Vec<Member>, QueueError>,
    session: Duration,
    me: &str,
) -> Result<(), QueueError> {
    let mut seen: BTreeMap<String, Instant> = BTreeMap::new();
    loop {
        let mut must_wait = false;
        for member in members().await? {
            if !is_dead(&member.name, me) {
                continue;
            }
            let since = seen.entry(member.name).or_insert_with_key(|name| {
                tracing::warn!("worker `{name}` on this host has ended; this one joins the group when its session expires, within {session:?}");
                Instant::now()
            });
            must_wait |= since.elapsed() < session;
        }
        if !must_wait {
            return Ok(());
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

/// Whether a worker's process, on this host, has ended. If this process has the same number, the other one has ended.
fn is_dead(name: &str, me: &str) -> bool {
    let (Some((host, process)), Some((here, own))) = (process_of(name), process_of(me)) else {
        return false;
    };
    let is_running = |process: u32| {
        let number = i32::try_from(process).ok().and_then(Pid::from_raw);
        number.is_some_and(|number| test_kill_process(number) != Err(Errno::SRCH))
    };
    name != me && host == here && (process == own || !is_running(process))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::worker_name::{of_instance, of_process};
    use std::process::Command;

    #[test]
    fn only_a_process_of_this_host_that_has_ended_is_dead() {
        let me = of_process("here", 7, 1);
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let other = of_process("here", child.id(), 2);
        assert!(!is_dead(&other, &me));
        assert!(!is_dead(&me, &me));
        assert!(is_dead(&of_process("here", 7, 2), &me));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_dead(&other, &me));
        assert!(!is_dead(&of_process("there", child.id(), 2), &me));
        assert!(!is_dead(&of_instance("here", "a"), &me));
    }
}
