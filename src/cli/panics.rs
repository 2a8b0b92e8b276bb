//! Ends the process when one of its threads panics. The rest would wait for that thread for ever, and a worker that ends
//! is as safe as one that is killed.

use crate::commands::Exit;
use crate::threads;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write;
use std::panic::PanicHookInfo;

pub fn end_the_process() {
    std::panic::set_hook(Box::new(|panic| {
        if threads::is_catching() {
            return;
        }
        // Only if RUST_BACKTRACE asks for it.
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            let _ = writeln!(std::io::stderr(), "{trace}");
        }
        // Not through the progress bars: this thread may hold their lock.
        let _ = writeln!(std::io::stderr(), "{}", text(panic));
        std::process::exit(Exit::TryLater as i32);
    }));
}

fn text(panic: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("without a name");
    let payload = panic.payload();
    let literal = payload.downcast_ref::<&str>().copied();
    let formatted = payload.downcast_ref::<String>().map(String::as_str);
    let why = literal.or(formatted).unwrap_or("no reason given");
    let at = panic
        .location()
        .map_or_else(String::new, |at| format!(" ({at})"));
    format!(
        "error: thread `{name}` has failed: {why}{at}\n\
         hint: this is a bug in mailq: please report it with these lines; then run it again, it continues where it stopped"
    )
}
