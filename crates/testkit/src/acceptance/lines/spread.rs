//! With `[retry] jitter = 0.5` the retries of many messages that were deferred at one time are spread evenly.

use super::keeping;
use crate::acceptance::Setting;
use crate::acceptance::account::check_all_delivered;
use crate::acceptance::process::Process;
use crate::acceptance::project::Project;
use crate::acceptance::report::Report;
use crate::acceptance::server::{Answer, Ledger, Server};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// `initial` of `[retry]`.
const DELAY_SECONDS: f64 = 8.0;
/// `jitter` of `[retry]`: the share of the delay by which a retry may be earlier or later.
const JITTER: f64 = 0.5;
const SHORTEST_SECONDS: f64 = DELAY_SECONDS * (1.0 - JITTER);
const LONGEST_SECONDS: f64 = DELAY_SECONDS * (1.0 + JITTER);
/// A retry is late by so much at the most, because the machine does more.
const LATE_SECONDS: f64 = 1.0;
const BINS: usize = 8;
/// Each bin may differ from the mean by this share of it.
const UNEVEN: f64 = 0.2;
/// In a small run chance moves a bin by more: by few of its standard deviations, each the root of the mean.
const DEVIATIONS: f64 = 5.0;
const DRAIN: Duration = Duration::from_secs(120);

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    // Every second one is taken at once, so that the relay is in no trouble.
    let population = u32::try_from(setting.count * 2)?;
    let script = |recipient: u32, attempt: u32| match (recipient % 2, attempt) {
        (1, 0) => Answer::AtRecipient("451 4.2.0 mailbox busy"),
        _ => Answer::Accept,
    };
    let settings = format!("[retry]\ninitial = \"{DELAY_SECONDS}s\"\njitter = {JITTER}\n");
    let server = Server::start(1, population, Box::new(script))?;
    keeping(Project::new(setting, &settings)?, |project| {
        let csv = project.campaign("spread", 0, population)?;
        project.call(&["enqueue", &csv])?;
        let mut worker = Process::draining(project, "send", &server.url(0), &[])?;
        worker.wait_for_success(DRAIN)?;
        let waits = waits(&server.ledger());
        report.expect(
            "messages that were tried again",
            waits.len() as u64,
            setting.count,
        );
        check_spread(&waits, report);
        check_all_delivered(project, "spread", &server, 0, report)?;
        Ok(())
    })
}

/// Seconds between the two attempts at a recipient.
fn waits(ledger: &Ledger) -> Vec<f64> {
    let mut first: HashMap<u32, Instant> = HashMap::new();
    let mut waits = Vec::new();
    for transaction in &ledger.transactions {
        let Some(recipient) = transaction.recipient else {
            continue;
        };
        match first.get(&recipient) {
            Some(at) => waits.push((transaction.begun_at - *at).as_secs_f64()),
            None => drop(first.insert(recipient, transaction.begun_at)),
        }
    }
    waits
}

fn check_spread(waits: &[f64], report: &mut Report) {
    let width = (LONGEST_SECONDS - SHORTEST_SECONDS) / BINS as f64;
    let mut bins = [0_u64; BINS];
    let mut outside = 0;
    for wait in waits {
        if *wait < SHORTEST_SECONDS || *wait > LONGEST_SECONDS + LATE_SECONDS {
            outside += 1;
        }
        let bin = ((wait - SHORTEST_SECONDS) / width).max(0.0) as usize;
        bins[bin.min(BINS - 1)] += 1;
    }
    report.figure(
        format!("retries in each {width} s from {SHORTEST_SECONDS} s"),
        format!("{bins:?}"),
    );
    let outside_of = format!("outside of {SHORTEST_SECONDS} s to {LONGEST_SECONDS} s");
    report.expect(&outside_of, outside, 0);
    let mean = waits.len() as f64 / BINS as f64;
    let uneven = bins.iter().map(|count| (*count as f64 / mean - 1.0).abs());
    let uneven = uneven.fold(0.0, f64::max);
    report.figure("largest distance from the mean", format!("{uneven:.2}"));
    let allowed = UNEVEN.max(DEVIATIONS / mean.sqrt());
    report.check(uneven <= allowed, "the retries are not spread evenly");
}
