//! What mailq says became of everyone (`status`, `verify`, `events`), held against what the relay counted.

use super::project::Project;
use super::report::Report;
use super::server::{Ledger, Server};
use anyhow::{Context, bail};
use jiff::Timestamp;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

pub const ENDS: [&str; 9] = [
    "delivered",
    "bounced",
    "dead",
    "suppressed",
    "expired",
    "cancelled",
    "in_doubt",
    "retrying",
    "pending",
];

/// What the events say about one recipient.
#[derive(Debug, Clone, Default)]
pub struct Told {
    pub delivered: u32,
    pub bounced: u32,
    pub dead: u32,
    pub deferred: u32,
    pub suppressed: u32,
    pub in_doubt: u32,
    pub doubts: Vec<Doubt>,
    pub deliveries: Vec<Delivery>,
    /// The most retries that an attempt had behind it.
    pub tries_used: u64,
}

impl Told {
    fn hear(&mut self, event: &Value) -> anyhow::Result<()> {
        let metadata = &event["metadata"];
        let owner = metadata["owner"].as_u64().context("no owner")?;
        match event["header"]["eventType"].as_str() {
            Some("mail.delivered") => {
                self.delivered += 1;
                let source = event["header"]["source"].as_str().unwrap_or_default();
                let process = source.split('/').nth(1).context("no process")?;
                let process = process.parse()?;
                self.deliveries.push(Delivery { process, owner });
            }
            Some("mail.bounced") => self.bounced += 1,
            Some("mail.dead") => self.dead += 1,
            Some("mail.deferred") => self.deferred += 1,
            Some("mail.suppressed") => self.suppressed += 1,
            Some("mail.in_doubt") => {
                self.in_doubt += 1;
                let at = event["header"]["timestamp"].as_str();
                let at = at.unwrap_or_default().parse()?;
                self.doubts.push(Doubt { at, owner });
            }
            _ => {}
        }
        let tries = metadata["retryCount"].as_u64().unwrap_or(0);
        self.tries_used = self.tries_used.max(tries);
        Ok(())
    }
}

/// A delivered event: who told it, under which epoch.
#[derive(Debug, Clone, Copy)]
pub struct Delivery {
    pub process: u32,
    pub owner: u64,
}

/// An in-doubt event.
#[derive(Debug, Clone, Copy)]
pub struct Doubt {
    pub at: Timestamp,
    /// The epoch of whoever took the partition over.
    pub owner: u64,
}

/// One count of the campaigns' rows of `status --json` or `verify --json`, summed over runs.
pub fn total(document: &Value, campaign: &str, key: &str) -> u64 {
    let rows = document["campaigns"].as_array();
    let rows = rows.into_iter().flatten();
    rows.filter(|row| row["campaign"] == campaign)
        .filter_map(|row| row[key].as_u64())
        .sum()
}

/// What `mailq events` prints, with these flags, by the number in the address.
pub fn events(project: &Project, population: u32, flags: &[&str]) -> anyhow::Result<Vec<Told>> {
    let mut told = vec![Told::default(); population as usize];
    let mut child = project
        .command(&["events"])
        .args(flags)
        .stdout(Stdio::piped())
        .stderr(Stdio::from(project.log("events")?))
        .spawn()?;
    let pipe = child.stdout.take().context("no pipe")?;
    for line in BufReader::new(pipe).lines() {
        let event: Value = serde_json::from_str(&line?)?;
        let address = event["payload"]["address"].as_str().unwrap_or_default();
        let place = address.strip_prefix('u').and_then(|a| a.split_once('@'));
        let place = place.and_then(|(number, _)| number.parse::<usize>().ok());
        let Some(of) = place.and_then(|place| told.get_mut(place)) else {
            bail!("an event about `{address}`, who was in no list");
        };
        of.hear(&event)?;
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("`mailq events` ended with {status}");
    }
    Ok(told)
}

/// `status` and `verify` both have these counts (of nobody where a count is not named) and the laws hold.
pub fn check_counts(
    project: &Project,
    campaign: &str,
    wanted: &[(&str, u64)],
    report: &mut Report,
) -> anyhow::Result<()> {
    let status = project.json(&["status"])?;
    let verified = project.json(&["verify"])?;
    let exit = project.output(&["verify"])?.status;
    report.expect("verify exits", exit.code().unwrap_or(-1), 0);
    report.check(
        verified["ok"] == true,
        format_args!("verify found: {}", verified["findings"]),
    );
    let enqueued: u64 = wanted.iter().map(|(_, count)| count).sum();
    for (name, document) in [("status", &status), ("verify", &verified)] {
        let found = total(document, campaign, "enqueued");
        report.check(
            found == enqueued,
            format_args!("{name}: enqueued is {found}, not {enqueued}"),
        );
        for end in ENDS {
            let found = total(document, campaign, end);
            let wanted = wanted.iter().find(|(name, _)| *name == end);
            let wanted = wanted.map_or(0, |(_, count)| *count);
            report.check(
                found == wanted,
                format_args!("{name}: {end} is {found}, not {wanted}"),
            );
        }
    }
    Ok(())
}

/// Everyone delivered; duplicates are at most so many, and each is named by an event.
pub fn check_all_delivered(
    project: &Project,
    campaign: &str,
    server: &Server,
    most_duplicates: u64,
    report: &mut Report,
) -> anyhow::Result<Vec<Told>> {
    let population = u64::from(server.ledger().population());
    let told = check_everyone_reached(project, server, most_duplicates, report)?;
    check_counts(project, campaign, &[("delivered", population)], report)?;
    Ok(told)
}

/// The same for several campaigns, without their counts.
pub fn check_everyone_reached(
    project: &Project,
    server: &Server,
    most_duplicates: u64,
    report: &mut Report,
) -> anyhow::Result<Vec<Told>> {
    let ledger = server.ledger();
    report.expect("lost", ledger.left(), 0);
    report.at_most("duplicates", ledger.duplicates(), most_duplicates);
    report.expect("Message-IDs changed", ledger.changed_message_ids(), 0);
    report.expect("strangers", ledger.strangers, 0);
    let told = events(project, ledger.population(), &[])?;
    check_told(&ledger, &told, report);
    Ok(told)
}

/// Nobody is both delivered and dead, and who has a mail is told as delivered.
fn check_told(ledger: &Ledger, told: &[Told], report: &mut Report) {
    check_duplicates(ledger, told, report);
    let both = told.iter().filter(|t| t.delivered > 0 && t.dead > 0);
    report.expect("both delivered and dead", both.count(), 0);
    let pairs = ledger.recipients.iter().zip(told);
    let silent = pairs.filter(|(seen, told)| seen.accepted > 0 && told.delivered == 0);
    report.expect("taken and not told as delivered", silent.count(), 0);
}

/// Every mail beyond the first has its in-doubt event.
pub fn check_duplicates(ledger: &Ledger, told: &[Told], report: &mut Report) {
    let pairs = ledger.recipients.iter().zip(told);
    let unnamed = pairs.filter(|(seen, told)| seen.accepted > 1 + told.in_doubt);
    report.expect("duplicates without in_doubt event", unnamed.count(), 0);
    let named: u32 = told.iter().map(|told| told.in_doubt).sum();
    report.figure("in_doubt events", named);
}
