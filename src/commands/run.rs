//! `mailq run`: enqueues a campaign and sends until its run is done. Made for cron.

mod outcome;

use super::access::denied;
use super::campaign::Campaign;
use super::progress::Verbosity;
use super::project::{self, ConnectOptions, OpenProject};
use super::text::{counted, grouped};
use super::worker::{self, SendReport};
use super::{Exit, Failure, Global, enqueue, output, terminal};
use crate::clock::Clock;
use crate::engine::account::{self, CampaignRow, Remaining};
use crate::engine::enqueue::EnqueueReport;
use crate::engine::worker::{Goal, LeftWork, Summary};
use crate::smtp::RelayAddress;
use outcome::Before;
use rustix::fs::Access;
use std::fs::{File, TryLockError};
use std::path::PathBuf;

/// Enqueue a campaign and send until its run is done, for example from cron
///
/// If another `mailq run` of the campaign is running, this one does nothing and exits with 75. Without a terminal it prints only
/// what needs attention and one closing line; -v prints more.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Campaign file
    #[arg(value_name = "CAMPAIGN.toml")]
    pub source: PathBuf,

    #[command(flatten)]
    pub enqueue: enqueue::Options,

    #[command(flatten)]
    pub send: worker::Options,
}

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    enqueue::check_time(&args.enqueue)?;
    let loaded = global.load(Some(&args.source), args.send.flags())?;
    let campaign = args.enqueue.campaign.as_deref();
    let mut campaign = Campaign::load(&args.source, campaign, &loaded, args.enqueue.reading())?;
    campaign.renaming.is_refused = true;
    if args.enqueue.dry_run {
        return enqueue::run(
            &enqueue::Args {
                source: args.source.clone(),
                options: args.enqueue.clone(),
            },
            global,
        );
    }
    let name = campaign.file.name.clone();
    let connect_options = ConnectOptions {
        instance_id: args.send.instance_id.clone(),
        ..args.enqueue.connect("run")
    };
    let project = OpenProject::open_or_create(loaded, &connect_options, global)?;
    let Some(_lock) = RunLock::take(&project, &name)? else {
        let what = format!(
            "another `mailq run` of campaign `{name}` is running; nothing was enqueued or sent by this one"
        );
        return Err(Failure::try_later(what).with_hint(
            "run it again when the other one has ended: with the same inputs it sends nothing twice",
        ));
    };
    project::block_on(enqueue_and_send(&project, campaign, args, global))
}

async fn enqueue_and_send(
    project: &OpenProject,
    campaign: Campaign,
    args: &Args,
    global: &Global,
) -> Result<Exit, Failure> {
    let verbosity = if global.verbose > 0 {
        Verbosity::Full
    } else {
        Verbosity::Unattended
    };
    let enqueued = enqueue::enqueue(project, campaign, &args.enqueue, verbosity, global).await?;
    let goal = Goal::Run {
        run: enqueued.key,
        max_wait: args.send.max_wait,
    };
    if enqueue::is_for_nobody(&enqueued) {
        report(&enqueued, &Summary::default(), global)?;
        global.say(enqueue::closing_line(&enqueued, false));
        return Ok(enqueue::exit(&enqueued));
    }
    let left = remaining(project, &enqueued).await?;
    if enqueued.already_enqueued && left.is_done() {
        report(&enqueued, &Summary::default(), global)?;
        global.say(enqueue::known_line(&enqueued, "sent"));
        return Ok(Exit::Done);
    }
    let rows = status(project).await?;
    say_what_else_is_sent(&rows, &enqueued, global);
    let task = worker::Task {
        goal,
        verbosity,
        metrics: None,
    };
    let (own, signal) = worker::run(project, &args.send, task, global).await?;
    report(&enqueued, &own, global)?;
    let ended = ended(project, &enqueued, Before::of(&rows, &enqueued), &own).await;
    if !global.json {
        let name = format!("{}/{}", enqueued.campaign, enqueued.run);
        say_what_was_done(&name, &own, &ended, global);
        where_to_look(project, &ended, global);
    }
    let sent = worker::exit(&ended, signal, true);
    Ok(if sent == Exit::Done {
        enqueue::exit(&enqueued)
    } else {
        sent
    })
}

async fn status(project: &OpenProject) -> Result<Vec<CampaignRow>, Failure> {
    let status = account::status(project.queue.as_ref(), project.clock.now(), None).await?;
    Ok(status.campaigns)
}

/// What became of the run during this call. Without an answer from the queue: what this process has done of it.
async fn ended(
    project: &OpenProject,
    enqueued: &EnqueueReport,
    before: Before,
    own: &Summary,
) -> Summary {
    let rows = status(project).await.unwrap_or_default();
    let row = rows.iter().find(|row| row.key == enqueued.key);
    row.map_or_else(|| own.clone(), |row| before.until(row, own))
}

fn say_what_was_done(name: &str, own: &Summary, ended: &Summary, global: &Global) {
    let closing = worker::closing_line(ended);
    global.say(format!("{name}: {closing}{}", unfinished(ended)));
    let by_others = ended.delivered.saturating_sub(own.delivered);
    if by_others > 0 {
        let by_others = grouped(by_others);
        global.say(format!("other workers delivered {by_others} of them"));
    }
    if own.delivered_of_others > 0 {
        let others = grouped(own.delivered_of_others);
        global.say(format!("other runs: {others} delivered"));
    }
}

/// A worker sends whatever is in the queue.
fn say_what_else_is_sent(rows: &[CampaignRow], enqueued: &EnqueueReport, global: &Global) {
    let sends = |row: &&CampaignRow| row.key != enqueued.key && row.lag() > 0;
    for row in rows.iter().filter(sends) {
        global.say(format!(
            "also sending {} of {}/{}, which is in this queue too",
            counted(row.lag(), "message"),
            row.campaign,
            row.run
        ));
    }
}

async fn remaining(project: &OpenProject, enqueued: &EnqueueReport) -> Result<Remaining, Failure> {
    let queue = project.queue.as_ref();
    let mut ledger = account::read_ledger(queue, false).await?;
    Ok(account::remaining(queue, &mut ledger, Some(enqueued.key), project.clock.now()).await?)
}

fn report(enqueued: &EnqueueReport, summary: &Summary, global: &Global) -> Result<(), Failure> {
    #[derive(serde::Serialize)]
    struct Both<'a> {
        enqueue: &'a EnqueueReport,
        send: SendReport,
    }
    if global.json {
        output::json(&Both {
            enqueue: enqueued,
            send: summary.into(),
        })?;
    }
    Ok(())
}

fn unfinished(summary: &Summary) -> String {
    match summary.left_work {
        None => String::new(),
        Some(LeftWork::Paused) => "; the run is paused".to_string(),
        Some(LeftWork::PartitionsStopped) => {
            "; some partitions have stopped, see above".to_string()
        }
        Some(LeftWork::HeldByOthers) => "; another worker holds the rest".to_string(),
        Some(LeftWork::RelaysAway) => "; no relay is available".to_string(),
        Some(LeftWork::LoginRefused) => "; the relay refuses our login".to_string(),
        Some(LeftWork::Stopped) => "; stopped with work left".to_string(),
        Some(
            later
            @ (LeftWork::OutsideWindows(_) | LeftWork::QuotaUsedUp(_) | LeftWork::DueLater(_)),
        ) => worker::later(later).map_or_else(String::new, |why| format!("; {why}")),
    }
}

/// Where to find messages that no server got, and dead letters.
fn where_to_look(project: &OpenProject, summary: &Summary, global: &Global) {
    let relays = &project.loaded.settings.relays;
    let is_folder = |url: &RelayAddress| matches!(url, RelayAddress::Maildir(_));
    let words = match relays.iter().all(|relay| is_folder(&relay.keys.url.value)) {
        true => "no mail has left this machine: the messages are files in",
        false => "messages that no server got are files in",
    };
    for relay in relays {
        if let RelayAddress::Maildir(path) = &relay.keys.url.value
            && summary.delivered > 0
        {
            global.say(format!("{words} {}", path.join("new").display()));
        }
    }
    if summary.dead + summary.in_doubt > 0 {
        terminal::note("dead letters need attention: see `mailq dlq list`");
    }
}

/// Allows one `mailq run` of a campaign at a time. The lock ends with the process.
struct RunLock {
    _file: File,
}

impl RunLock {
    fn take(project: &OpenProject, campaign: &str) -> Result<Option<RunLock>, Failure> {
        let folder = project.folder("runs");
        let name: String = campaign
            .chars()
            .map(|c| {
                if c.is_alphanumeric() || c == '-' {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        let path = folder.join(format!("{name}.lock"));
        let wrong = |error: std::io::Error| match denied(&path, Access::READ_OK | Access::WRITE_OK)
        {
            Some(why) => {
                Failure::usage(why).with_hint("give the folder to the user of `mailq run`")
            }
            None => Failure::try_later(format!("cannot lock `{}`: {error}", path.display())),
        };
        std::fs::create_dir_all(&folder).map_err(wrong)?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(wrong)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(RunLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(wrong(error)),
        }
    }
}
