//! Looks up campaigns and runs by name. The error for an unknown name suggests the nearest one.

use super::Failure;
use crate::domain::nearest::nearest;
use crate::protocol::{Ledger, RunFacts};
use std::collections::BTreeSet;
use std::path::Path;

/// The runs of a campaign, oldest first, without replays and dropped runs. Errors: the campaign has no run in this
/// queue.
pub fn runs<'a>(ledger: &'a Ledger, campaign: &str) -> Result<Vec<&'a RunFacts>, Failure> {
    let mut runs: Vec<&RunFacts> = ledger
        .runs()
        .filter(|run| is_shown(run) && run.manifest.id.campaign == campaign)
        .collect();
    if runs.is_empty() {
        return Err(unknown(ledger, campaign));
    }
    runs.sort_by_key(|run| run.manifest_offset);
    Ok(runs)
}

/// The run with this name. Without a name: the newest sealed run, or the newest run if none is sealed.
pub fn run<'a>(
    ledger: &'a Ledger,
    campaign: &str,
    name: Option<&str>,
) -> Result<&'a RunFacts, Failure> {
    let runs = runs(ledger, campaign)?;
    let found = match name {
        Some(name) => runs.iter().find(|run| run.manifest.id.run == name),
        None => runs.iter().rfind(|run| run.seal.is_some()).or(runs.last()),
    };
    found.copied().ok_or_else(|| {
        let name = name.unwrap_or_default();
        let names = runs.iter().map(|run| run.manifest.id.run.as_str());
        let hint = match nearest(name, names) {
            Some(near) => {
                format!("did you mean `{near}`? `mailq status {campaign}` lists its runs")
            }
            None => format!("`mailq status {campaign}` lists its runs"),
        };
        Failure::usage(format!(
            "campaign `{campaign}` has no run `{name}` in this queue"
        ))
        .with_hint(hint)
    })
}

fn is_shown(run: &RunFacts) -> bool {
    run.manifest.replay_of.is_none() && run.dropped.is_none()
}

fn unknown(ledger: &Ledger, campaign: &str) -> Failure {
    let names: BTreeSet<&str> = ledger
        .runs()
        .filter(|run| is_shown(run))
        .map(|run| run.manifest.id.campaign.as_str())
        .collect();
    // The name may be the path of the campaign file.
    let stem = Path::new(campaign)
        .file_stem()
        .and_then(|stem| stem.to_str());
    let near = nearest(campaign, names.iter().copied())
        .or_else(|| nearest(stem.unwrap_or(campaign), names.iter().copied()));
    let hint = match near {
        Some(near) => {
            format!("did you mean `{near}`? `mailq status` lists the campaigns in this queue")
        }
        None => "`mailq status` lists the campaigns in this queue".to_string(),
    };
    Failure::usage(format!("campaign `{campaign}` has no run in this queue")).with_hint(hint)
}
