//! What `send` and `run` share: a worker with this project's settings, told to stop by signals, watched by people.

mod forecast;
mod metrics;
mod options;
mod report;
mod setup;
mod stop_signal;
mod watcher;

pub use options::Options;
pub use report::{SendReport, closing_line, exit};
pub use stop_signal::StopSignal;

use super::progress::Verbosity;
use super::project::OpenProject;
use super::{Failure, Global, relays, terminal};
use crate::engine::retention::keep_events;
use crate::engine::worker::{self as engine, Goal, Stop, Summary};
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use stop_signal::StopSignals;
use watcher::Watcher;

/// What a worker is to do, and who watches.
pub struct How {
    pub goal: Goal,
    pub verbosity: Verbosity,
    /// Where Prometheus may ask.
    pub metrics: Option<SocketAddr>,
}

/// Works until the goal is reached or a signal comes.
pub async fn work(
    project: &OpenProject,
    options: &Options,
    how: How,
    global: &Global,
) -> Result<(Summary, Option<StopSignal>), Failure> {
    let lanes = relays::open(&project.loaded)?;
    let listener = match how.metrics {
        Some(address) => Some(metrics::listen(address).await?),
        None => None,
    };
    project.require_topics().await?;
    warn_of_drift(project).await;
    let setup = setup::setup(project, options, lanes, how.goal);
    let relays = project
        .loaded
        .settings
        .relays
        .iter()
        .map(|relay| relay.keys.url.value.to_string());
    let relays = relays.collect::<Vec<_>>().join(", ");
    let outlook = forecast::outlook(project, &setup, &relays).await?;
    let watcher = Rc::new(Watcher::new(outlook.messages, how.verbosity, global));
    watcher.progress.say(outlook.line);
    let stop = Rc::new(Stop::default());
    let caught = Rc::new(Cell::new(None));
    watcher.shown.rate.set(Some(outlook.rate));
    let visitors = listener.map(|listener| {
        let source = metrics::Source {
            shown: watcher.shown.clone(),
            queue: project.queue.clone(),
            clock: project.clock.clone(),
        };
        tokio::task::spawn_local(metrics::serve(listener, source))
    });
    let signals = StopSignals::install()?;
    let listener =
        tokio::task::spawn_local(signals.watch(stop.clone(), caught.clone(), global.quiet));
    let keep = project.loaded.settings.events.keep;
    let retention = tokio::task::spawn_local(keep_events(
        project.queue.clone(),
        project.clock.clone(),
        keep,
    ));
    let result = engine::run(setup, stop, watcher.clone()).await;
    listener.abort();
    retention.abort();
    if let Some(visitors) = visitors {
        visitors.abort();
    }
    watcher.progress.finish();
    Ok((result?, caught.get()))
}

/// A topic that deletes by itself loses mail. Who may not look is not kept from sending.
async fn warn_of_drift(project: &OpenProject) {
    for state in project.queue.describe_topics().await.unwrap_or_default() {
        for drift in &state.drift {
            terminal::note(format!(
                "warning: topic {}: `{}` is `{}`, and mailq needs `{}`",
                state.topic.name(&project.loaded.settings.env),
                drift.key,
                drift.found,
                drift.wanted
            ));
        }
    }
}
