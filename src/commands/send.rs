//! `mailq send`: a worker.

use super::project::{self, ConnectOptions, OpenProject};
use super::stop_signal::StopSignal;
use super::working::{self, SendReport, Voice};
use super::{Exit, Failure, Global, output};
use crate::config::{Flags, RelayKeys, SendKeys};
use crate::domain::rate::Rate;
use crate::domain::span;
use crate::engine::worker::{Goal, LeftWork, Summary};
use std::net::SocketAddr;
use std::time::Duration;

/// Send what is in the queue: a worker, until interrupted
///
/// Start as many as you like, on one queue: they share the work, and the rate is for all of them together. SIGTERM and
/// Ctrl-C stop cleanly: messages in flight are finished and committed, within 25 s. A second SIGTERM or Ctrl-C ends
/// the worker at once; messages in flight are then in doubt.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub options: Options,

    /// Stop when nothing that may go is pending or retrying [default: run until interrupted]
    #[arg(long)]
    pub drain: bool,

    /// Show counts, limits and what the queue tells of itself to Prometheus, at http://IP:PORT/metrics [default: not]
    #[arg(long, value_name = "IP:PORT")]
    pub metrics: Option<SocketAddr>,
}

/// What `run` takes as well.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Send options")]
pub struct Options {
    #[arg(long, value_name = "RATE", help = SendKeys::rate().flag_help())]
    pub rate: Option<Rate>,

    #[arg(long, value_name = "N", help = SendKeys::burst().flag_help(),
        value_parser = clap::value_parser!(u32).range(SendKeys::burst().range()))]
    pub burst: Option<u32>,

    #[arg(long, value_name = "URL", help = RelayKeys::url().flag_help())]
    pub relay: Option<String>,

    #[arg(long, value_name = "N", help = SendKeys::connections().flag_help(),
        value_parser = clap::value_parser!(u32).range(SendKeys::connections().range()))]
    pub connections: Option<u32>,

    #[arg(long, value_name = "K", help = SendKeys::max_uncommitted().flag_help(),
        value_parser = clap::value_parser!(u32).range(SendKeys::max_uncommitted().range()))]
    pub max_uncommitted: Option<u32>,

    /// This worker's name, unique among the living [default: host and process id]
    #[arg(long, value_name = "ID")]
    pub instance_id: Option<String>,

    /// When all that is left is due later than this, or no relay is there for so long, stop with exit code 75 [default: wait]
    #[arg(long, value_name = "DURATION", value_parser = span::parse)]
    pub max_wait: Option<Duration>,
}

impl Options {
    pub fn flags(&self) -> Flags {
        Flags::default()
            .set(SendKeys::rate(), self.rate)
            .set(SendKeys::burst(), self.burst)
            .set(RelayKeys::url(), self.relay.as_ref())
            .set(SendKeys::connections(), self.connections)
            .set(SendKeys::max_uncommitted(), self.max_uncommitted)
    }
}

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let connect_options = ConnectOptions {
        role: "send",
        instance_id: args.options.instance_id.clone(),
        queue_timeout: None,
    };
    let project =
        OpenProject::open_with(global.load(None, args.options.flags())?, &connect_options)?;
    let goal = match args.drain {
        true => Goal::Drain {
            max_wait: args.options.max_wait,
        },
        false => Goal::Serve,
    };
    let how = working::How {
        goal,
        voice: Voice::Full,
        metrics: args.metrics,
    };
    let work = working::work(&project, &args.options, how, global);
    let (summary, signal) = project::block_on(work)?;
    if global.json {
        output::json(&SendReport::from(&summary))?;
    } else {
        global.say(working::closing_line(&summary));
    }
    if let Some(LeftWork::DueLater(wait)) = summary.left_work {
        global.say(format!("the rest is due in {}", span::human(wait)));
    }
    Ok(exit(&summary, signal, args.drain))
}

/// A worker that was told to stop has done its work; one that was to drain and did not is to be run again.
pub fn exit(summary: &Summary, signal: Option<StopSignal>, drains: bool) -> Exit {
    match (signal, summary.left_work) {
        (Some(StopSignal::Interrupt), _) => Exit::Interrupted,
        (_, Some(LeftWork::StandingStill)) => Exit::NeedsPerson,
        (_, Some(_)) if drains => Exit::TryLater,
        _ if summary.dead + summary.in_doubt > 0 => Exit::NeedsPerson,
        _ => Exit::Done,
    }
}
