//! A worker with the settings of a project: signals stop it, people and Prometheus watch it. `send` and `run` use it.

mod descriptors;
mod forecast;
mod lanes;
mod metrics;
mod observer;
mod options;
mod report;
pub mod settler;
mod setup;
mod stop_signal;

pub use observer::notice_line;
pub use options::Options;
pub use report::{SendReport, closing_line, exit};
pub use stop_signal::StopSignal;

use super::progress::Verbosity;
use super::project::OpenProject;
use super::{Failure, Global, relays, terminal};
use crate::domain::duration;
use crate::engine::retention::keep_events;
use crate::engine::worker::{self as engine, Goal, LeftWork, Stop, Summary};
use observer::TerminalObserver;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use stop_signal::StopSignals;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A stop does not wait longer than this for a queue that is away.
const RATE_ENDS_WITHIN: Duration = Duration::from_secs(2);

/// What a worker has to do, and how it reports.
pub struct Task {
    pub goal: Goal,
    pub verbosity: Verbosity,
    /// Address for Prometheus.
    pub metrics: Option<SocketAddr>,
}

/// Runs a worker until its goal is reached or a signal stops it.
pub async fn run(
    project: &OpenProject,
    options: &Options,
    task: Task,
    global: &Global,
) -> Result<(Summary, Option<StopSignal>), Failure> {
    let mut relay_lanes = relays::open(&project.loaded)?;
    if let Some(line) = descriptors::fit(&mut relay_lanes)? {
        terminal::note(line);
    }
    let listener = match task.metrics {
        Some(address) => Some(metrics::listen(address).await?),
        None => None,
    };
    project.require_topics().await?;
    warn_of_drift(project).await;
    let setup = setup::setup(project, options, relay_lanes, task.goal);
    let relays = project
        .loaded
        .settings
        .relays
        .iter()
        .map(|relay| relay.keys.url.value.to_string());
    let relays = relays.collect::<Vec<_>>().join(", ");
    let mut given_rate = setup::given_rate(project, options, &setup)?;
    given_rate.begin().await?;
    let forecast = forecast::forecast(project, &setup, &relays).await?;
    let observer = Rc::new(TerminalObserver::new(
        forecast.messages,
        task.verbosity,
        global,
    ));
    observer.progress.say(forecast.line);
    let stop = Rc::new(Stop::default());
    let stopped_by = Rc::new(Cell::new(None));
    let signals = StopSignals::install()?;
    let signals = signals.watch(stop.clone(), stopped_by.clone(), global.quiet);
    let mut beside = beside(project, task.goal, &observer, listener);
    beside.push(tokio::task::spawn_local(signals));
    beside.push(tokio::task::spawn_local(lanes::publish(
        observer.latest.clone(),
        project.queue.clone(),
        project.clock.clone(),
        setup.name.clone(),
    )));
    beside.push(tokio::task::spawn_local(given_rate.clone().watch()));
    let result = engine::run(setup, stop, observer.clone()).await;
    for task in beside {
        task.abort();
    }
    // If the queue is away, the next worker ends the rate.
    let _ = tokio::time::timeout(RATE_ENDS_WITHIN, given_rate.end()).await;
    observer.progress.finish();
    Ok((result?, stopped_by.get()))
}

/// Why work is left that only waits for a time.
pub fn later(left: LeftWork) -> Option<String> {
    let (why, wait) = match left {
        LeftWork::OutsideWindows(wait) => {
            ("the rest waits for the send windows, which open in", wait)
        }
        LeftWork::QuotaUsedUp(wait) => ("the daily quota is used up; the next day begins in", wait),
        LeftWork::DueLater(wait) => ("the rest is due in", wait),
        LeftWork::Paused
        | LeftWork::PartitionsStopped
        | LeftWork::HeldByOthers
        | LeftWork::RelaysAway
        | LeftWork::LoginRefused
        | LeftWork::Stopped => return None,
    };
    Some(format!("{why} {}", duration::human(wait)))
}

/// Tasks that run beside the worker.
fn beside(
    project: &OpenProject,
    goal: Goal,
    observer: &Rc<TerminalObserver>,
    listener: Option<TcpListener>,
) -> Vec<JoinHandle<()>> {
    let (queue, clock) = (&project.queue, &project.clock);
    let keep = project.loaded.settings.events.keep;
    let mut tasks = vec![tokio::task::spawn_local(keep_events(
        queue.clone(),
        clock.clone(),
        keep,
    ))];
    if let Some(listener) = listener {
        let latest = observer.latest.clone();
        let exporter = metrics::Exporter::new(latest, queue.clone(), clock.clone());
        tasks.push(tokio::task::spawn_local(metrics::serve(listener, exporter)));
    }
    if observer.progress.is_shown() {
        let only = match goal {
            Goal::Run { run, .. } => Some(run),
            Goal::Serve | Goal::Drain { .. } => None,
        };
        let counting = observer
            .clone()
            .follow_queue(queue.clone(), clock.clone(), only);
        tasks.push(tokio::task::spawn_local(counting));
    }
    tasks
}

/// A topic with retention loses mail. An account without permission to describe topics may send all the same.
async fn warn_of_drift(project: &OpenProject) {
    for state in project.queue.describe_topics().await.unwrap_or_default() {
        for drift in &state.drift {
            terminal::note(format!(
                "warning: topic {}: `{}` is `{}`, but mailq needs `{}`",
                state.topic.name(&project.loaded.settings.env),
                drift.key,
                drift.found,
                drift.wanted
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_why_work_waits() {
        let wait = Duration::from_secs(60);
        for (left, why) in [
            (
                LeftWork::OutsideWindows(wait),
                Some("the rest waits for the send windows, which open in 1m"),
            ),
            (
                LeftWork::QuotaUsedUp(wait),
                Some("the daily quota is used up; the next day begins in 1m"),
            ),
            (LeftWork::DueLater(wait), Some("the rest is due in 1m")),
            (LeftWork::Paused, None),
        ] {
            assert_eq!(later(left).as_deref(), why);
        }
    }
}
