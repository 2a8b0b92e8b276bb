//! SIGTERM, SIGHUP and Ctrl-C: the first signal asks a worker for a clean stop, the second one ends the process at once.

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
    /// SIGTERM, or SIGHUP: the terminal was closed.
    Terminate,
}

/// Handlers for the signals. Once installed, a signal no longer ends the process by itself.
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` where SIGHUP is ignored, because the worker is to outlive its terminal.
    hangup: Option<Signal>,
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
            hangup: match ignores_hangup() {
                true => None,
                false => Some(install(SignalKind::hangup())?),
            },
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
            () = recv(&mut self.hangup) => StopSignal::Terminate,
        }
    }
}

/// Never returns without a handler.
async fn recv(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Whether the parent ignores SIGHUP for this process, as nohup(1) does. Known on Linux only; elsewhere `false`.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    is_hangup_ignored(&status)
}

/// `status`: proc_pid_status(5). Bit 0 of the mask `SigIgn` stands for signal 1, SIGHUP.
fn is_hangup_ignored(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_mask_of_ignored_signals() {
        let status = |mask| format!("Name:\tmailq\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\n");
        assert!(is_hangup_ignored(&status("0000000000001001")));
        assert!(!is_hangup_ignored(&status("0000000000001000")));
        assert!(!is_hangup_ignored(""));
    }
}
