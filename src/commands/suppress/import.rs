//! `mailq suppress import`: adds a list of any length, in pieces. Lines without an address are reported and skipped.

use crate::bounded_file;
use crate::commands::project::OpenProject;
use crate::commands::text::{counted, grouped};
use crate::commands::time::now_in_utc;
use crate::commands::{Exit, Failure, Global, output, terminal};
use crate::engine::suppress::{self, canonical};
use crate::suppression::{Entry, Import, ImportError, SuppressionKey};
use serde_json::json;
use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Entries in memory at a time.
const PIECE: usize = 50_000;
/// Rejected lines that are reported one by one.
const TOLD_LINES: u64 = 10;

#[derive(Default)]
struct Counts {
    added: u64,
    already: u64,
    rejected: u64,
}

pub async fn run(project: &OpenProject, file: &Path, global: &Global) -> Result<Exit, Failure> {
    let name = match file.to_str() {
        Some("-") => "stdin".to_string(),
        _ => file.display().to_string(),
    };
    let source: Box<dyn BufRead> = match file.to_str() {
        Some("-") => Box::new(BufReader::new(std::io::stdin())),
        _ => Box::new(BufReader::new(bounded_file::open_stream(file).map_err(
            |error| {
                Failure::usage(format!("cannot read `{name}`; nothing was added"))
                    .caused_by(&error)
                    .with_hint("check the path and the file's permissions")
            },
        )?)),
    };
    project.require_topics().await?;
    let mut counts = Counts::default();
    take(project, Import::new(source), &name, &mut counts).await?;
    if global.json {
        output::json(&json!({
            "file": name,
            "added": counts.added,
            "already_suppressed": counts.already,
            "rejected": counts.rejected,
        }))?;
    } else {
        global.say(format!(
            "{name}: {} added, {} already on the list, {} rejected",
            counted(counts.added, "address"),
            grouped(counts.already),
            counted(counts.rejected, "line")
        ));
    }
    Ok(match counts.rejected {
        0 => Exit::Done,
        _ => Exit::NeedsAttention,
    })
}

async fn take(
    project: &OpenProject,
    lines: Import<Box<dyn BufRead>>,
    name: &str,
    counts: &mut Counts,
) -> Result<(), Failure> {
    let list = suppress::keys(project.queue.as_ref()).await?;
    let mut new: HashSet<SuppressionKey> = HashSet::new();
    let mut entries = Vec::new();
    let since = now_in_utc();
    for line in lines {
        match line {
            Err(error) => reject(&error, name, counts),
            Ok(listed) => {
                let address = canonical(&listed.address);
                let token = SuppressionKey::of(&project.key, &address);
                if list.contains(token) || !new.insert(token) {
                    counts.already += 1;
                    continue;
                }
                entries.push(Entry {
                    address,
                    reason: listed.reason,
                    source: listed
                        .unknown_reason
                        .or(listed.source)
                        .unwrap_or_else(|| format!("{name}:{}", listed.line)),
                    since: listed.since.unwrap_or_else(|| since.clone()),
                    campaign: listed.campaign,
                });
            }
        }
        if entries.len() >= PIECE {
            store(project, &mut entries, counts).await?;
        }
    }
    store(project, &mut entries, counts).await
}

fn reject(error: &ImportError, name: &str, counts: &mut Counts) {
    counts.rejected += 1;
    if counts.rejected <= TOLD_LINES {
        terminal::note(format!("warning: {name}: {error}; not added"));
    }
}

async fn store(
    project: &OpenProject,
    entries: &mut Vec<Entry>,
    counts: &mut Counts,
) -> Result<(), Failure> {
    suppress::add(project.queue.as_ref(), &project.key, entries).await?;
    counts.added += entries.len() as u64;
    entries.clear();
    Ok(())
}
