//! Calls the function of each command: the table of contents of `commands/`.

use super::tree::{Cli, Command};
use crate::commands::control::Verb;
use crate::commands::{
    Exit, Failure, Global, bounce, check, completions, control, dlq, enqueue, events, init, manual,
    preview, print_config, recipients, recover, run, send, status, suppress, test, topics, verify,
};
use crate::config::Flags;
use clap::CommandFactory;
use std::path::Path;

pub fn run(cli: Cli) -> Result<Exit, Failure> {
    let global = &cli.global;
    if global.print_config {
        return print(cli.command.as_ref(), global);
    }
    match cli.command {
        None => status::run(&status::Args::default(), global),
        Some(Command::Init(args)) => init::run(&args, global),
        Some(Command::Enqueue(args)) => enqueue::run(&args, global),
        Some(Command::Send(args)) => send::run(&args, global),
        Some(Command::Run(args)) => run::run(&args, global),
        Some(Command::Status(args)) => status::run(&args, global),
        Some(Command::Verify(args)) => verify::run(&args, global),
        Some(Command::Dlq(args)) => dlq::run(&args, global),
        Some(Command::Recipients(args)) => recipients::run(&args, global),
        Some(Command::Events(args)) => events::run(&args, global),
        Some(Command::Pause(args)) => control::run(Verb::Pause, &args, global),
        Some(Command::Resume(args)) => control::run(Verb::Resume, &args, global),
        Some(Command::Cancel(args)) => control::run(Verb::Cancel, &args, global),
        Some(Command::Suppress(args)) => suppress::run(&args, global),
        Some(Command::Bounce(args)) => bounce::run(&args, global),
        Some(Command::Check(args)) => check::run(&args, global),
        Some(Command::Preview(args)) => preview::run(&args, global),
        Some(Command::Test(args)) => test::run(&args, global),
        Some(Command::Topics(args)) => topics::run(&args, global),
        Some(Command::Recover(args)) => recover::run(&args, global),
        Some(Command::Completions(args)) => completions::run(&args, global, Cli::command()),
        Some(Command::Manual(args)) => manual::run(&args, global, Cli::command()),
    }
}

/// Prints the settings that this command line would use.
fn print(command: Option<&Command>, global: &Global) -> Result<Exit, Failure> {
    let (campaign, flags): (Option<&Path>, Flags) = match command {
        Some(Command::Enqueue(args)) => (Some(&args.source), Flags::default()),
        Some(Command::Send(args)) => (None, args.options.flags()),
        Some(Command::Run(args)) => (Some(&args.source), args.send.flags()),
        Some(Command::Check(args)) => (Some(&args.campaign), Flags::default()),
        Some(Command::Preview(args)) => (Some(&args.campaign), Flags::default()),
        Some(Command::Test(args)) => (Some(&args.campaign), Flags::default()),
        _ => (None, Flags::default()),
    };
    print_config::run(&global.load(campaign, flags)?, global)
}
