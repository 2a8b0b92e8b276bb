//! Decides from the campaign topic whether a run may be enqueued. Pure.

use super::error::{EnqueueError, OtherRun};
use super::job::{EarlierRuns, RunChoice};
use crate::domain::ids::RunId;
use crate::domain::records::{Dropped, Manifest, Seal};
use crate::protocol::{Ledger, RunFacts};
use std::collections::BTreeMap;

/// The run that the caller wants to enqueue.
pub struct Request<'a> {
    pub id: &'a RunId,
    pub choice: &'a RunChoice,
    pub earlier: EarlierRuns,
    pub fingerprint: &'a str,
    pub inputs: &'a BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The run is sealed already.
    AlreadySealed(Box<SealedRun>),
    /// The run is to be enqueued or continued, after these runs are dropped. Each with its name.
    Enqueue { drop: Vec<(String, Dropped)> },
}

/// A run that was sealed earlier.
#[derive(Debug, Clone, PartialEq)]
pub struct SealedRun {
    pub id: RunId,
    pub seal: Seal,
    /// Names of the inputs that differ from those requested.
    pub changed: Vec<String>,
}

pub fn decide(ledger: &Ledger, request: &Request<'_>) -> Result<Decision, EnqueueError> {
    let own = ledger
        .run(request.id.key())
        .filter(|facts| facts.dropped.is_none());
    if let Some(own) = own {
        if own.cancel.is_some() {
            return Err(cancelled(own));
        }
        if let Some(already) = sealed(own, request)? {
            return Ok(already);
        }
    }
    if *request.choice == RunChoice::Inputs
        && let Some(already) = sealed_under_another_name(ledger, request)?
    {
        return Ok(already);
    }
    let runs = ledger.runs().filter(|facts| is_superseded(facts, request));
    let drop = runs.map(|facts| (facts.manifest.id.run.clone(), dropped(facts, request)));
    Ok(Decision::Enqueue {
        drop: drop.collect(),
    })
}

/// Whether a manifest has these inputs. The fingerprint of a run that was dropped and started again ends with a random
/// number.
pub fn is_same(manifest: &Manifest, fingerprint: &str) -> bool {
    let own = manifest.fingerprint.as_str();
    own.split_once('-').map_or(own, |(inputs, _)| inputs) == fingerprint
}

/// Names of the inputs that differ or that only one has.
pub fn changed(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let differs = |name: &&&String| old.get(**name) != new.get(**name);
    names.iter().filter(differs).map(|n| (*n).clone()).collect()
}

fn sealed(own: &RunFacts, request: &Request<'_>) -> Result<Option<Decision>, EnqueueError> {
    let Some(seal) = &own.seal else {
        return Ok(None);
    };
    if own.is_complete() {
        return Ok(Some(already(own, seal, request)));
    }
    // A streamed run that is partly sealed may be partly sent, so only the same inputs can complete it.
    match is_same(&own.manifest, request.fingerprint) {
        true => Ok(None),
        false => Err(other_inputs(own, request)),
    }
}

fn cancelled(facts: &RunFacts) -> EnqueueError {
    EnqueueError::Cancelled {
        campaign: facts.manifest.id.campaign.clone(),
        run: facts.manifest.id.run.clone(),
    }
}

fn already(facts: &RunFacts, seal: &Seal, request: &Request<'_>) -> Decision {
    Decision::AlreadySealed(Box::new(SealedRun {
        id: facts.manifest.id.clone(),
        seal: seal.clone(),
        changed: changed(&facts.manifest.inputs, request.inputs),
    }))
}

/// For a run without a name: it is sealed already if any sealed run has the same inputs, under whatever name. If the
/// last sealed run has other inputs, this call may be a mistake.
fn sealed_under_another_name(
    ledger: &Ledger,
    request: &Request<'_>,
) -> Result<Option<Decision>, EnqueueError> {
    let is_other = |facts: &&RunFacts| {
        is_of_campaign(facts, request) && facts.manifest.key != request.id.key()
    };
    let others: Vec<&RunFacts> = ledger.sealed().filter(is_other).collect();
    let mut same = others
        .iter()
        .filter(|facts| facts.is_complete() && is_same(&facts.manifest, request.fingerprint));
    if let Some(facts) = same.next_back()
        && let Some(seal) = &facts.seal
    {
        if facts.cancel.is_some() {
            return Err(cancelled(facts));
        }
        return Ok(Some(already(facts, seal, request)));
    }
    match others.last() {
        _ if request.earlier != EarlierRuns::Forbid => Ok(None),
        Some(other) if !is_same(&other.manifest, request.fingerprint) => {
            Err(other_inputs(other, request))
        }
        _ => Ok(None),
    }
}

fn other_inputs(other: &RunFacts, request: &Request<'_>) -> EnqueueError {
    EnqueueError::OtherInputs {
        campaign: request.id.campaign.clone(),
        other: OtherRun {
            run: other.manifest.id.run.clone(),
            key: other.manifest.key,
            changed: changed(&other.manifest.inputs, request.inputs),
        },
    }
}

fn is_of_campaign(facts: &RunFacts, request: &Request<'_>) -> bool {
    facts.manifest.id.campaign == request.id.campaign && facts.manifest.replay_of.is_none()
}

/// A run of the same campaign, besides this one.
pub fn is_earlier(facts: &RunFacts, request: &Request<'_>) -> bool {
    is_of_campaign(facts, request)
        && facts.manifest.key != request.id.key()
        && facts.dropped.is_none()
}

/// Whether an unsealed run is void because of this one: it has the same name and other inputs, it is of an earlier
/// period, or it has other inputs. A named run leaves other named runs alone, because both may be wanted; but it cannot
/// leave out whom they have before they are sealed.
fn is_superseded(facts: &RunFacts, request: &Request<'_>) -> bool {
    let is_open = facts.seal.is_none() && facts.dropped.is_none() && facts.cancel.is_none();
    if !is_open || !is_of_campaign(facts, request) {
        return false;
    }
    let differs = !is_same(&facts.manifest, request.fingerprint);
    if facts.manifest.key == request.id.key() {
        return differs;
    }
    match request.choice {
        _ if request.earlier != EarlierRuns::Forbid => true,
        RunChoice::Inputs => differs,
        RunChoice::Period(_) => true,
        RunChoice::Named(_) => differs && is_named_by_inputs(&facts.manifest),
    }
}

fn is_named_by_inputs(manifest: &Manifest) -> bool {
    manifest.id.run.len() == 16 && manifest.fingerprint.starts_with(&manifest.id.run)
}

fn dropped(facts: &RunFacts, request: &Request<'_>) -> Dropped {
    let why = match changed(&facts.manifest.inputs, request.inputs) {
        names if names.is_empty() => format!("run `{}` was enqueued instead", request.id.run),
        names => format!(
            "run `{}` was enqueued with different inputs (changed: {})",
            request.id.run,
            names.join(", ")
        ),
    };
    Dropped {
        key: facts.manifest.key,
        draw: facts.manifest.draw,
        append: 0,
        why,
    }
}
