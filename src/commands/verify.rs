//! `mailq verify`: proves from the events and the queue that every recipient is accounted for.

use super::progress::{Counts, Progress, Unit, Verbosity};
use super::project::{self, OpenProject};
use super::text::{counted, grouped, plain};
use super::{Exit, Failure, Global, lookup, output, temporary};
use crate::clock::Clock;
use crate::config::Flags;
use crate::engine::account::{self, CampaignRow, Verification, VerifyRequest};

/// Prove that every recipient is accounted for
///
/// Counts the events and the messages still queued, independently of all stored counters. Exits with 1 if a sum is wrong.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Campaign name [default: all campaigns]
    #[arg(value_name = "CAMPAIGN")]
    pub campaign: Option<String>,
}

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let project = OpenProject::open(global.load(None, Flags::default())?)?;
    let campaign = args.campaign.as_deref();
    let verification = project::block_on(async {
        let queue = project.queue.as_ref();
        if let Some(campaign) = campaign {
            lookup::runs(&account::read_ledger(queue, false).await?, campaign)?;
        }
        let reading = Progress::new(Unit::Records, Verbosity::Full, global);
        let request = VerifyRequest {
            now: project.clock.now(),
            campaign,
            folder: &temporary::folder(),
        };
        let progress = &mut |done, total| reading.set(Counts::of(done, total));
        let verification = account::verify(queue, request, progress).await;
        reading.finish();
        Ok(verification?)
    })?;
    match global.json {
        true => output::json(&verification)?,
        false => print(&verification, global)?,
    }
    Ok(match verification.ok {
        true => Exit::Done,
        false => Exit::NeedsAttention,
    })
}

/// Prints a line for each run and each finding, and the result.
fn print(verification: &Verification, global: &Global) -> Result<(), Failure> {
    for row in &verification.campaigns {
        output::line(sum(row))?;
    }
    for finding in &verification.findings {
        output::line(format!("problem: {}", plain(finding, 400)))?;
    }
    for run in &verification.too_old {
        let run = plain(run, 120);
        global.say(format!(
            "{run} was not verified: its events were deleted by their age (`keep` under `[events]`)"
        ));
    }
    match (verification.ok, verification.campaigns.len()) {
        (true, 0) => output::line("ok: nothing to verify"),
        (true, 1) => output::line("ok: every recipient of this run is accounted for"),
        (true, runs) => output::line(format!(
            "ok: every recipient of these {} runs is accounted for",
            grouped(runs as u64)
        )),
        (false, _) => output::line(format!(
            "failed: {}",
            counted(verification.findings.len() as u64, "problem")
        )),
    }
}

/// `spring/1: 12 enqueued = 10 delivered + 1 bounced + 1 pending`.
fn sum(row: &CampaignRow) -> String {
    let counts = [
        (row.delivered, "delivered"),
        (row.bounced, "bounced"),
        (row.dead, "dead"),
        (row.suppressed, "suppressed"),
        (row.expired, "expired"),
        (row.cancelled, "cancelled"),
        (row.in_doubt, "in doubt"),
        (row.retrying, "retrying"),
        (row.pending, "pending"),
    ];
    let parts: Vec<String> = counts
        .into_iter()
        .filter(|(count, word)| *count > 0 || *word == "delivered")
        .map(|(count, word)| format!("{} {word}", grouped(count)))
        .collect();
    let (campaign, run) = (plain(&row.campaign, 80), plain(&row.run, 80));
    format!(
        "{campaign}/{run}: {} enqueued = {}",
        grouped(row.enqueued),
        parts.join(" + ")
    )
}
