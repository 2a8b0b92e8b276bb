//! Whether a run may be enqueued, given everything that the campaign topic says. Pure.

use super::error::{EnqueueError, OtherRun};
use super::job::RunChoice;
use crate::domain::ids::RunId;
use crate::domain::records::{Dropped, Manifest, Seal};
use crate::protocol::{Ledger, RunFacts};
use std::collections::BTreeMap;

/// What is to be enqueued, as far as the decision depends on it.
pub struct Wish<'a> {
    pub id: &'a RunId,
    pub choice: &'a RunChoice,
    pub fingerprint: &'a str,
    pub inputs: &'a BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Sealed; `changed` are the inputs that differ from it.
    Already(Box<Already>),
    /// To be enqueued or continued, once these are dropped. Each with its run's name.
    Go { drop: Vec<(String, Dropped)> },
}

/// A run that was sealed before.
#[derive(Debug, Clone, PartialEq)]
pub struct Already {
    pub id: RunId,
    pub seal: Seal,
    pub changed: Vec<String>,
}

pub fn decide(ledger: &Ledger, wish: &Wish<'_>) -> Result<Decision, EnqueueError> {
    let own = ledger
        .run(wish.id.key())
        .filter(|facts| facts.dropped.is_none());
    if let Some(own) = own {
        if own.cancel.is_some() {
            return Err(cancelled(own));
        }
        if let Some(already) = sealed(own, wish)? {
            return Ok(already);
        }
    }
    if *wish.choice == RunChoice::Inputs
        && let Some(already) = among_sealed(ledger, wish)?
    {
        return Ok(already);
    }
    let runs = ledger.runs().filter(|facts| is_in_the_way(facts, wish));
    let drop = runs.map(|facts| (facts.manifest.id.run.clone(), dropped(facts, wish)));
    Ok(Decision::Go {
        drop: drop.collect(),
    })
}

/// Whether a run's manifest is of the same inputs. A run that begins anew after it was dropped has its draw behind
/// the fingerprint.
pub fn is_same(manifest: &Manifest, fingerprint: &str) -> bool {
    let own = manifest.fingerprint.as_str();
    own.split_once('-').map_or(own, |(inputs, _)| inputs) == fingerprint
}

/// Names of the inputs that differ, of those that either has.
pub fn changed(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let differs = |name: &&&String| old.get(**name) != new.get(**name);
    names.iter().filter(differs).map(|n| (*n).clone()).collect()
}

fn sealed(own: &RunFacts, wish: &Wish<'_>) -> Result<Option<Decision>, EnqueueError> {
    let Some(seal) = &own.seal else {
        return Ok(None);
    };
    if own.is_complete() {
        return Ok(Some(already(own, seal, wish)));
    }
    // Begun with `--stream` and partly sent: only the same inputs can finish it.
    match is_same(&own.manifest, wish.fingerprint) {
        true => Ok(None),
        false => Err(other_inputs(own, wish)),
    }
}

fn cancelled(facts: &RunFacts) -> EnqueueError {
    EnqueueError::Cancelled {
        campaign: facts.manifest.id.campaign.clone(),
        run: facts.manifest.id.run.clone(),
    }
}

fn already(facts: &RunFacts, seal: &Seal, wish: &Wish<'_>) -> Decision {
    Decision::Already(Box::new(Already {
        id: facts.manifest.id.clone(),
        seal: seal.clone(),
        changed: changed(&facts.manifest.inputs, wish.inputs),
    }))
}

/// A run without a name is weighed against all that were sealed: the same inputs were sent already, under whatever
/// name; other inputs may be a mistake.
fn among_sealed(ledger: &Ledger, wish: &Wish<'_>) -> Result<Option<Decision>, EnqueueError> {
    let is_other =
        |facts: &&RunFacts| is_of_campaign(facts, wish) && facts.manifest.key != wish.id.key();
    let others: Vec<&RunFacts> = ledger.sealed().filter(is_other).collect();
    let mut same = others
        .iter()
        .filter(|facts| facts.is_complete() && is_same(&facts.manifest, wish.fingerprint));
    if let Some(facts) = same.next_back()
        && let Some(seal) = &facts.seal
    {
        if facts.cancel.is_some() {
            return Err(cancelled(facts));
        }
        return Ok(Some(already(facts, seal, wish)));
    }
    match others.last() {
        Some(other) if !is_same(&other.manifest, wish.fingerprint) => {
            Err(other_inputs(other, wish))
        }
        _ => Ok(None),
    }
}

fn other_inputs(other: &RunFacts, wish: &Wish<'_>) -> EnqueueError {
    EnqueueError::OtherInputs {
        campaign: wish.id.campaign.clone(),
        other: OtherRun {
            run: other.manifest.id.run.clone(),
            key: other.manifest.key,
            changed: changed(&other.manifest.inputs, wish.inputs),
        },
    }
}

fn is_of_campaign(facts: &RunFacts, wish: &Wish<'_>) -> bool {
    facts.manifest.id.campaign == wish.id.campaign && facts.manifest.replay_of.is_none()
}

/// An unsealed run that this one makes void: of the same name with other inputs; of an earlier period; or, unless
/// this one was given a name beside which others may be enqueued on purpose, with other inputs.
fn is_in_the_way(facts: &RunFacts, wish: &Wish<'_>) -> bool {
    let is_open = facts.seal.is_none() && facts.dropped.is_none() && facts.cancel.is_none();
    if !is_open || !is_of_campaign(facts, wish) {
        return false;
    }
    let differs = !is_same(&facts.manifest, wish.fingerprint);
    if facts.manifest.key == wish.id.key() {
        return differs;
    }
    match wish.choice {
        RunChoice::Inputs => differs,
        RunChoice::Period(_) => true,
        RunChoice::Named(_) => differs && is_named_by_inputs(&facts.manifest),
    }
}

fn is_named_by_inputs(manifest: &Manifest) -> bool {
    manifest.id.run.len() == 16 && manifest.fingerprint.starts_with(&manifest.id.run)
}

fn dropped(facts: &RunFacts, wish: &Wish<'_>) -> Dropped {
    let why = match changed(&facts.manifest.inputs, wish.inputs) {
        names if names.is_empty() => format!("run `{}` was enqueued instead", wish.id.run),
        names => format!(
            "run `{}` was enqueued with different inputs (changed: {})",
            wish.id.run,
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
