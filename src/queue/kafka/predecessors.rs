//! Workers of this host that were killed: members of the group until their session ends. While one is, whoever joins
//! stops everyone. Nobody gets a place before the dead one's session is over, and on a connection on which a member
//! waits for its place a broker answers nothing, its commits included. So whoever joins waits for that end first.

use super::KafkaQueue;
use crate::domain::worker_name::process_of;
use crate::queue::{Queue, QueueError};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const LOOK: Duration = Duration::from_millis(200);

/// For each a session at the most: a process that cannot be seen from here may be alive all the same.
pub(super) async fn wait(queue: &KafkaQueue, me: &str) -> Result<(), QueueError> {
    let session = queue.settings.session();
    let mut seen: BTreeMap<String, Instant> = BTreeMap::new();
    loop {
        let mut is_alone = true;
        for member in queue.members().await? {
            if !is_gone(&member.name, me) {
                continue;
            }
            let since = seen.entry(member.name).or_insert_with_key(|name| {
                tracing::warn!("worker `{name}` on this host has ended; this one joins the group when its session expires, within {session:?}");
                Instant::now()
            });
            is_alone &= since.elapsed() >= session;
        }
        if is_alone {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A process of this worker's host that runs no more, or whose number this one has now.
fn is_gone(name: &str, me: &str) -> bool {
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
    fn only_a_process_of_this_host_that_has_ended_is_gone() {
        let me = of_process("here", 7, 1);
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let other = of_process("here", child.id(), 2);
        assert!(!is_gone(&other, &me));
        assert!(!is_gone(&me, &me));
        assert!(is_gone(&of_process("here", 7, 2), &me));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_gone(&other, &me));
        assert!(!is_gone(&of_process("there", child.id(), 2), &me));
        assert!(!is_gone(&of_instance("here", "a"), &me));
    }
}
