//! Pause, resume, cancel, and the rate in force: records of the campaign topic that every worker acts on within 2 s.

use crate::domain::ids::RunId;
use crate::domain::rate::Rate;
use crate::domain::records::{CampaignRecord, Cancel, Control, RateInForce};
use crate::engine::account::row::{counted, origins};
use crate::engine::account::{AccountError, State, View};
use crate::engine::letters::namings;
use crate::engine::read_model::campaign_topic::announce;
use crate::engine::timestamp::timestamp;
use crate::protocol::RunFacts;
use crate::queue::Queue;
use std::time::SystemTime;

/// What a person wants of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Pause,
    Resume,
    /// Final.
    Cancel,
}

/// A run, and what became of the wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controlled {
    pub run: RunId,
    /// `false`: it was so already, or is finished.
    pub is_changed: bool,
    /// As it was before.
    pub state: State,
    /// Pending and retrying.
    pub unfinished: u64,
}

/// Says to every unfinished run of a campaign, and to their replays, what is wished. `by`: user and host, for people.
/// Errors: the campaign has no run here.
pub async fn control(
    queue: &dyn Queue,
    campaign: &str,
    wish: Wish,
    by: &str,
    now: SystemTime,
) -> Result<Vec<Controlled>, AccountError> {
    let view = View::read(queue, true).await?;
    let namings = namings(&view.ledger)?;
    let runs = origins(&view, Some(campaign));
    if runs.is_empty() {
        return Err(AccountError::NoCampaign(campaign.to_string()));
    }
    let (mut records, mut controlled) = (Vec::new(), Vec::new());
    for run in runs {
        let row = counted(&view, &namings, run, now);
        let is_over = matches!(row.state, State::Done | State::Cancelled);
        let replays = view
            .ledger
            .runs()
            .filter(|other| other.manifest.replay_of == Some(run.manifest.key));
        let changes: Vec<CampaignRecord> = std::iter::once(run)
            .chain(replays)
            // A run may be over by its counts and still have void records to pass: what is paused can be resumed.
            .filter(|_| !is_over || wish == Wish::Resume)
            .filter_map(|run| change(run, wish, by, now))
            .collect();
        controlled.push(Controlled {
            run: run.manifest.id.clone(),
            is_changed: !changes.is_empty(),
            state: row.state,
            unfinished: row.unfinished(),
        });
        records.extend(changes);
    }
    if !records.is_empty() {
        announce(queue, &records).await?;
    }
    Ok(controlled)
}

fn change(run: &RunFacts, wish: Wish, by: &str, now: SystemTime) -> Option<CampaignRecord> {
    let (key, at, by) = (run.manifest.key, timestamp(now), by.to_string());
    let is_paused = run.control.as_ref().is_some_and(|control| control.paused);
    let control = |paused| {
        CampaignRecord::Control(Control {
            key,
            paused,
            at: at.clone(),
            by: by.clone(),
        })
    };
    match wish {
        _ if run.cancel.is_some() || run.dropped.is_some() => None,
        Wish::Pause => (!is_paused).then(|| control(true)),
        Wish::Resume => is_paused.then(|| control(false)),
        Wish::Cancel => Some(CampaignRecord::Cancel(Cancel { key, at, by })),
    }
}

/// Publishes the rate for all workers, if it is not in force already. Gives what was in force before.
pub async fn publish_rate(
    queue: &dyn Queue,
    wanted: RateInForce,
) -> Result<Option<RateInForce>, AccountError> {
    let ledger = crate::engine::account::read_ledger(queue, false).await?;
    let before = ledger.rate().cloned();
    let is_in_force = |known: &RateInForce| -> bool {
        let (known, wanted): ((Rate, u32), (Rate, u32)) =
            ((known.rate, known.burst), (wanted.rate, wanted.burst));
        known == wanted
    };
    if !before.as_ref().is_some_and(is_in_force) {
        announce(queue, &[CampaignRecord::Rate(wanted)]).await?;
    }
    Ok(before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::account::status;
    use crate::engine::account::story::Story;

    #[test]
    fn pause_resume_and_cancel_say_what_they_did() {
        Story::run(async |story| {
            story.everything().await;
            let wishes = [
                (Wish::Resume, false, State::Sending, State::Sending),
                (Wish::Pause, true, State::Sending, State::Paused),
                (Wish::Pause, false, State::Paused, State::Paused),
                (Wish::Resume, true, State::Paused, State::Sending),
                (Wish::Cancel, true, State::Sending, State::Cancelled),
                (Wish::Resume, false, State::Cancelled, State::Cancelled),
            ];
            for (wish, is_changed, before, after) in wishes {
                let now = story.now();
                let did = control(story.queue(), "spring", wish, "me", now)
                    .await
                    .unwrap();
                assert_eq!(
                    (did[0].is_changed, did[0].state),
                    (is_changed, before),
                    "{wish:?}"
                );
                let status = status(story.queue(), now, None).await.unwrap();
                assert_eq!(status.campaigns[0].state, after, "{wish:?}");
            }
            let now = story.now();
            let none = control(story.queue(), "autumn", Wish::Pause, "me", now).await;
            assert!(matches!(none, Err(AccountError::NoCampaign(_))));
        });
    }

    #[test]
    fn a_rate_is_published_when_it_is_another() {
        Story::run(async |story| {
            let rate = |count| RateInForce {
                rate: Rate::per_minute(count),
                burst: 1,
                host: "h".into(),
                source: "--rate".into(),
                at: "2026-01-01T00:00:00Z".into(),
            };
            let queue = story.queue();
            assert_eq!(publish_rate(queue, rate(30)).await.unwrap(), None);
            assert_eq!(publish_rate(queue, rate(30)).await.unwrap(), Some(rate(30)));
            assert_eq!(publish_rate(queue, rate(60)).await.unwrap(), Some(rate(30)));
            let status = status(queue, story.now(), None).await.unwrap();
            assert_eq!(status.rate.map(|rate| rate.rate).as_deref(), Some("60/min"));
        });
    }
}
