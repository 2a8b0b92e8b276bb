//! `expected/counts` and the closing law, which holds for every scenario that has a queue at its end.

use super::stage::Stage;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const ENDS: [&str; 9] = [
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

/// Lines `KEY [<=|>=] COUNT`. Keys: `enqueued` and where its messages are (also `CAMPAIGN.KEY`), `dlq`, `campaigns`,
/// `mails`, `duplicates`, `connections`, `to:ADDRESS`, `event:TYPE`, `attempts`, `command:WORD`, `file:PATH` (files in
/// a folder, or whether there is one), `verify` (its exit code).
pub fn check(stage: &Stage, folder: &Path) -> Result<(), String> {
    let text = fs::read_to_string(folder.join("expected/counts")).unwrap_or_default();
    let wanted: Vec<(usize, Vec<&str>)> = text
        .lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line.split_whitespace().collect()))
        .filter(|(_, words): &(usize, Vec<&str>)| {
            words.first().is_some_and(|word| !word.starts_with('#'))
        })
        .collect();
    let mut found = of_relay(stage);
    if stage.path().join(".mailq/queue.db").exists() {
        of_queue(stage, &mut found)?;
        let verify = wanted.iter().find(|(_, words)| words[0] == "verify");
        if verify.is_none() && found.get("verify") != Some(&0) {
            return Err("verify found that somebody is not accounted for".into());
        }
    }
    let mut wrong = Vec::new();
    for (number, words) in wanted {
        if let Err(error) = hold(stage, &found, &words) {
            wrong.push(format!("expected/counts:{number}: {error}"));
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(wrong.join("\n")),
    }
}

type Counts = BTreeMap<String, u64>;

fn hold(stage: &Stage, found: &Counts, words: &[&str]) -> Result<(), String> {
    let (key, sign, count) = match words {
        [key, count] => (*key, "=", *count),
        [key, sign @ ("<=" | ">="), count] => (*key, *sign, *count),
        _ => return Err(format!("`{}` is not `KEY [<=|>=] COUNT`", words.join(" "))),
    };
    let wanted: u64 = count
        .parse()
        .map_err(|_| format!("`{count}` is no number"))?;
    let is = match key.strip_prefix("file:") {
        Some(path) => files(&stage.path().join(path)),
        None => match found.get(key) {
            Some(count) => *count,
            None if key.contains(':') || stage_has_no(found, key) => 0,
            None => return Err(format!("nobody counts `{key}`")),
        },
    };
    let holds = match sign {
        "<=" => is <= wanted,
        ">=" => is >= wanted,
        _ => is == wanted,
    };
    match holds {
        true => Ok(()),
        false => Err(format!("{key} is {is}, wanted {sign} {wanted}")),
    }
}

/// Without a queue all its counts are 0; a campaign that is not in it has none.
fn stage_has_no(found: &Counts, key: &str) -> bool {
    !found.contains_key("enqueued") && (ENDS.contains(&key) || key == "enqueued")
}

fn files(path: &Path) -> u64 {
    match path.is_dir() {
        true => super::files(path).len() as u64,
        false => u64::from(path.exists()),
    }
}

fn of_relay(stage: &Stage) -> Counts {
    let mails = stage.mails();
    let mut counts = Counts::new();
    let distinct: BTreeSet<(&str, &[String])> = mails
        .iter()
        .map(|mail| (mail.message_id.as_str(), mail.recipients.as_slice()))
        .collect();
    counts.insert("mails".into(), mails.len() as u64);
    counts.insert("duplicates".into(), (mails.len() - distinct.len()) as u64);
    for to in mails.iter().flat_map(|mail| &mail.recipients) {
        *counts.entry(format!("to:{to}")).or_default() += 1;
    }
    for log in stage.logs() {
        *counts.entry("connections".into()).or_default() += log.connections;
        *counts.entry("attempts".into()).or_default() += log.mail_times.len() as u64;
        *counts.entry("violations".into()).or_default() += log.violations.len() as u64;
        for (_, line) in &log.commands {
            let word = line.split([' ', ':']).next().unwrap_or_default();
            *counts
                .entry(format!("command:{}", word.to_ascii_uppercase()))
                .or_default() += 1;
        }
    }
    counts
}

fn of_queue(stage: &Stage, counts: &mut Counts) -> Result<(), String> {
    let (_, status) = json(stage, &["status"])?;
    let (exit, verify) = json(stage, &["verify"])?;
    counts.insert("verify".into(), u64::try_from(exit).unwrap_or(u64::MAX));
    counts.insert("dlq".into(), status["dlq"].as_u64().unwrap_or(u64::MAX));
    let rows = status["campaigns"]
        .as_array()
        .ok_or("status --json without campaigns")?;
    counts.insert("campaigns".into(), rows.len() as u64);
    // Runs whose events were deleted by their age are not verified.
    let name = |row: &Value| {
        let part = |key: &str| row[key].as_str().unwrap_or_default().to_string();
        Value::from(part("campaign") + "/" + &part("run"))
    };
    let too_old = verify["too_old"].as_array().cloned().unwrap_or_default();
    let mut counted = status["campaigns"].as_array().cloned().unwrap_or_default();
    counted.retain(|row| !too_old.contains(&name(row)));
    if exit == 0 && verify["campaigns"] != Value::from(counted) {
        return Err(format!("status and verify differ:\n{status}\n{verify}"));
    }
    counts.insert("enqueued".into(), 0);
    for row in rows {
        let of = |key: &str| row[key].as_u64().unwrap_or(u64::MAX / 100);
        let sum: u64 = ENDS.iter().map(|key| of(key)).sum();
        if sum != of("enqueued") {
            return Err(format!(
                "the sum of a campaign's row is not what was enqueued: {row}"
            ));
        }
        let name = row["campaign"].as_str().unwrap_or_default();
        for key in ENDS.iter().chain(&["enqueued"]) {
            *counts.entry(key.to_string()).or_default() += of(key);
            *counts.entry(format!("{name}.{key}")).or_default() += of(key);
        }
    }
    for key in ENDS {
        counts.entry(key.into()).or_default();
    }
    of_events(stage, counts)?;
    laws(stage, counts)
}

fn of_events(stage: &Stage, counts: &mut Counts) -> Result<(), String> {
    let output = stage
        .command()
        .arg("events")
        .output()
        .map_err(|error| error.to_string())?;
    let mails = stage.mails().into_iter();
    let mut reached: BTreeSet<String> = mails.flat_map(|mail| mail.recipients).collect();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let event: Value =
            serde_json::from_str(line).map_err(|error| format!("{line}: {error}"))?;
        let kind = event["header"]["eventType"].as_str().unwrap_or_default();
        let kind = kind.trim_start_matches("mail.");
        *counts.entry(format!("event:{kind}")).or_default() += 1;
        if kind == "in_doubt" {
            let address = event["payload"]["address"].as_str().unwrap_or_default();
            reached.insert(address.to_string());
        }
    }
    // Recipients who have a mail, or an event that says that they may have one.
    counts.insert("reached".into(), reached.len() as u64);
    Ok(())
}

/// What no scenario may break.
fn laws(stage: &Stage, counts: &Counts) -> Result<(), String> {
    let of = |key: &str| counts.get(key).copied().unwrap_or_default();
    if of("violations") > 0 {
        let said: Vec<String> = stage
            .logs()
            .into_iter()
            .flat_map(|log| log.violations)
            .collect();
        return Err(format!("the relay heard what no client may say: {said:?}"));
    }
    let uses_relay = of("connections") > 0;
    let mails = stage.mails();
    let answered: BTreeSet<&str> = mails
        .iter()
        .filter(|mail| mail.answered)
        .map(|mail| mail.message_id.as_str())
        .collect();
    if uses_relay && of("delivered") > answered.len() as u64 {
        return Err(format!(
            "{} delivered, but the relay took {}",
            of("delivered"),
            answered.len()
        ));
    }
    if of("duplicates") > of("event:in_doubt") + of("event:deferred") {
        return Err(format!(
            "{} mails came twice, and no event says so",
            of("duplicates")
        ));
    }
    Ok(())
}

fn json(stage: &Stage, arguments: &[&str]) -> Result<(i32, Value), String> {
    let output = stage
        .command()
        .args(arguments)
        .arg("--json")
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let value = serde_json::from_str(&text).map_err(|error| {
        let stderr = String::from_utf8_lossy(&output.stderr);
        format!("mailq {arguments:?} --json: {error}\n{text}{stderr}")
    })?;
    Ok((output.status.code().unwrap_or(-1), value))
}
