//! What `--drain` and `run` wait for.

use mailq::domain::counters::Final;
use mailq::domain::ids::{RunId, RunKey};
use mailq::domain::records::{CampaignRecord, Cancel, Control};
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::engine::account::{Remaining, pending_at, remaining};
use mailq::engine::read_model::view::refresh;
use mailq::protocol::Ledger;
use mailq_testkit::story::{MINUTE, Script, Story, minute, send};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

fn of(script: Script, only: Option<RunKey>) -> Remaining {
    let mut found = Remaining::default();
    Story::run(async |story| {
        story.tell(script).await;
        let mut ledger = Ledger::default();
        found = remaining(story.queue(), &mut ledger, only, story.now())
            .await
            .unwrap();
    });
    found
}

/// One run of two messages: the first delivered, the second in the tier.
fn retrying() -> (Script, RunKey) {
    let mut script = Script::default();
    let key = script.enqueue(&RunId::new("spring", "1"), &[(0, 0..2)], &[]);
    script.open(send(0), 0);
    script.end(send(0), 0, 0, Final::Delivered);
    script.retry(send(0), 0, 1, MINUTE);
    (script, key)
}

#[test]
fn everything_is_pending_until_its_cursor_has_passed() {
    let (script, key) = Script::everything();
    let found = of(script, None);
    assert_eq!(found.pending, [key].into());
    assert!(found.next_due().is_some() && !found.is_drained());
}

#[test]
fn only_partitions_with_open_or_unread_messages_are_pending() {
    let enqueued = || {
        let mut script = Script::default();
        let chunks = [(0, 0..2), (1, 2..3)];
        let key = script.enqueue(&RunId::new("spring", "1"), &chunks, &[]);
        (script, key)
    };
    Story::run(async |story| {
        let (script, key) = enqueued();
        story.tell(script).await;
        assert_eq!(pending(story, None).await, [send(0), send(1)].into());
        assert_eq!(pending(story, Some(key)).await, [send(0), send(1)].into());
        let other = Some(RunKey(key.0 ^ 1));
        assert_eq!(pending(story, other).await, [].into());
    });
    Story::run(async |story| {
        let (mut script, _) = enqueued();
        script.open(send(0), 0);
        script.end(send(0), 0, 0, Final::Delivered);
        script.open(send(1), 0);
        script.end(send(1), 0, 0, Final::Delivered);
        story.tell(script).await;
        assert_eq!(pending(story, None).await, [send(0)].into());
    });
}

async fn pending(story: &Story, only: Option<RunKey>) -> BTreeSet<TopicPartition> {
    let mut ledger = Ledger::default();
    let strings = refresh(story.queue(), &mut ledger).await.unwrap();
    pending_at(&ledger, &strings, (only, story.now())).unwrap()
}

#[test]
fn a_tier_is_waited_for_until_it_is_read_and_done() {
    let (mut script, key) = retrying();
    let found = of(script.clone(), Some(key));
    assert!(found.pending.is_empty() && found.retrying.contains_key(&key));
    let start = Duration::from_secs(1_767_225_660);
    let due = found
        .next_due()
        .unwrap()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    assert_eq!(due.as_secs(), start.as_secs());
    assert!(of(script.clone(), Some(RunKey(1))).is_done());
    script.open(minute(0), 0);
    assert_eq!(of(script.clone(), None).pending, [key].into());
    script.end(minute(0), 0, 0, Final::Delivered);
    assert!(of(script.clone(), None).is_done());
    for at in [send(0), minute(0)] {
        script.leave(at, key);
    }
    assert!(of(script, None).is_done());
}

#[test]
fn the_second_copy_of_a_move_is_nothing_to_wait_for() {
    let (mut script, _) = retrying();
    script.copy(send(0), 0, 1, MINUTE);
    script.open(minute(0), 0);
    script.end(minute(0), 0, 0, Final::Delivered);
    assert!(of(script, None).is_done());
}

#[test]
fn what_is_held_back_does_not_count() {
    let (script, key) = retrying();
    let at = String::new();
    let paused = Control {
        key,
        paused: true,
        at: at.clone(),
        by: at.clone(),
    };
    let mut held = script.clone();
    held.announce(CampaignRecord::Control(paused));
    let found = of(held, None);
    assert!(found.is_drained() && !found.is_done());
    assert_eq!(found.paused, [key].into());
    let mut cancelled = script;
    cancelled.announce(CampaignRecord::Cancel(Cancel {
        key,
        at: at.clone(),
        by: at,
    }));
    assert!(of(cancelled, None).is_done());
}

#[test]
fn an_unsealed_run_is_told_apart() {
    let (mut script, key) = Script::everything();
    let log = script.log(mailq::engine::read_model::campaign_topic::CAMPAIGN);
    log.retain(|record| {
        !record
            .key
            .as_deref()
            .unwrap_or_default()
            .starts_with("seal/")
    });
    script.progress.clear();
    script.logs.retain(|at, _| at.topic == Topic::Campaign);
    let found = of(script, None);
    assert!(found.is_drained() && !found.is_done());
    assert_eq!(found.unsealed, [key].into());
}
