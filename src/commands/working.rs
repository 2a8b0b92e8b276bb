//! What `send` and `run` share: a worker with this project's settings, told to stop by signals, watched by people.

use super::metrics::{self, Shown};
use super::progress::{Kind, Progress, Snapshot};
use super::project::{OpenProject, host_name, worker_name};
use super::send::Options;
use super::stop_signal::{StopSignal, StopSignals};
use super::text::grouped;
use super::time::local_time;
use super::{Failure, Global, relays, terminal};
use crate::clock::Clock;
use crate::config::Source;
use crate::domain::rate::Rate;
use crate::domain::records::RateInForce;
use crate::domain::span;
use crate::engine::account;
use crate::engine::retention::keep_events;
use crate::engine::worker::{
    self, Goal, Notice, Observer, RelayLane, Setup, Stop, Summary, WorkerError,
};
use serde::Serialize;
use std::cell::{Cell, RefCell};
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// How much a worker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// Begin, progress, changes.
    Full,
    /// What needs a person, and nothing else where there is no terminal: cron sends it as mail.
    Cron,
}

/// What a worker is to do, and who watches.
pub struct How {
    pub goal: Goal,
    pub voice: Voice,
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
    let setup = setup(project, options, lanes, how.goal);
    let relays = project
        .loaded
        .settings
        .relays
        .iter()
        .map(|relay| relay.keys.url.value.to_string());
    let relays = relays.collect::<Vec<_>>().join(", ");
    let outlook = outlook(project, &setup, &relays).await?;
    let watcher = Rc::new(Watcher::new(outlook.messages, how.voice, global));
    watcher.tell(outlook.line);
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
    let result = worker::run(setup, stop, watcher.clone()).await;
    listener.abort();
    retention.abort();
    if let Some(visitors) = visitors {
        visitors.abort();
    }
    watcher.end();
    Ok((result?, caught.get()))
}

/// This project's settings, as a worker takes them.
fn setup(project: &OpenProject, options: &Options, relays: Vec<RelayLane>, goal: Goal) -> Setup {
    let settings = &project.loaded.settings;
    let at = jiff::Timestamp::now().to_string();
    let (rate, burst) = (settings.send.rate.value, settings.send.burst);
    let source = settings.send.rate.source.to_string();
    let rate = RateInForce {
        rate,
        burst,
        host: host_name(),
        source,
        at,
    };
    Setup {
        queue: project.queue.clone(),
        clock: project.clock.clone(),
        relays,
        sites: relays::sites(settings),
        retry: settings.retry.clone(),
        max_uncommitted: settings.send.max_uncommitted as usize,
        name: worker_name(options.instance_id.as_deref()),
        trace_id: format!("{:016x}", fastrand::u64(..)),
        key: project.key.clone(),
        publish_rate: settings.send.rate.source != Source::Default,
        env: settings.env.clone(),
        decode_on_threads: true,
        rate,
        goal,
    }
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

/// Shows what the worker tells.
struct Watcher {
    voice: Voice,
    quiet: bool,
    verbose: bool,
    progress: RefCell<Option<Progress>>,
    /// Messages that may go, at the start.
    total: u64,
    /// When progress was last shown, and how many messages had been taken by then.
    last: Cell<(Duration, u64)>,
    per_second: Cell<f64>,
    shown: Rc<Shown>,
}

const SHOW_EVERY: Duration = Duration::from_millis(200);

impl Watcher {
    fn new(total: u64, voice: Voice, global: &Global) -> Watcher {
        let progress = match (global.quiet || global.json, voice) {
            (true, _) => Progress::hidden(Kind::Send),
            (false, Voice::Full) => Progress::new(Kind::Send),
            (false, Voice::Cron) => Progress::new(Kind::Send).quiet_elsewhere(),
        };
        Watcher {
            voice,
            quiet: global.quiet,
            verbose: global.verbose > 0,
            progress: RefCell::new(Some(progress)),
            total,
            last: Cell::new((Duration::ZERO, 0)),
            per_second: Cell::new(0.0),
            shown: Rc::default(),
        }
    }

    /// Something that an operator should see, also from cron.
    fn warn(&self, text: String) {
        terminal::note(text);
    }

    /// Something that only who watches wants to see.
    fn tell(&self, text: String) {
        let is_wanted =
            self.voice == Voice::Full || self.verbose || std::io::stderr().is_terminal();
        if !self.quiet && is_wanted {
            terminal::note(text);
        }
    }

    fn end(&self) {
        if let Some(progress) = self.progress.borrow_mut().take() {
            progress.finish();
        }
    }
}

impl Observer for Watcher {
    fn notice(&self, notice: Notice) {
        match notice {
            Notice::Breaker(text) => self.warn(text),
            Notice::RateChanged { old, new } => {
                self.shown.rate.set(Some(new.rate));
                let from = format!("by {} on {}", new.source, new.host);
                self.tell(format!(
                    "rate is now {} (was {}), set {from}",
                    new.rate, old.rate
                ));
            }
            Notice::PartitionStopped { partition, why } => {
                self.warn(format!(
                    "warning: partition {partition} stands still: {why}; the others go on"
                ));
            }
            Notice::QueueTrouble(why) => self.warn(format!("warning: {why}; trying again")),
            Notice::Waiting { until } => {
                self.tell(format!("nothing to send before {}", local_time(until)))
            }
            // Those that have something to send change by the minute; the log has it.
            Notice::Share { limit, portion } => {
                self.shown.rate.set(Some(limit));
                self.shown.share.set(portion);
            }
            Notice::NoShare { of, limit, workers } => self.tell(format!(
                "{of} allows {limit}, and {workers} workers have something to send: this one waits until another has \
                 nothing left"
            )),
        }
    }

    fn progress(&self, summary: &Summary) {
        self.shown.summary.borrow_mut().clone_from(summary);
        let (shown_at, taken_then) = self.last.get();
        let span = summary.elapsed.saturating_sub(shown_at);
        if span < SHOW_EVERY {
            return;
        }
        let done = ended(summary);
        let now = done.saturating_sub(taken_then) as f64 / span.as_secs_f64();
        self.per_second.set(self.per_second.get() * 0.8 + now * 0.2);
        self.last.set((summary.elapsed, done));
        let total = self.total.max(done);
        let left = total.saturating_sub(done) as f64 / self.per_second.get();
        let snapshot = Snapshot {
            rows_done: done,
            rows_total: (total > 0).then_some(total),
            sent: summary.delivered,
            retrying: summary.deferred,
            dead: summary.dead + summary.in_doubt,
            per_second: self.per_second.get(),
            eta: Duration::try_from_secs_f64(left).ok(),
        };
        if let Some(progress) = self.progress.borrow_mut().as_mut() {
            progress.set(snapshot);
        }
    }
}

/// Messages that this process has brought to their end.
pub fn ended(summary: &Summary) -> u64 {
    summary.delivered
        + summary.bounced
        + summary.dead
        + summary.suppressed
        + summary.expired
        + summary.cancelled
        + summary.in_doubt
}

/// The JSON of `send --json`.
#[derive(Debug, Serialize)]
pub struct SendReport {
    delivered: u64,
    deferred: u64,
    bounced: u64,
    dead: u64,
    suppressed: u64,
    expired: u64,
    cancelled: u64,
    in_doubt: u64,
    attempts: u64,
    elapsed_seconds: f64,
    messages_per_second: f64,
}

impl From<&Summary> for SendReport {
    fn from(summary: &Summary) -> SendReport {
        let elapsed_seconds = summary.elapsed.as_secs_f64();
        SendReport {
            delivered: summary.delivered,
            deferred: summary.deferred,
            bounced: summary.bounced,
            dead: summary.dead,
            suppressed: summary.suppressed,
            expired: summary.expired,
            cancelled: summary.cancelled,
            in_doubt: summary.in_doubt,
            attempts: summary.attempts,
            elapsed_seconds,
            messages_per_second: summary.delivered as f64 / elapsed_seconds.max(0.001),
        }
    }
}

/// The closing line: `9,980 delivered, 12 bounced, 8 dead in 5m 32s (30.1/s)`.
pub fn closing_line(summary: &Summary) -> String {
    let counts = [
        (summary.delivered, "delivered"),
        (summary.bounced, "bounced"),
        (summary.dead, "dead"),
        (summary.in_doubt, "in doubt"),
        (summary.suppressed, "suppressed"),
        (summary.expired, "expired"),
        (summary.cancelled, "cancelled"),
        (summary.deferred, "deferred on the way"),
    ];
    let first = counts
        .first()
        .into_iter()
        .chain(counts.iter().skip(1).filter(|(count, _)| *count > 0));
    let counts: Vec<String> = first
        .map(|(count, word)| format!("{} {word}", grouped(*count)))
        .collect();
    let per_second = summary.delivered as f64 / summary.elapsed.as_secs_f64().max(0.001);
    format!(
        "{} in {} ({per_second:.1}/s)",
        counts.join(", "),
        span::human(summary.elapsed)
    )
}

/// What a worker finds at its start.
struct Outlook {
    messages: u64,
    rate: Rate,
    /// What is to be done, at what rate, and how long it takes.
    line: String,
}

async fn outlook(project: &OpenProject, setup: &Setup, relays: &str) -> Result<Outlook, Failure> {
    let status = account::status(project.queue.as_ref(), project.clock.now(), None).await?;
    let count = status.lag;
    // The default counts only where none is in force.
    let in_force = status.rate.and_then(|rate| rate.rate.parse().ok());
    let rate = match setup.publish_rate {
        true => setup.rate.rate,
        false => in_force.unwrap_or(setup.rate.rate),
    };
    let eta = match rate {
        Rate::Unlimited => String::new(),
        limited => {
            let seconds = Duration::try_from_secs_f64(count as f64 / limited.per_second())
                .unwrap_or(Duration::MAX);
            format!(
                ", about {}",
                span::human(seconds.max(Duration::from_secs(1)))
            )
        }
    };
    Ok(Outlook {
        messages: count,
        rate,
        line: format!("{} messages to {relays} at {rate}{eta}", grouped(count)),
    })
}

impl From<WorkerError> for Failure {
    fn from(error: WorkerError) -> Failure {
        match error {
            WorkerError::Queue(error) => error.into(),
            WorkerError::Account(error) => error.into(),
            WorkerError::MissingTopic(_) => Failure::usage(format!("{error}; nothing was sent"))
                .with_hint("`mailq topics init` makes what is missing"),
            WorkerError::CutOff => Failure::try_later(error.to_string())
                .with_hint("start it again when the queue is back: it names what is in doubt"),
            WorkerError::CommitsLost(_) => Failure::usage(format!("{error}; nothing was sent"))
                .with_hint("`mailq recover` finds it again, and says who may get a mail twice"),
            WorkerError::Ledger(_) => Failure::usage(format!("{error}; nothing was sent"))
                .with_hint("a newer mailq may have written it: install that version here as well"),
        }
    }
}
