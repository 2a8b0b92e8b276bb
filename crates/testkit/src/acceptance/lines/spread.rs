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

const SETTINGS: &str = "[retry]\ninitial = \"8s\"\njitter = 0.5\n";
/// In seconds: 8 s and half of it to both sides.
const SHORTEST: f64 = 4.0;
const LONGEST: f64 = 12.0;
/// A retry is late by so much at the most, because the machine does more.
const LATE: f64 = 1.0;
const BINS: usize = 8;
/// Each bin may differ from the mean by so much.
const UNEVEN: f64 = 0.2;
const DRAIN: Duration = Duration::from_secs(120);

pub fn run(setting: &Setting, report: &mut Report) -> anyhow::Result<()> {
    // Every second one is taken at once, so that the relay is in no trouble.
    let population = u32::try_from(setting.count * 2)?;
    let script = |recipient: u32, attempt: u32| match (recipient % 2, attempt) {
        (1, 0) => Answer::AtRecipient("451 4.2.0 mailbox busy"),
        _ => Answer::Accept,
    };
    let server = Server::start(1, population, Box::new(script))?;
    keeping(Project::new(setting, SETTINGS)?, |project| {
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
    let width = (LONGEST - SHORTEST) / BINS as f64;
    let mut bins = [0_u64; BINS];
    let mut outside = 0;
    for wait in waits {
        if *wait < SHORTEST || *wait > LONGEST + LATE {
            outside += 1;
        }
        let bin = ((wait - SHORTEST) / width).max(0.0) as usize;
        bins[bin.min(BINS - 1)] += 1;
    }
    report.figure("retries in each second from 4 s", format!("{bins:?}"));
    report.expect("outside of 4 s to 12 s", outside, 0);
    let mean = waits.len() as f64 / BINS as f64;
    let uneven = bins.iter().map(|count| (*count as f64 / mean - 1.0).abs());
    let uneven = uneven.fold(0.0, f64::max);
    report.figure("largest distance from the mean", format!("{uneven:.2}"));
    report.check(uneven <= UNEVEN, "the retries are not spread evenly");
}
