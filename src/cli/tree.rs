//! All commands and flags. Help, completions and manual pages are generated from here.

use crate::commands::{
    Global, bounce, check, completions, control, dlq, enqueue, events, init, manual, preview,
    recipients, recover, run, send, status, suppress, test, topics, verify,
};

/// Bulk mail campaigns that lose no recipient, report every possible duplicate and never exceed the rate
///
/// `mailq enqueue` renders a list and a template into a queue, `mailq send` sends what is queued, `mailq run` does both.
/// `mailq` without a command shows the queue. `mailq init` creates a project that works without a mail server.
#[derive(Debug, clap::Parser)]
#[command(
    name = "mailq",
    version,
    help_expected = true,
    propagate_version = false
)]
#[command(disable_help_subcommand = true, infer_long_args = false)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,

    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Init(init::Args),
    Enqueue(enqueue::Args),
    Send(send::Args),
    Run(run::Args),
    Status(status::Args),
    Verify(verify::Args),
    Dlq(dlq::Args),
    Recipients(recipients::Args),
    Events(events::Args),
    /// Pause a campaign; workers stop sending it within 2 s
    Pause(control::Args),
    /// Resume a paused campaign
    Resume(control::Args),
    /// Cancel a campaign for good; its pending and retrying messages count as cancelled
    Cancel(control::Args),
    Suppress(suppress::Args),
    Bounce(bounce::Args),
    Check(check::Args),
    Preview(preview::Args),
    Test(test::Args),
    Topics(topics::Args),
    Recover(recover::Args),
    Completions(completions::Args),
    Manual(manual::Args),
}

#[cfg(test)]
mod tests;
