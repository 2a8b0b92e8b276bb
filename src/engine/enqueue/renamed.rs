//! Finds a run of another campaign with the same list and content. The campaign was probably renamed, and everybody would
//! get the mail again: runs are told apart by their campaign's name.

use super::campaign_topic::CampaignTopic;
use super::decide::{Decision, Request, decide};
use super::error::EnqueueError;
use super::job::{Job, RunChoice};
use super::renaming::{CAMPAIGN_FILE, Renaming, SameRun};
use super::repeat::retried;
use super::report::EnqueueProgress;
use crate::domain::ids::RunKey;
use crate::engine::account::status;
use crate::protocol::{Ledger, RunFacts};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// Reports such a run, or refuses. A run that has a name is wanted, and one that is begun or sealed is not asked about.
pub async fn look(
    topic: &mut CampaignTopic<'_>,
    request: &Request<'_>,
    job: &Job,
    now: SystemTime,
    observer: &mut dyn FnMut(EnqueueProgress<'_>),
) -> Result<(), EnqueueError> {
    topic.read_to_end(observer).await?;
    let own = topic.ledger.run(request.id.key());
    let is_begun = own.is_some_and(|run| run.dropped.is_none());
    if is_begun || matches!(decide(&topic.ledger, request)?, Decision::AlreadySealed(_)) {
        return Ok(());
    }
    let same = same_elsewhere(&topic.ledger, request, &job.renaming);
    if same.is_empty() {
        return Ok(());
    }
    let queue = topic.queue;
    let rows = retried(job.queue_timeout, observer, async || {
        Ok(status(queue, now, None).await?.campaigns)
    });
    let rows = rows.await?.into_iter();
    let rows = rows.filter(|row| same.contains(&row.key));
    let mut found = rows.map(SameRun::from).filter(SameRun::has_recipients);
    let Some(same) = found.next_back() else {
        return Ok(());
    };
    if job.renaming.is_refused {
        let campaign = request.id.campaign.clone();
        return Err(EnqueueError::Renamed { campaign, same });
    }
    observer(EnqueueProgress::Renamed(&same));
    Ok(())
}

/// Sealed runs of other campaigns with these inputs, but for the campaign's name.
fn same_elsewhere(ledger: &Ledger, request: &Request<'_>, renaming: &Renaming) -> Vec<RunKey> {
    let is_same = |run: &&RunFacts| {
        let manifest = &run.manifest;
        let is_wanted = match request.choice {
            RunChoice::Named(_) => true,
            // The same mail of another period is wanted.
            RunChoice::Period(period) => *period != manifest.id.run,
            RunChoice::Inputs => false,
        };
        !is_wanted
            && manifest.id.campaign != request.id.campaign
            && manifest.replay_of.is_none()
            && is_same_but_for_name(&manifest.inputs, request.inputs, || {
                renaming.fingerprints(&manifest.id.campaign)
            })
    };
    let runs = ledger.sealed().filter(is_same);
    runs.map(|run| run.manifest.key).collect()
}

/// `files`: fingerprints of the campaign file under the old name.
fn is_same_but_for_name(
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
    files: impl Fn() -> Vec<String>,
) -> bool {
    let differs = |name: &&String| old.get(*name) != new.get(*name);
    let mut differing = old.keys().chain(new.keys()).filter(differs);
    match differing.next() {
        None => true,
        Some(name) if name != CAMPAIGN_FILE || differing.any(|name| name != CAMPAIGN_FILE) => false,
        Some(_) => old
            .get(CAMPAIGN_FILE)
            .is_some_and(|old| files().contains(old)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::sha256;

    #[test]
    fn a_campaign_file_is_the_same_under_another_name() {
        let old = "# spring\nname = \"spring\" # its name\nsubject = \"Spring\"\n";
        let inputs = |file: &str, list: &str| {
            let pairs = [
                (CAMPAIGN_FILE, sha256(file.as_bytes())),
                ("recipients", list.into()),
            ];
            BTreeMap::from(pairs.map(|(name, value)| (name.to_string(), value)))
        };
        let is_same = |file: &str, list: &str, new: &str| {
            let renaming = Renaming {
                campaign_file: new.into(),
                ..Renaming::default()
            };
            is_same_but_for_name(&inputs(file, list), &inputs(new, "l1"), || {
                renaming.fingerprints("spring")
            })
        };
        let renamed = old.replace("\"spring\"", "\"sale\"");
        let without = "# spring\nsubject = \"Spring\"\n";
        for (file, list, new, same) in [
            (old, "l1", old, true),
            (old, "l1", renamed.as_str(), true),
            (without, "l1", renamed.as_str(), true),
            (
                without,
                "l1",
                "# spring\nname = \"sale\"\nsubject = \"Spring\"\n",
                true,
            ),
            (old, "l2", old, false),
            (old, "l2", renamed.as_str(), false),
            (old, "l1", &renamed.replace("Spring", "Summer"), false),
            (old, "l1", without, false),
        ] {
            assert_eq!(is_same(file, list, new), same, "{list} {new}");
        }
    }
}
