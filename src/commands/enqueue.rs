//! `mailq enqueue`: puts the messages of a campaign into the queue, exactly once.

mod job;
mod options;
mod report;
mod unsent;

pub use options::Options;
pub use report::{DIFFERING, closing_line, exit, is_for_nobody, known_line, repeated};

use super::campaign::Campaign;
use super::progress::{Progress, Unit, Verbosity};
use super::project::{self, OpenProject};
use super::worker::settler;
use super::{Exit, Failure, Global, output, terminal, time};
use crate::clock::SystemClock;
use crate::config::{Flags, Loaded, QueueUrl, load_or_create_key};
use crate::domain::address::Address;
use crate::domain::project_key::ProjectKey;
use crate::engine::enqueue::{
    self as engine, EnqueueError, EnqueueProgress, EnqueueReport, Job, QueueTimeout,
};
use jiff::{Timestamp, Zoned};
use job::job;
use report::{Patience, sent_before, show, warn_of_expiry};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Enqueue a campaign: check every row, render all messages and store each exactly once
///
/// After a kill the next call continues where this one stopped. A second call for the same inputs changes nothing, so
/// nobody gets two mails. Nothing is sent before the last row is stored.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Recipients CSV, whose campaign file has the same name with .toml, or a campaign file
    #[arg(value_name = "RECIPIENTS.csv|CAMPAIGN.toml")]
    pub source: PathBuf,

    #[command(flatten)]
    pub options: Options,
}

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let not_done = |failure: Failure| failure.not_done("nothing was enqueued");
    check_time(&args.options)?;
    let loaded = global
        .load(Some(&args.source), Flags::default())
        .map_err(not_done)?;
    let campaign = Campaign::load(
        &args.source,
        args.options.campaign.as_deref(),
        &loaded,
        args.options.reading(),
    )
    .map_err(not_done)?;
    let report = if args.options.dry_run && !OpenProject::has_queue(&loaded) {
        project::block_on(rehearse_without_queue(
            &loaded,
            campaign,
            &args.options,
            global,
        ))?
    } else {
        let connect = args.options.connect("enqueue");
        let project = OpenProject::open_or_create(loaded, &connect, global).map_err(not_done)?;
        project::block_on(enqueue(
            &project,
            campaign,
            &args.options,
            Verbosity::Full,
            global,
        ))?
    };
    if global.json {
        output::json(&report)?;
    }
    Ok(exit(&report))
}

/// Checks `--at` before anything is opened or created.
pub fn check_time(options: &Options) -> Result<(), Failure> {
    let now = Zoned::now();
    job::not_before(options, &now)?;
    let skipped = options.at.as_deref();
    if let Some(why) = skipped.and_then(|at| time::skipped(at, &now)) {
        terminal::note(format!("warning: `--at`: {why}"));
    }
    Ok(())
}

/// How long the engine tries an append again. On Kafka the producer has waited `--queue-timeout` before it gives up.
fn queue_timeout(project: &OpenProject, options: &Options) -> QueueTimeout {
    QueueTimeout(match project.loaded.settings.queue {
        QueueUrl::Sqlite(_) => options.longest_wait(),
        QueueUrl::Kafka(_) => options.longest_wait().map(|_| Duration::ZERO),
    })
}

/// Enqueues the campaign and prints the result.
pub async fn enqueue(
    project: &OpenProject,
    campaign: Campaign,
    options: &Options,
    verbosity: Verbosity,
    global: &Global,
) -> Result<EnqueueReport, Failure> {
    project.require_topics().await?;
    let progress = Progress::new(Unit::Rows, verbosity, global);
    let mut observer = |event: EnqueueProgress<'_>| show(&progress, event);
    let queue_timeout = queue_timeout(project, options);
    let suppressed = engine::suppression_check(
        project.queue.as_ref(),
        &project.key,
        queue_timeout,
        &mut observer,
    )
    .await?;
    let name = campaign.file.name.clone();
    let job = job(
        campaign,
        options,
        project.key.clone(),
        suppressed,
        queue_timeout,
    )?;
    let result = work(project, &job, &progress).await?;
    progress.finish();
    let mut report = match result {
        Err(EnqueueError::OtherInputs { campaign, other }) => {
            return Err(sent_before(project, &campaign, &other).await);
        }
        other => other?,
    };
    if options.only_new {
        report.unsent = unsent::unsent(project, &report).await?;
    }
    say_result(&report, &job, options, verbosity, &progress);
    if let Some(expires) = job
        .expires_after
        .filter(|_| !report.already_enqueued && !options.dry_run)
    {
        warn_of_expiry(project, &name, expires, &progress).await?;
    }
    Ok(report)
}

fn say_result(
    report: &EnqueueReport,
    job: &Job,
    options: &Options,
    verbosity: Verbosity,
    progress: &Progress,
) {
    let not_before = job.not_before.filter(|_| !report.already_enqueued);
    let not_before = not_before.and_then(|at| Timestamp::try_from(at).ok());
    let scheduled = not_before.map(|at| format!("not before {}", time::with_zone(at)));
    if verbosity == Verbosity::Full {
        let closing = closing_line(report, options.dry_run);
        progress.say(match &scheduled {
            Some(scheduled) => format!("{closing}; {scheduled}"),
            None => closing,
        });
        if report.already_enqueued && options.at.is_some() {
            progress.warn("warning: `--at` is ignored because the run is already enqueued");
        }
    }
    if let Some(line) = unsent::line(report) {
        progress.warn(line);
    }
    // `run` waits until then, so it says so even where it says little.
    if let (Verbosity::Unattended, Some(scheduled)) = (verbosity, &scheduled) {
        progress.say(format!("{}/{}: {scheduled}", report.campaign, report.run));
    }
}

/// Enqueues, and settles what killed workers left if nobody else does.
async fn work(
    project: &OpenProject,
    job: &Job,
    progress: &Progress,
) -> Result<Result<EnqueueReport, EnqueueError>, Failure> {
    let (nobody_settles, mut patience) = (Notify::new(), Patience::default());
    let mut observer = |event: EnqueueProgress<'_>| {
        if let EnqueueProgress::Settling { waited, claimed } = event {
            if waited >= settler::AFTER {
                nobody_settles.notify_one();
            }
            patience.show(progress, waited, claimed);
        }
        show(progress, event);
    };
    let work = engine::enqueue(
        project.queue.as_ref(),
        job,
        project.clock.as_ref(),
        &mut observer,
    );
    settler::beside(project, &nobody_settles, work).await
}

async fn rehearse_without_queue(
    loaded: &Loaded,
    campaign: Campaign,
    options: &Options,
    global: &Global,
) -> Result<EnqueueReport, Failure> {
    let progress = Progress::new(Unit::Rows, Verbosity::Full, global);
    // Nothing of a dry run is stored, so its Message-IDs may come from any key.
    let key = load_or_create_key(&loaded.settings.key_file, false)
        .unwrap_or_else(|_| ProjectKey::new(&[0; ProjectKey::BYTES]));
    let job = job(
        campaign,
        options,
        key,
        Arc::new(|_: &Address| None),
        QueueTimeout::default(),
    )?;
    let mut observer = |event: EnqueueProgress<'_>| show(&progress, event);
    let report = engine::dry_run(&job, &SystemClock, &mut observer).await;
    progress.finish();
    let report = report?;
    progress.say(closing_line(&report, true));
    Ok(report)
}
