//! Floor 4: the clap tree, dispatch, logs and error reports.

mod dispatch;
mod logs;
mod report;
mod tree;

pub use tree::{Cli, Command};

use crate::commands::{Exit, Failure, project};
use crate::config::{LogSettings, Variables};
use clap::Parser;
use std::process::ExitCode;

/// Parses the command line, runs the command, reports, and returns the exit code.
pub fn main() -> ExitCode {
    let given: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let json = given.iter().any(|argument| argument == "--json");
    let exit = match Cli::try_parse_from(given) {
        Ok(cli) => run(cli).unwrap_or_else(|failure| report::failure(&failure, json)),
        Err(error) => report::usage(&error, json),
    };
    project::kafka::close();
    exit.into()
}

fn run(cli: Cli) -> Result<Exit, Failure> {
    let global = &cli.global;
    let variables = Variables::of_process();
    logs::start(&LogSettings::read(
        global.verbose,
        global.quiet,
        &variables,
    )?)?;
    dispatch::run(cli)
}
