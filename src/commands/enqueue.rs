//! `mailq enqueue`: a campaign's messages into the queue, exactly once.

use super::campaign::Campaign;
use super::progress::{Counts, Progress, Unit, Verbosity};
use super::project::{self, ConnectOptions, OpenProject};
use super::text::grouped;
use super::{Exit, Failure, Global, output, time};
use crate::clock::{Clock, SystemClock};
use crate::config::{Flags, Loaded, OncePer, QueueUrl, load_or_create_key};
use crate::domain::address::Address;
use crate::domain::project_key::ProjectKey;
use crate::domain::span;
use crate::engine::account;
use crate::engine::enqueue::{self as engine, EnqueueError, EnqueueProgress, EnqueueReport};
use crate::engine::enqueue::{Job, OtherRun, Patience, RunChoice};
use crate::recipients;
use jiff::Zoned;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Put a campaign into the queue: check every row, render, and store all messages, exactly once
///
/// Killed and run again it continues where it stopped; run twice it says so and nobody gets two mails. Nothing is sent
/// before the last row is in the queue.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The recipients CSV (its campaign file is the .toml of the same stem beside it), or a campaign file
    #[arg(value_name = "RECIPIENTS.csv|CAMPAIGN.toml")]
    pub source: PathBuf,

    #[command(flatten)]
    pub options: Options,
}

/// What `run` takes as well.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Enqueue options")]
pub struct Options {
    /// The campaign file [default: the .toml of the CSV's stem beside it]
    #[arg(long, value_name = "FILE")]
    pub campaign: Option<PathBuf>,

    /// Name of the run; another name means another mail to everyone [default: the inputs' fingerprint, or the period of `once_per`]
    #[arg(long, value_name = "ID", value_parser = crate::config::checked_name)]
    pub run: Option<String>,

    /// Rows after which progress is stored
    #[arg(long, value_name = "ROWS", default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub batch_size: u64,

    /// Take the first N rows only [default: all rows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,

    /// Write bad rows to `<stem>.rejected.csv` and go on [default: a bad row stops before anything is queued]
    #[arg(long)]
    pub skip_invalid: bool,

    /// Send nothing before this: RFC 3339, `2026-12-01 09:00` or `09:00` (the next), host's time zone [default: at once]
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,

    /// Let each batch go as soon as it is stored [default: nothing goes before the last row is stored]
    #[arg(long)]
    pub stream: bool,

    /// How long to wait for a queue that is busy or away
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = span::parse)]
    pub queue_timeout: Duration,

    /// Keep trying while the queue is busy or away, however long [default: give up after --queue-timeout]
    #[arg(long)]
    pub wait: bool,

    /// Check and render everything, store nothing
    #[arg(long)]
    pub dry_run: bool,
}

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let not_done = |failure: Failure| failure.not_done("nothing was enqueued");
    let loaded = global
        .load(Some(&args.source), Flags::default())
        .map_err(not_done)?;
    let campaign = Campaign::load(
        &args.source,
        args.options.campaign.as_deref(),
        &loaded,
        list_options(&args.options),
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
        let connect_options = connect_options("enqueue", &args.options);
        let project =
            OpenProject::open_or_create(loaded, &connect_options, global).map_err(not_done)?;
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

pub fn connect_options(role: &'static str, options: &Options) -> ConnectOptions {
    ConnectOptions {
        role,
        instance_id: None,
        queue_timeout: (!options.wait).then_some(options.queue_timeout),
    }
}

/// A cluster's handle has waited itself when it gives up.
fn patience(project: &OpenProject, options: &Options) -> Patience {
    let longest = match project.loaded.settings.queue {
        QueueUrl::Sqlite(_) => options.queue_timeout,
        QueueUrl::Kafka(_) => Duration::ZERO,
    };
    Patience((!options.wait).then_some(longest))
}

/// Rows that were left out need a person.
pub fn exit(report: &EnqueueReport) -> Exit {
    if report.tally.invalid > 0 && !report.already_enqueued {
        Exit::NeedsPerson
    } else {
        Exit::Done
    }
}

pub fn list_options(options: &Options) -> recipients::Options {
    recipients::Options {
        skip_invalid: options.skip_invalid,
        limit: options.limit,
        ..Default::default()
    }
}

/// Puts the campaign into the queue, and says what came of it.
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
    let patience = patience(project, options);
    let suppressed = engine::suppressed(
        project.queue.as_ref(),
        &project.key,
        patience,
        &mut observer,
    )
    .await?;
    let name = campaign.file.name.clone();
    let job = job(campaign, options, project.key.clone(), suppressed, patience)?;
    let result = engine::enqueue(
        project.queue.as_ref(),
        &job,
        project.clock.as_ref(),
        &mut observer,
    )
    .await;
    progress.finish();
    let report = match result {
        Err(EnqueueError::OtherInputs { campaign, other }) => {
            return Err(sent_before(project, &campaign, &other).await);
        }
        other => other?,
    };
    if verbosity == Verbosity::Full {
        progress.say(closing_line(&report, options.dry_run));
        if report.already_enqueued && options.at.is_some() {
            progress.warn("warning: `--at` changes nothing for a run that is enqueued");
        }
    }
    if let Some(expires) = job
        .expires_after
        .filter(|_| !report.already_enqueued && !options.dry_run)
    {
        warn_of_expiry(project, &name, expires, &progress).await?;
    }
    Ok(report)
}

async fn rehearse_without_queue(
    loaded: &Loaded,
    campaign: Campaign,
    options: &Options,
    global: &Global,
) -> Result<EnqueueReport, Failure> {
    let progress = Progress::new(Unit::Rows, Verbosity::Full, global);
    // Message-IDs of a rehearsal go nowhere, so any key will do where there is none yet.
    let key = load_or_create_key(&loaded.settings.key_file, false)
        .unwrap_or_else(|_| ProjectKey::new(&[0; ProjectKey::BYTES]));
    let job = job(
        campaign,
        options,
        key,
        Arc::new(|_: &Address| None),
        Patience::default(),
    )?;
    let mut observer = |event: EnqueueProgress<'_>| show(&progress, event);
    let report = engine::rehearse(&job, &SystemClock, &mut observer).await;
    progress.finish();
    let report = report?;
    progress.say(closing_line(&report, true));
    Ok(report)
}

fn job(
    campaign: Campaign,
    options: &Options,
    key: ProjectKey,
    suppressed: Arc<engine::Suppressed>,
    patience: Patience,
) -> Result<Job, Failure> {
    let now = Zoned::now();
    let not_before = options
        .at
        .as_deref()
        .map(|text| time::parse_at(text, &now))
        .transpose();
    let not_before =
        not_before.map_err(|why| Failure::usage(format!("`--at`: {why}; nothing was enqueued")))?;
    Ok(Job {
        run: run_choice(options, campaign.file.keys.once_per, &now),
        recipients: campaign.recipients,
        columns: campaign.columns,
        options: campaign.options,
        inputs: campaign.inputs,
        batch_rows: options.batch_size,
        not_before: not_before.map(SystemTime::from),
        expires_after: campaign.file.keys.expires,
        in_doubt: campaign.file.keys.in_doubt,
        stream: options.stream,
        key,
        id_domain: campaign.composer.message_id_domain().to_string(),
        return_path: campaign.composer.return_path().to_string(),
        suppressed,
        source: format!("{}/enqueue", project::host_name()),
        trace_id: format!("{:016x}", fastrand::u64(..)),
        patience,
        render_threads: RENDER_THREADS
            .min(std::thread::available_parallelism().map_or(1, usize::from)),
        dry_run: options.dry_run,
        campaign: campaign.file.name,
        content: Arc::new(campaign.composer),
    })
}

/// More threads than this render faster than one queue takes.
const RENDER_THREADS: usize = 4;

fn run_choice(options: &Options, once_per: OncePer, now: &Zoned) -> RunChoice {
    if let Some(name) = &options.run {
        return RunChoice::Named(name.clone());
    }
    let week = now.date().iso_week_date();
    match once_per {
        OncePer::Run => RunChoice::Inputs,
        OncePer::Day => RunChoice::Period(now.strftime("%Y-%m-%d").to_string()),
        OncePer::Week => RunChoice::Period(format!("{}-W{:02}", week.year(), week.week())),
        OncePer::Month => RunChoice::Period(now.strftime("%Y-%m").to_string()),
    }
}

async fn sent_before(project: &OpenProject, campaign: &str, other: &OtherRun) -> Failure {
    let status = account::status(project.queue.as_ref(), project.clock.now(), Some(campaign)).await;
    let rows = status.map(|status| status.campaigns).unwrap_or_default();
    let delivered = rows
        .iter()
        .find(|row| row.key == other.key)
        .map_or(0, |row| row.delivered);
    let what = format!(
        "campaign `{campaign}` was enqueued before as run `{}` with other inputs ({} changed), which has delivered {}; \
         nothing was enqueued",
        other.run,
        other.changed.join(", "),
        grouped(delivered)
    );
    Failure::usage(what).with_hint("`--run NAME` sends it as another run, to everybody in the list")
}

async fn warn_of_expiry(
    project: &OpenProject,
    name: &str,
    expires: Duration,
    progress: &Progress,
) -> Result<(), Failure> {
    let status = account::status(project.queue.as_ref(), project.clock.now(), None).await?;
    let eta = match (status.eta_seconds, project.loaded.settings.send.rate.value) {
        (Some(seconds), _) => Duration::from_secs(seconds),
        (None, rate) => Duration::try_from_secs_f64(status.lag as f64 / rate.per_second())
            .unwrap_or(Duration::MAX),
    };
    if eta > expires {
        progress.warn(format!(
            "warning: sending takes about {}, and `{name}` expires after {}: what is left then is not sent",
            span::human(eta),
            span::human(expires)
        ));
    }
    Ok(())
}

/// Of a run that was in the queue already; `done`: `enqueued`, or `sent` where nothing of it is left.
pub fn known_line(report: &EnqueueReport, done: &str) -> String {
    let changed = match report.changed.as_slice() {
        [] => String::new(),
        changed => format!("; {} changed since and is not sent", changed.join(", ")),
    };
    format!(
        "already {done}: {}/{} has {} messages{changed}. `--run NAME` sends it again",
        report.campaign,
        report.run,
        grouped(report.tally.enqueued)
    )
}

pub fn closing_line(report: &EnqueueReport, dry_run: bool) -> String {
    if report.already_enqueued {
        return known_line(report, "enqueued");
    }
    let tally = &report.tally;
    let name = format!("{}/{}", report.campaign, report.run);
    let mut line = match dry_run {
        true => format!(
            "{name}: {} messages would be enqueued",
            grouped(tally.enqueued)
        ),
        false => format!("{name}: {} messages enqueued", grouped(tally.enqueued)),
    };
    for (count, word) in [
        (tally.duplicates, "duplicates"),
        (tally.invalid, "invalid"),
        (tally.suppressed, "suppressed"),
    ] {
        if count > 0 {
            line += &format!(", {} {word}", grouped(count));
        }
    }
    let per_second = tally.recipients as f64 / report.elapsed_seconds.max(0.001);
    line += &format!(
        " in {} ({} rows/s)",
        span::human(Duration::from_secs_f64(report.elapsed_seconds)),
        grouped(per_second as u64)
    );
    match &report.rejected_file {
        Some(file) => format!("{line}; bad rows are in `{file}`"),
        None => line,
    }
}

/// Shows what enqueue reports.
fn show(progress: &Progress, event: EnqueueProgress<'_>) {
    match event {
        EnqueueProgress::Rejected(row) => progress.warn(format!("rejected: {row}")),
        EnqueueProgress::Dropped(run) => progress.say(format!(
            "dropped the unfinished run `{run}`: its inputs are others"
        )),
        EnqueueProgress::Continuing { batches_found } => {
            progress.say(format!("going on after {batches_found} finished batches"));
        }
        EnqueueProgress::Waiting { why } => progress.warn(format!("warning: {why}; trying again")),
        EnqueueProgress::Rows { done, of } => progress.set(Counts::of(done, of)),
        EnqueueProgress::Surveyed(_) | EnqueueProgress::Batch { .. } => {}
    }
}
