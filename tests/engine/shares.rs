//! Who has something to send, from the commit strings and the campaign topic.

use mailq::domain::counters::Final;
use mailq::domain::ids::{RunId, RunKey};
use mailq::domain::records::{CampaignRecord, Cancel, Control};
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::engine::limits::shares::{Activity, Texts};
use mailq::protocol::Ledger;
use mailq_testkit::story::{MINUTE, Script, minute, send};
use std::time::{Duration, SystemTime};

/// 2026-01-01T01:00:00Z: an hour after everything was sealed.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_229_200)
}

fn ledger(script: &Script) -> Ledger {
    let mut ledger = Ledger::default();
    let campaign = TopicPartition::new(Topic::Campaign, 0);
    for (offset, record) in (0..).zip(&script.logs[&campaign]) {
        let key = record.key.as_deref().unwrap();
        ledger
            .apply(offset, key, record.payload.as_deref())
            .unwrap();
    }
    ledger
}

fn texts(script: &Script) -> Texts {
    let progress = script.progress.iter();
    progress.map(|(at, known)| (*at, known.text())).collect()
}

fn take(script: &Script, before: Option<&Script>) -> Activity {
    let before = before.map(texts);
    Activity::take(&texts(script), before.iter(), &ledger(script), now())
}

fn senders(script: &Script) -> Vec<String> {
    take(script, None).senders.into_iter().collect()
}

/// A run with a chunk in each partition of send; the first is anna's, the second ben's, their tiers cara's.
fn three_workers() -> (Script, RunKey) {
    let mut script = Script::default();
    let id = RunId::new("spring", "1");
    let key = script.enqueue(&id, &[(0, 0..1), (1, 1..2)], &[]);
    for (at, owner) in [(0, "anna"), (1, "ben")] {
        script.at(send(at)).owner = owner.to_string();
        script.at(minute(at)).owner = "cara".to_string();
    }
    (script, key)
}

#[test]
fn whoever_has_chunks_to_read_or_finish_sends() {
    let (mut script, _) = three_workers();
    assert_eq!(senders(&script), ["anna", "ben"]);
    script.open(send(0), 0);
    assert_eq!(senders(&script), ["anna", "ben"]);
    script.end(send(0), 0, 0, Final::Delivered);
    assert_eq!(senders(&script), ["ben"]);
}

#[test]
fn a_tier_counts_from_when_its_chunk_is_opened() {
    let (mut script, _) = three_workers();
    script.open(send(0), 0);
    script.retry(send(0), 0, 0, MINUTE);
    assert_eq!(senders(&script), ["ben"]);
    script.open(minute(0), 0);
    assert_eq!(senders(&script), ["ben", "cara"]);
}

#[test]
fn what_may_not_go_holds_no_share() {
    let (script, key) = three_workers();
    let (at, by) = (String::new(), String::new());
    let mut paused = script.clone();
    paused.announce(CampaignRecord::Control(Control {
        key,
        paused: true,
        at: at.clone(),
        by: by.clone(),
    }));
    assert!(senders(&paused).is_empty());
    let mut cancelled = script;
    cancelled.open(send(0), 0);
    cancelled.announce(CampaignRecord::Cancel(Cancel { key, at, by }));
    assert!(senders(&cancelled).is_empty());
    // Then all owners share, so that whoever has the next message may send it at once.
    let activity = take(&cancelled, None);
    assert_eq!(activity.owners.len(), 3);
    let place = activity.place("cara").unwrap();
    assert_eq!((place.workers(), place.number_of(4)), (3, 1));
}

#[test]
fn an_entry_that_left_with_open_chunks_is_work() {
    let (mut script, key) = three_workers();
    script.open(send(0), 0);
    script.leave(send(0), key);
    assert_eq!(senders(&script), ["anna", "ben"]);
}

#[test]
fn a_string_that_moved_counts_like_work() {
    let (mut before, _) = three_workers();
    before.open(send(0), 0);
    let mut after = before.clone();
    after.end(send(0), 0, 0, Final::Delivered);
    let names = |activity: Activity| activity.senders.into_iter().collect::<Vec<_>>();
    assert_eq!(names(take(&after, Some(&before))), ["anna", "ben"]);
    assert_eq!(names(take(&after, Some(&after))), ["ben"]);
    // A new owner's first commit is no work.
    after.at(send(0)).epoch += 1;
    assert_eq!(names(take(&after, Some(&before))), ["ben"]);
}

#[test]
fn strings_from_elsewhere_name_nobody() {
    let (script, _) = three_workers();
    let mut texts = texts(&script);
    texts.insert(send(0), "mq9;o1,eve".to_string());
    texts.insert(send(1), "mq1;o1,".to_string());
    let activity = Activity::take(&texts, [].iter(), &ledger(&script), now());
    assert!(activity.senders.is_empty());
    assert_eq!(activity.owners, ["cara".to_string()].into());
}
