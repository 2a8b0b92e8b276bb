//! A worker: owns partitions, hands their messages to relays, and commits what became of them. The rules are
//! `protocol::machine`'s; here is the shell that carries them out, in one thread.
//!
//! - `journal` the journal: results in, events and copies appended, one commit, claims out
//! - `checkpoints` commits in the campaign topic, for queues that forget them
//! - `partitions` gaining, reading for, and giving up partitions
//! - `lanes` where connections take their messages from; breakers and pace
//! - `shares` this worker's part of limits that workers share out
//! - `told` events, copies and letters as records
//! - `views` the campaign and suppression topics, followed
//! - `settings` what a worker is given, what it reports

mod answers;
mod checkpoints;
mod goal;
mod journal;
mod lanes;
mod pace;
mod partitions;
mod reader;
pub mod settings;
mod shares;
mod told;
mod views;

pub use settings::{
    Goal, LeftWork, Notice, Observer, RelayLane, Setup, SiteLimit, Stop, Summary, WorkerError,
};

use journal::Journal;
use lanes::Lanes;
use std::rc::Rc;

/// Works until told to stop, or until the goal of the setup is reached; then drains and leaves. Must run inside a
/// `LocalSet`: connections and reads are tasks of it.
pub async fn run(
    setup: Setup,
    stop: Rc<Stop>,
    observer: Rc<dyn Observer>,
) -> Result<Summary, WorkerError> {
    let setup = Rc::new(setup);
    let lanes = Lanes::new(setup.clone(), observer.clone());
    let connections = lanes::open_connections(&lanes);
    let mut journal = Journal::open(setup, lanes.clone(), observer).await?;
    let ended = journal.work(&stop).await;
    lanes.close();
    for connection in connections {
        connection.abort();
    }
    journal.leave().await;
    ended?;
    Ok(journal.summary())
}
