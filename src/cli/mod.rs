//! Floor 4: the clap tree, dispatch, logs and error reports.

mod dispatch;
mod logs;
mod panics;
mod report;
mod tree;

pub use tree::{Cli, Command};

use crate::commands::{Exit, Failure, project, time};
use crate::config::{LogSettings, Variables};
use crate::render::STACK_BYTES;
use crate::threads::ThreadError;
use clap::Parser;
use std::process::ExitCode;

/// Keeps passwords out of core dumps, and other processes of this user out of our memory.
fn protect_memory() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // A kernel without it writes core dumps as before, which is no reason not to send mail.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// Parses the command line, runs the command, reports, and returns the exit code.
pub fn main() -> ExitCode {
    protect_memory();
    panics::end_the_process();
    let given: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let json = given.iter().any(|argument| argument == "--json");
    let exit = match Cli::try_parse_from(given) {
        Ok(cli) => in_thread(cli).unwrap_or_else(|failure| report::failure(&failure, json)),
        Err(error) => report::usage(&error, json),
    };
    project::kafka::close();
    exit.into()
}

/// Runs the command on a stack of known size, because that of the first thread depends on `ulimit -s`, and templates
/// may be nested.
fn in_thread(cli: Cli) -> Result<Exit, Failure> {
    let thread = std::thread::Builder::new().name("command".to_string());
    let started = thread.stack_size(STACK_BYTES).spawn(|| run(cli));
    let started = started.map_err(|error| Failure::from(ThreadError::from(error)))?;
    match started.join() {
        Ok(exit) => exit,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn run(cli: Cli) -> Result<Exit, Failure> {
    let global = &cli.global;
    let variables = Variables::of_process();
    logs::start(&LogSettings::read(
        global.verbose,
        global.quiet,
        &variables,
    )?)?;
    time::check_zone(variables.get("TZ"))?;
    dispatch::run(cli)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::process::{DumpableBehavior, dumpable_behavior};

    #[test]
    fn protect_memory_forbids_core_dumps() {
        protect_memory();
        let found = dumpable_behavior().unwrap();
        assert!(matches!(found, DumpableBehavior::NotDumpable));
    }
}
