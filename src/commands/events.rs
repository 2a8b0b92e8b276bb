//! `mailq events`: the outcomes, one JSON document per line.

use super::output::{Format, Listing};
use super::project::{self, OpenProject};
use super::{Exit, Failure, Global, lookup};
use crate::config::Flags;
use crate::domain::event::{Event, EventType};
use crate::engine::account::{self, EventFilter};
use std::ops::ControlFlow;

/// Print the outcome of every attempt as JSON lines
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Keep printing new events until interrupted
    #[arg(long)]
    pub follow: bool,

    /// Only this campaign [default: all]
    #[arg(long, value_name = "NAME")]
    pub campaign: Option<String>,

    /// Only this type of event [default: all]
    #[arg(long = "type", value_name = "TYPE", value_parser = TYPES)]
    pub event_type: Option<String>,
}

const TYPES: [&str; 8] = [
    "delivered",
    "deferred",
    "bounced",
    "dead",
    "suppressed",
    "expired",
    "cancelled",
    "in_doubt",
];

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let project = OpenProject::open(global.load(None, Flags::default())?)?;
    project::block_on(async {
        if let Some(campaign) = args.campaign.as_deref().filter(|_| !args.follow) {
            lookup::runs(
                &account::read_ledger(project.queue.as_ref(), false).await?,
                campaign,
            )?;
        }
        tokio::select! {
            printed = print(args, &project) => printed.map(|()| Exit::Done),
            _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
        }
    })
}

async fn print(args: &Args, project: &OpenProject) -> Result<(), Failure> {
    let filter = EventFilter {
        campaign: args.campaign.clone(),
        kind: args.event_type.as_deref().map(kind).transpose()?,
        message_id: None,
    };
    let format = Format::JsonLines {
        is_live: args.follow,
    };
    let mut list = Listing::new(format, &[])?;
    let mut written = Ok(());
    let each = &mut |event: Event| {
        written = list.add(|| event.shown(), Vec::new);
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    };
    account::events(project.queue.as_ref(), &filter, args.follow, each).await?;
    written?;
    list.finish()
}

fn kind(name: &str) -> Result<EventType, Failure> {
    serde_json::from_value(serde_json::Value::String(format!("mail.{name}")))
        .map_err(|_| Failure::usage(format!("`{name}` is not an event type")))
}
