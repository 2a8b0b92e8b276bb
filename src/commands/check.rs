//! `mailq check`: looks for everything that can be wrong with a campaign before it is enqueued.

pub mod finding;
mod list;
mod message;
mod relay;
mod report;
mod typos;

use super::campaign;
use super::project::{self, OpenProject};
use super::text::{counted, grouped, tidied};
use super::{Exit, Failure, Global, output, terminal};
use crate::config::{CampaignFile, Flags, Loaded};
use crate::domain::address::Address;
use crate::engine::suppress;
use crate::recipients::{self, Options, Tests};
use crate::render::{Composer, Content};
use crate::suppression::SuppressionKey;
use finding::{Finding, Severity};
use report::Report;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Check a campaign before sending: settings, list and templates; with --relay also the relays
///
/// Reads the whole list and renders a sample of its rows. Errors are what `enqueue` or a receiver would refuse;
/// warnings are what costs deliveries. Exits with 2 if there are errors.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Campaign file
    #[arg(value_name = "CAMPAIGN.toml")]
    pub campaign: PathBuf,

    /// Also connect to each relay: TLS, login, extensions
    #[arg(long)]
    pub relay: bool,
}

pub fn run(args: &Args, global: &Global) -> Result<Exit, Failure> {
    let loaded = global.load(Some(&args.campaign), Flags::default())?;
    let (file, list) = campaign::files(&args.campaign, None)?;
    let mut report = Report::default();
    check(&loaded, &file, &list, &mut report)?;
    let relays = match args.relay {
        true => relay::probe(&loaded, &mut report.findings)?,
        false => Vec::new(),
    };
    report.findings.sort_by_key(|finding| finding.severity);
    print(&file, &list, &report, &relays, global)?;
    Ok(exit(&report, &relays))
}

/// Continues after an error as long as something is left to check.
fn check(
    loaded: &Loaded,
    file: &CampaignFile,
    list: &Path,
    report: &mut Report,
) -> Result<(), Failure> {
    let templates = loaded.project.templates();
    let content = match Content::load(&campaign::content(file), &templates) {
        Ok(content) => Some(content),
        Err(error) => {
            report.findings.push(Finding::of_content(error));
            None
        }
    };
    let skipping = Options {
        skip_invalid: true,
        ..Options::default()
    };
    let mut options = campaign::reading(&file.keys, skipping);
    let columns = match recipients::columns(list, &options) {
        Ok(columns) => columns,
        Err(error) => {
            report.findings.push(Finding::of_list(error));
            return Ok(());
        }
    };
    let composer = match content {
        Some(content) => {
            options.header_columns = content.header_columns(&columns);
            let composer = composer(content, &columns, list, report);
            if let Some(composer) = &composer {
                foreign_tags(composer, report);
            }
            let tests = composer.as_ref().and_then(|made| made.row_tests(false));
            options.tests = Tests(tests);
            composer
        }
        None => None,
    };
    let suppressed = suppressed(loaded)?;
    list::check(list, &options, composer.as_ref(), &suppressed, report)
}

fn composer(
    content: Content,
    columns: &[String],
    list: &Path,
    report: &mut Report,
) -> Option<Composer> {
    match content.composer(columns, &list.display().to_string()) {
        Ok(composer) => Some(composer),
        Err(error) => {
            report.findings.push(Finding::of_content(error.into()));
            None
        }
    }
}

/// Findings about merge tags that are shown.
const SHOWN_TAGS: usize = 10;

fn foreign_tags(composer: &Composer, report: &mut Report) {
    for found in composer.foreign_tags().into_iter().take(SHOWN_TAGS) {
        let what = format!(
            "{}: `{}` is a merge tag of another program, and is mailed as it stands",
            found.place, found.tag
        );
        let hint = match &found.column {
            Some(column) => format!("write `{{{{ {} }}}}`", found.place.cell(column)),
            None => "write a column of the list as `{{ name }}`, or remove it".to_string(),
        };
        report.findings.push(Finding::warning("W21", what, hint));
    }
}

/// Whether an address is never mailed.
pub type Suppressed = Box<dyn Fn(&Address) -> bool>;

/// Without a queue nobody is suppressed.
pub fn suppressed(loaded: &Loaded) -> Result<Suppressed, Failure> {
    if !OpenProject::has_queue(loaded) {
        return Ok(Box::new(|_| false));
    }
    let project = OpenProject::open(loaded.clone())?;
    let list = project::block_on(async { Ok(suppress::keys(project.queue.as_ref()).await?) })?;
    let key = project.key.clone();
    Ok(Box::new(move |address| {
        list.contains(SuppressionKey::of(&key, address.as_str()))
    }))
}

fn exit(report: &Report, relays: &[relay::Probed]) -> Exit {
    let has_errors = report
        .findings
        .iter()
        .any(|finding| finding.severity == Severity::Error);
    let worst = relays.iter().filter_map(|relay| relay.exit).min();
    let differs = report.counts.is_some_and(|counts| counts.differing > 0);
    match (has_errors, worst) {
        (true, _) => Exit::Usage,
        (false, Some(exit)) => exit,
        (false, None) if differs => Exit::NeedsAttention,
        (false, None) => Exit::Done,
    }
}

/// Prints the report on stdout and findings on stderr, or all of it as one JSON document.
fn print(
    file: &CampaignFile,
    list: &Path,
    report: &Report,
    relays: &[relay::Probed],
    global: &Global,
) -> Result<(), Failure> {
    let count = |severity| {
        let findings = report.findings.iter();
        findings.filter(|found| found.severity == severity).count() as u64
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    for finding in &report.findings {
        if finding.severity == Severity::Error || !global.quiet {
            terminal::note(finding.to_string());
        }
    }
    if global.json {
        return output::json(&json!({
            "campaign": file.name,
            "recipients": list.display().to_string(),
            "rows": report.counts.map(|counts| counts.rows),
            "accepted": report.counts.map(|counts| counts.accepted),
            "duplicates": report.counts.map(|counts| counts.duplicates),
            "differing": report.counts.map(|counts| counts.differing),
            "invalid": report.counts.map(|counts| counts.invalid),
            "cleaned_addresses": report.counts.map(|counts| counts.tidied.cleaned_addresses),
            "empty_rows": report.counts.map(|counts| counts.tidied.empty_rows),
            "garbled_rows": report.counts.map(|counts| counts.tidied.garbled_rows),
            "ignored_columns": report.counts.map(|counts| counts.tidied.ignored_columns),
            "rendered": report.rendered,
            "largest_bytes": report.largest_bytes,
            "errors": errors,
            "warnings": warnings,
            "findings": report.findings,
            "relays": relays,
        }));
    }
    let mut lines = vec![("campaign", format!("{} ({})", file.name, file.display))];
    if let Some(counts) = &report.counts {
        let mut text = format!(
            "{}: {}, {} to be mailed, {}, {} invalid",
            list.display(),
            counted(counts.rows, "row"),
            grouped(counts.accepted),
            match file.keys.group {
                true => format!("{} more in these mails", grouped(counts.duplicates)),
                false => counted(counts.duplicates, "duplicate"),
            },
            grouped(counts.invalid)
        );
        for note in tidied(&counts.tidied) {
            text += &format!(", {note}");
        }
        lines.push(("recipients", text));
    }
    let (rendered, largest) = (report.rendered, report.largest_bytes);
    lines.push((
        "messages",
        format!("{rendered} rendered, the largest has {largest} bytes"),
    ));
    lines.extend(relays.iter().map(|relay| ("relay", relay.to_string())));
    let (errors, warnings) = (counted(errors, "error"), counted(warnings, "warning"));
    lines.push(("result", format!("{errors}, {warnings}")));
    output::lines(&output::fields(&lines))
}
