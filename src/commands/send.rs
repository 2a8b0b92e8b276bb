//! `mailq send`: runs a worker.

use super::progress::Verbosity;
use super::project::{self, ConnectOptions, OpenProject};
use super::worker::{self, Options, SendReport};
use super::{Exit, Failure, Global, output};
use crate::engine::worker::Goal;
use std::net::SocketAddr;

/// Send queued messages: a worker that runs until interrupted
///
/// Any number of workers can share one queue, and the rate applies to all of them together. SIGTERM, SIGHUP
/// and Ctrl-C stop cleanly: messages in flight are finished and committed within 25 s. A second signal ends the worker
/// at once; messages in flight are then in doubt.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub options: Options,

    /// Stop when no message that may be sent is pending or retrying [default: run until interrupted]
    #[arg(long)]
    pub drain: bool,

    /// Serve /metrics for Prometheus, /healthz and /readyz at this address [default: off]
    #[arg(long, value_name = "IP:PORT")]
    pub metrics: Option<SocketAddr>,
}

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let connect_options = ConnectOptions {
        role: "send",
        instance_id: args.options.instance_id.clone(),
        queue_timeout: None,
        repeats: false,
    };
    let project =
        OpenProject::open_with(global.load(None, args.options.flags())?, &connect_options)?;
    let goal = match args.drain {
        true => Goal::Drain {
            max_wait: args.options.max_wait,
        },
        false => Goal::Serve,
    };
    let task = worker::Task {
        goal,
        verbosity: Verbosity::Full,
        metrics: args.metrics,
    };
    let worker = worker::run(&project, &args.options, task, global);
    let (summary, signal) = project::block_on(worker)?;
    if global.json {
        output::json(&SendReport::from(&summary))?;
    } else {
        global.say(worker::closing_line(&summary));
    }
    if let Some(why) = summary.left_work.and_then(worker::later) {
        global.say(why);
    }
    Ok(worker::exit(&summary, signal, args.drain))
}
