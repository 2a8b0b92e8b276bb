//! SIGTERM and Ctrl-C: the first signal asks a worker for a clean stop, the second one ends the process at once.

use crate::commands::{Exit, Failure, terminal};
use crate::engine::worker::Stop;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

/// timeout(1) sends SIGTERM to its child and then to the child's process group: two signals, one request.
const SAME_REQUEST: Duration = Duration::from_millis(250);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    /// Ctrl-C.
    Interrupt,
    Terminate,
}

/// Handlers for both signals. Once installed, a signal no longer ends the process by itself.
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// Errors: the handlers cannot be installed.
    pub fn install() -> Result<StopSignals, Failure> {
        let install = |kind| {
            signal(kind)
                .map_err(|error| Failure::try_later(format!("cannot handle signals: {error}")))
        };
        Ok(StopSignals {
            interrupt: install(SignalKind::interrupt())?,
            terminate: install(SignalKind::terminate())?,
        })
    }

    /// Asks `stop` at the first signal, which it leaves in `first`. Never returns; drop it when the worker has ended.
    pub async fn watch(mut self, stop: Rc<Stop>, first: Rc<Cell<Option<StopSignal>>>, quiet: bool) {
        let signal = self.next().await;
        let asked_at = Instant::now();
        first.set(Some(signal));
        if !quiet && signal == StopSignal::Interrupt {
            terminal::note("stopping: finishing messages in flight (Ctrl-C again stops at once)");
        }
        stop.ask();
        loop {
            let second = self.next().await;
            let is_repeat = second == StopSignal::Terminate && asked_at.elapsed() < SAME_REQUEST;
            if !is_repeat {
                end_at_once(second);
            }
        }
    }

    async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.interrupt.recv() => StopSignal::Interrupt,
            _ = self.terminate.recv() => StopSignal::Terminate,
        }
    }
}

/// What is claimed stays claimed in the last commit, so the next owner of each partition finds it there.
fn end_at_once(signal: StopSignal) {
    terminal::note(
        "warning: stopped at once; the next worker reports messages in flight as in doubt",
    );
    let exit = match signal {
        StopSignal::Interrupt => Exit::Interrupted,
        StopSignal::Terminate => Exit::TryLater,
    };
    std::process::exit(exit as i32);
}
