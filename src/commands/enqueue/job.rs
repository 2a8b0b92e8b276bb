//! From a campaign and flags to the job of the engine.

use super::options::Options;
use crate::commands::campaign::Campaign;
use crate::commands::{Failure, project, temporary, time};
use crate::config::OncePer;
use crate::domain::project_key::ProjectKey;
use crate::engine::enqueue::{Job, QueueTimeout, RunChoice, SuppressionCheck};
use jiff::{Timestamp, Zoned};
use std::sync::Arc;
use std::time::SystemTime;

pub fn job(
    campaign: Campaign,
    options: &Options,
    key: ProjectKey,
    suppressed: Arc<SuppressionCheck>,
    queue_timeout: QueueTimeout,
) -> Result<Job, Failure> {
    let now = Zoned::now();
    let not_before = not_before(options, &now)?;
    Ok(Job {
        run: run_choice(options, campaign.file.keys.once_per, &now),
        earlier: options.earlier(),
        renaming: campaign.renaming,
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
        queue_timeout,
        render_threads: RENDER_THREADS
            .min(std::thread::available_parallelism().map_or(1, usize::from)),
        dry_run: options.dry_run,
        scratch: temporary::folder(),
        campaign: campaign.file.name,
        content: Arc::new(campaign.composer),
    })
}

/// The time of `--at`.
pub fn not_before(options: &Options, now: &Zoned) -> Result<Option<Timestamp>, Failure> {
    let Some(text) = &options.at else {
        return Ok(None);
    };
    let failure = |why| Failure::usage(format!("`--at`: {why}; nothing was enqueued"));
    let at = time::parse_at(text, now).map_err(failure)?;
    time::require_future(at, now).map_err(|why| {
        failure(why)
            .with_hint("leave out `--at` to send at once, or to continue a run that was scheduled")
    })?;
    Ok(Some(at))
}

/// More threads would render faster than one queue accepts.
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
