//! `mailq suppress`: the suppression list.

mod import;

use super::output::{Align, Cells, Column, Format, Listing};
use super::project::{self, ConnectOptions, OpenProject};
use super::text::{counted, plain};
use super::time::now_in_utc;
use super::{Exit, Failure, Global, output, temporary};
use crate::config::Flags;
use crate::domain::address::Address;
use crate::domain::outcome::Reason;
use crate::engine::suppress::{self, SuppressionList, canonical};
use crate::suppression::{self, Entry, SuppressionKey};
use serde_json::json;
use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Manage the suppression list: addresses that are never mailed
#[derive(Debug, Clone, clap::Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Clone, clap::Subcommand)]
pub enum Verb {
    /// Add addresses to the list
    Add {
        /// E-mail addresses
        #[arg(value_name = "ADDRESS", required = true)]
        addresses: Vec<String>,

        /// Reason: `complaint`, `unsubscribe` or another known reason, or free text
        #[arg(long, value_name = "TEXT", default_value = "manual")]
        reason: String,
    },
    /// Remove addresses from the list
    Remove {
        /// E-mail addresses
        #[arg(value_name = "ADDRESS", required = true)]
        addresses: Vec<String>,
    },
    /// Add all addresses of a file: one per line, a CSV with a column `email` and optionally `reason`, or an export
    Import {
        /// File, or `-` for stdin
        #[arg(value_name = "FILE.csv|-")]
        file: PathBuf,
    },
    /// Print the list as CSV: address, reason, source, since, campaign
    Export,
    /// Print the list as a table
    List,
    /// Check whether addresses are on the list; exits with 1 if one is
    Check {
        /// E-mail addresses
        #[arg(value_name = "ADDRESS", required = true)]
        addresses: Vec<String>,
    },
}

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let loaded = global.load(None, Flags::default())?;
    let project = match args.verb {
        Verb::Add { .. } | Verb::Import { .. } => {
            OpenProject::open_or_create(loaded, &ConnectOptions::default(), global)?
        }
        _ => OpenProject::open(loaded)?,
    };
    project::block_on(async {
        match &args.verb {
            Verb::Add { addresses, reason } => add(&project, addresses, reason, global).await,
            Verb::Remove { addresses } => remove(&project, addresses, global).await,
            Verb::Import { file } => import::run(&project, file, global).await,
            Verb::Export => export(&project, global).await,
            Verb::List => list(&project, global).await,
            Verb::Check { addresses } => check(&project, addresses, global).await,
        }
    })
}

async fn add(
    project: &OpenProject,
    addresses: &[String],
    reason: &str,
    global: &Global,
) -> Result<Exit, Failure> {
    let addresses = checked(addresses)?;
    project.require_topics().await?;
    let list = read(project, &addresses).await?;
    let (reason, source) = match reason.parse() {
        Ok(reason) => (reason, "suppress add"),
        Err(_) => (Reason::Manual, reason),
    };
    let (known, new): (Vec<String>, Vec<String>) = addresses
        .into_iter()
        .partition(|address| list.contains(SuppressionKey::of(&project.key, address)));
    let since = now_in_utc();
    let entry = |address: &String| Entry {
        address: address.clone(),
        reason,
        source: source.to_string(),
        since: since.clone(),
        campaign: None,
    };
    let entries: Vec<Entry> = new.iter().map(entry).collect();
    suppress::add(project.queue.as_ref(), &project.key, &entries).await?;
    if global.json {
        output::json(&json!({"added": new, "already_suppressed": known}))?;
        return Ok(Exit::Done);
    }
    for address in &known {
        global.say(format!("{address} is already on the list"));
    }
    for address in &new {
        global.say(format!("{address} is on the list now"));
    }
    Ok(Exit::Done)
}

async fn remove(
    project: &OpenProject,
    addresses: &[String],
    global: &Global,
) -> Result<Exit, Failure> {
    let addresses: Vec<String> = addresses.iter().map(|text| canonical(text)).collect();
    let list = read(project, &addresses).await?;
    let token = |address: &String| SuppressionKey::of(&project.key, address);
    let (known, unknown): (Vec<String>, Vec<String>) = addresses
        .into_iter()
        .partition(|address| list.contains(token(address)));
    let tokens: Vec<SuppressionKey> = known.iter().map(token).collect();
    suppress::remove(project.queue.as_ref(), &tokens).await?;
    if global.json {
        output::json(&json!({"removed": known, "not_suppressed": unknown}))?;
        return Ok(Exit::Done);
    }
    for address in &unknown {
        global.say(format!("{address} was not on the list"));
    }
    for address in &known {
        global.say(format!("{address} may be mailed again"));
    }
    Ok(Exit::Done)
}

async fn export(project: &OpenProject, global: &Global) -> Result<Exit, Failure> {
    let columns = suppression::HEADER.map(|name| (name, Align::Left));
    let format = Format::json_or(global.json, Format::Csv(Cells::Exact));
    let mut list = Listing::new(format, &columns)?;
    each(project, &mut |entry| {
        let cells = || suppression::cells(entry).map(Cow::from).into();
        list.add(|| entry, cells)
    })
    .await?;
    list.finish()?;
    Ok(Exit::Done)
}

/// Gives every entry by address, until one fails.
async fn each(
    project: &OpenProject,
    give: &mut dyn FnMut(&Entry) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut given = Ok(());
    let folder = temporary::folder();
    suppress::each_by_address(project.queue.as_ref(), &folder, &mut |entry| {
        given = give(&entry);
        match given {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })
    .await?;
    given
}

async fn read(project: &OpenProject, addresses: &[String]) -> Result<SuppressionList, Failure> {
    let tokens = addresses.iter();
    let tokens = tokens.map(|address| SuppressionKey::of(&project.key, address));
    Ok(SuppressionList::read(project.queue.as_ref(), tokens).await?)
}

const COLUMNS: [Column<'static>; 4] = [
    ("ADDRESS", Align::Left),
    ("REASON", Align::Left),
    ("SINCE", Align::Left),
    ("SOURCE", Align::Left),
];

async fn list(project: &OpenProject, global: &Global) -> Result<Exit, Failure> {
    let mut list = Listing::new(Format::json_or(global.json, Format::Table), &COLUMNS)?;
    let mut count = 0;
    each(project, &mut |entry| {
        count += 1;
        let cells = || {
            vec![
                shown(&entry.address).into(),
                entry.reason.to_string().into(),
                shown(&entry.since).into(),
                shown(&entry.source).into(),
            ]
        };
        list.add(|| entry, cells)
    })
    .await?;
    list.finish()?;
    if !global.json {
        global.say(format!("{} on the list", counted(count, "address")));
    }
    Ok(Exit::Done)
}

async fn check(
    project: &OpenProject,
    addresses: &[String],
    global: &Global,
) -> Result<Exit, Failure> {
    let addresses: Vec<String> = addresses.iter().map(|text| canonical(text)).collect();
    let list = read(project, &addresses).await?;
    let mut documents = Vec::new();
    let mut found = false;
    for address in addresses {
        let token = SuppressionKey::of(&project.key, &address);
        let (is_listed, entry) = (list.contains(token), list.entry(token));
        found |= is_listed;
        if global.json {
            documents.push(json!({
                "address": address,
                "suppressed": is_listed,
                "reason": entry.map(|entry| entry.reason),
                "source": entry.map(|entry| entry.source.as_str()),
                "since": entry.map(|entry| entry.since.as_str()),
            }));
            continue;
        }
        let address = shown(&address);
        output::line(match (is_listed, entry) {
            (true, Some(entry)) => format!("{address}: suppressed, {}", because(entry)),
            (true, None) => format!("{address}: suppressed"),
            (false, _) => format!("{address}: not suppressed"),
        })?;
    }
    if global.json {
        output::json(&documents)?;
    }
    Ok(match found {
        true => Exit::NeedsAttention,
        false => Exit::Done,
    })
}

/// An address with a typo would protect nobody, so invalid addresses are refused.
fn checked(addresses: &[String]) -> Result<Vec<String>, Failure> {
    addresses
        .iter()
        .map(|text| match Address::parse(text.trim()) {
            Ok(_) => Ok(canonical(text)),
            Err(why) => Err(Failure::usage(format!(
                "`{}` is not an address: {why}; nothing was added",
                shown(text)
            ))
            .with_hint("`mailq suppress import FILE` adds a whole list")),
        })
        .collect()
}

fn because(entry: &Entry) -> String {
    format!(
        "{} since {} ({})",
        entry.reason,
        shown(&entry.since),
        shown(&entry.source)
    )
}

fn shown(text: &str) -> String {
    plain(text, 200)
}
