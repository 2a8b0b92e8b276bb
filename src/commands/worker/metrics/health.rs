//! What `/healthz` and `/readyz` answer.
//!
//! A worker that waits for its queue or its relays is alive: ending it would leave in doubt what it has in flight, and
//! another one would wait as well. So only a journal that has stood still for much longer than an outage of a broker or
//! a lock of a file takes makes `/healthz` fail.

use crate::engine::worker::figures::{LanesState, Vitals};
use std::time::Duration;

/// The journal has ended a cycle within this.
const ALIVE_WITHIN: Duration = Duration::from_secs(15 * 60);
/// A worker whose journal takes longer sends nothing, because claims have run out.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Errors: why it should be started again. `None`: the worker is joining the queue.
pub fn alive(worker: Option<&Vitals>) -> Result<(), String> {
    match worker {
        Some(vitals) if vitals.idle_for > ALIVE_WITHIN => Err(stands_still(vitals)),
        _ => Ok(()),
    }
}

/// A worker that has joined may be given partitions at any time, so one without partitions is ready as well. A relay
/// that was not tried yet counts as reachable.
pub fn ready(worker: Option<(&Vitals, &LanesState)>) -> Result<(), String> {
    let Some((vitals, lanes)) = worker else {
        return Err("the worker has not joined the queue yet".to_string());
    };
    if vitals.is_stopping {
        return Err("the worker is stopping".to_string());
    }
    if vitals.idle_for > READY_WITHIN {
        return Err(stands_still(vitals));
    }
    if lanes.relays.iter().all(|relay| relay.is_paused) {
        return Err("every relay is paused after failures".to_string());
    }
    Ok(())
}

fn stands_still(vitals: &Vitals) -> String {
    let seconds = vitals.idle_for.as_secs();
    format!("the journal has ended no cycle for {seconds}s: the queue does not answer")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::worker::figures::RelayState;

    fn idle(seconds: u64) -> Vitals {
        Vitals {
            idle_for: Duration::from_secs(seconds),
            ..Vitals::default()
        }
    }

    fn relays(paused: &[bool]) -> LanesState {
        let relays = paused.iter().map(|is_paused| RelayState {
            name: "a".to_string(),
            share: None,
            open_connections: 0,
            attempts: 0,
            is_paused: *is_paused,
        });
        LanesState {
            relays: relays.collect(),
            ..LanesState::default()
        }
    }

    #[test]
    fn an_outage_makes_a_worker_unready_and_leaves_it_alive() {
        assert_eq!(alive(None), Ok(()));
        assert_eq!(alive(Some(&idle(600))), Ok(()));
        assert!(alive(Some(&idle(901))).is_err());
        let good = relays(&[true, false]);
        assert_eq!(ready(Some((&idle(1), &good))), Ok(()));
        assert!(ready(Some((&idle(31), &good))).is_err());
        assert!(ready(Some((&idle(1), &relays(&[true, true])))).is_err());
        assert!(ready(None).is_err());
        let stopping = Vitals {
            is_stopping: true,
            ..idle(0)
        };
        assert!(ready(Some((&stopping, &good))).is_err());
    }
}
