//! `mailq recover`: rebuilds commits that the queue has lost.

use super::project::{self, ConnectOptions, OpenProject, worker_name};
use super::text::{counted, grouped, plain};
use super::time::local;
use super::{Exit, Failure, Global, output, temporary};
use crate::config::Flags;
use crate::domain::ids::shown_row;
use crate::engine::recover::{Recovered, Recovery, recover};
use std::time::Duration;

/// Rebuild lost Kafka offsets; list recipients who may get a duplicate
///
/// Kafka deletes the offsets of a consumer group some days after its last member has left. If that worker stopped
/// cleanly, the next one continues by itself. If it was killed, `mailq send` refuses to start, and this command rebuilds
/// the offsets from the last checkpoint and the events. No worker may be running.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Ignore checkpoints: read every run from its start and skip only messages with a final event
    #[arg(long)]
    pub to_earliest: bool,

    /// Print what would be done, change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Recipients that are named one by one.
const NAMED: usize = 20;

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let connect_options = ConnectOptions {
        role: "recover",
        instance_id: None,
        queue_timeout: Some(Duration::from_secs(60)),
        repeats: false,
    };
    let project = OpenProject::open_with(global.load(None, Flags::default())?, &connect_options)?;
    let recovered = project::block_on(async {
        let recovery = Recovery {
            queue: project.queue.as_ref(),
            clock: project.clock.as_ref(),
            name: worker_name(Some("recover")),
            sites: &project.loaded.settings.groups,
            to_earliest: args.to_earliest,
            dry_run: args.dry_run,
            folder: &temporary::folder(),
        };
        Ok(recover(&recovery).await?)
    })?;
    match global.json {
        true => output::json(&recovered)?,
        false => print(&recovered)?,
    }
    for line in &recovered.unreadable {
        global.say(format!("warning: {}", plain(line, 400)));
    }
    Ok(match recovered.unreadable.is_empty() {
        true => Exit::Done,
        false => Exit::NeedsAttention,
    })
}

fn print(recovered: &Recovered) -> Result<(), Failure> {
    if recovered.partitions.is_empty() {
        return output::line("nothing to recover: every partition has its commit");
    }
    let (named, plain): (Vec<_>, Vec<_>) = recovered
        .partitions
        .iter()
        .partition(|one| one.found_done + one.may_get_twice > 0);
    let any_named = !named.is_empty();
    for one in named {
        let from = match &one.checkpoint {
            Some(at) => format!("from the checkpoint of {}", local(at)),
            None => "from its start".to_string(),
        };
        output::line(format!(
            "{}: rebuilt {from}, last worker {}; {} done according to events, {} possible duplicates",
            one.partition,
            one.worker,
            grouped(one.found_done),
            grouped(one.may_get_twice)
        ))?;
    }
    if !plain.is_empty() {
        let noun = if any_named {
            "other partition"
        } else {
            "partition"
        };
        let partitions = counted(plain.len() as u64, noun);
        output::line(format!("{partitions}: nothing was in flight"))?;
    }
    for doubt in recovered.may_get_twice.iter().take(NAMED) {
        output::line(format!(
            "possible duplicate: {} ({}/{}, row {})",
            doubt.address,
            doubt.campaign,
            doubt.run,
            shown_row(doubt.row)
        ))?;
    }
    let count = recovered.may_get_twice.len();
    if count > NAMED {
        output::line(format!(
            "and {} more: `--json` lists all",
            grouped((count - NAMED) as u64)
        ))?;
    }
    let verb = match recovered.dry_run {
        true => "would be repaired",
        false => "repaired: `mailq send` can continue",
    };
    output::line(match count {
        0 => format!("{verb}; no duplicates are possible"),
        _ => format!(
            "{verb}; at most {} of these {} were in flight, and each is reported as in doubt (`mailq events --type in_doubt`)",
            grouped(recovered.at_most),
            grouped(count as u64)
        ),
    })
}
