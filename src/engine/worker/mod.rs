//! A worker: owns partitions, hands their messages to relays, and commits the outcomes. `protocol::machine` has the
//! rules; the worker carries them out, in one thread.
//!
//! - `journal` the cycle: outcomes in, effects appended, one commit, claims out
//! - `checkpoints` commits in the campaign topic, for queues that forget them
//! - `inbox` changes of ownership and finished reads, for the journal
//! - `fence` no final dot without the queue
//! - `lanes` where connections take their messages from; breakers and pace
//! - `records` events, moved messages and letters as records
//! - `figures`, `watch` counters and states for monitoring
//! - `hours` whether the send windows let mail leave now
//! - `followed` the campaign and suppression topics, read as they grow
//! - `settings` what a worker is given, what it reports

mod checkpoints;
mod fence;
pub mod figures;
mod followed;
mod goal;
mod hours;
mod inbox;
mod journal;
mod lanes;
mod reader;
mod records;
pub mod settings;
mod truncation;
mod watch;

pub use settings::{
    Goal, LeftWork, Notice, Observer, RelayLane, Setup, SiteLimit, Stop, Summary, WorkerError,
};

use journal::{Journal, STOP_DRAIN};
use lanes::Lanes;
use std::rc::Rc;
use std::time::Duration;

/// A worker that is opening has nothing in flight, so a stop waits no longer than this for an unavailable queue.
const STOP_OPENING: Duration = Duration::from_secs(5);
/// A journal whose queue answers ends by itself when its drain is over; one that still waits for the queue is cut off.
const CUT_OFF: Duration = STOP_DRAIN.saturating_add(Duration::from_secs(2));

/// Works until a stop is asked for or the goal of the setup is reached; then drains and leaves the group. Must run
/// inside a `LocalSet`: connections and reads are tasks of it.
pub async fn run(
    mut setup: Setup,
    stop: Rc<Stop>,
    observer: Rc<dyn Observer>,
) -> Result<Summary, WorkerError> {
    for lane in &mut setup.relays {
        fence::fence(lane, &setup.queue);
    }
    let setup = Rc::new(setup);
    let lanes = Lanes::new(setup.clone(), observer.clone());
    let connections = lanes::open_connections(&lanes);
    let opening = Journal::open(setup, lanes.clone(), observer);
    let mut journal = within(opening, &stop, STOP_OPENING).await?;
    let ended = within(journal.work(&stop), &stop, CUT_OFF).await;
    lanes.close();
    for connection in connections {
        connection.abort();
    }
    match ended {
        // After a cut the last commit is unknown: no checkpoint, and the next owner settles the claims as after a kill.
        Err(WorkerError::CutOff) => journal.abandon(),
        _ => journal.leave().await,
    }
    ended?;
    Ok(journal.summary())
}

/// Waits for something, but no longer than this once a stop was asked for. Then it drops the future at whatever await
/// it is, so every await in the journal must be safe to cancel: what must outlive the worker is in the queue before it.
async fn within<T>(
    work: impl Future<Output = Result<T, WorkerError>>,
    stop: &Stop,
    longest: Duration,
) -> Result<T, WorkerError> {
    let too_late = async {
        stop.asked().await;
        tokio::time::sleep(longest).await;
    };
    tokio::select! {
        biased;
        done = work => done,
        () = too_late => Err(WorkerError::CutOff),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_stop_cuts_off_work_that_never_ends() {
        let stop = Stop::default();
        let slow = async {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            Ok(())
        };
        assert!(within(slow, &stop, CUT_OFF).await.is_ok());
        let begun = tokio::time::Instant::now();
        let asking = async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            stop.ask();
        };
        let never = std::future::pending::<Result<(), WorkerError>>();
        let (ended, ()) = futures_util::future::join(within(never, &stop, CUT_OFF), asking).await;
        assert!(matches!(ended, Err(WorkerError::CutOff)));
        assert_eq!(begun.elapsed(), Duration::from_secs(10) + CUT_OFF);
        let quick = std::future::ready(Ok(()));
        assert!(within(quick, &stop, CUT_OFF).await.is_ok());
    }
}
