//! Whatever is taken away by hand is found; whatever workers may leave behind is not.

use super::histories::{History, any_history, written};
use mailq::domain::counters::{Counters, Final};
use mailq::domain::ids::RunId;
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::engine::account::{Verification, VerifyRequest, status, verify};
use mailq::protocol::Target;
use mailq::protocol::progress::Move;
use mailq::queue::Record;
use mailq_testkit::story::{MINUTE, Script, Story, minute, send};
use proptest::prelude::*;
use std::time::Duration;

async fn verified(story: &Story) -> Verification {
    let request = VerifyRequest {
        now: story.now(),
        campaign: None,
        folder: &std::env::temp_dir(),
    };
    verify(story.queue(), request, &mut |_, _| ())
        .await
        .unwrap()
}

/// What `verify` says of a queue with this in it; `status` must agree where it finds nothing.
fn findings(script: &Script) -> Vec<String> {
    let script = script.clone();
    let mut findings = Vec::new();
    Story::run(async |story| {
        story.tell(script).await;
        let verification = verified(story).await;
        assert_eq!(verification.ok, verification.findings.is_empty());
        let status = status(story.queue(), story.now(), None).await.unwrap();
        if verification.ok {
            for (mine, theirs) in verification.campaigns.iter().zip(&status.campaigns) {
                assert_eq!(mine.finals(), theirs.finals());
                assert_eq!(mine.unfinished(), theirs.unfinished());
                assert_eq!(
                    theirs.enqueued,
                    theirs.finals().iter().sum::<u64>() + theirs.unfinished()
                );
            }
        }
        findings = verification.findings;
    });
    findings
}

/// A record in whose place nothing is: offsets stay.
fn nothing(at: TopicPartition) -> Record {
    let mut script = Script::default();
    script.enqueue(&RunId::new("nobody", "0"), &[(0, 0..1)], &[]);
    let mut record = script.log(send(0)).remove(0);
    if at.topic != Topic::Send {
        record = mailq::queue::chunk::with_header(record, "move", "send/0#0".into());
    }
    record
}

#[test]
fn counts_from_events_and_from_workers_are_the_same() {
    Story::run(async |story| {
        story.everything().await;
        let verification = verified(story).await;
        assert_eq!(verification.findings, Vec::<String>::new());
        let status = status(story.queue(), story.now(), Some("spring"))
            .await
            .unwrap();
        assert_eq!(verification.campaigns, status.campaigns);
        let row = &status.campaigns[0];
        assert_eq!((row.enqueued, row.finals()), (8, [2, 1, 1, 1, 0, 0, 0]));
        assert_eq!(
            (row.retrying, row.pending, row.state),
            (1, 2, mailq::engine::account::State::Sending)
        );
        assert_eq!((status.dlq, status.lag), (1, 3));
        let tiers: Vec<_> = status
            .retry
            .iter()
            .map(|tier| (tier.tier.as_str(), tier.messages))
            .collect();
        assert_eq!(tiers, [("60s", 1), ("3600s", 0)]);
        assert_eq!(
            status.retry[0].next_due.as_deref(),
            Some("2026-01-01T00:01:00Z")
        );
    });
}

#[test]
fn every_final_event_taken_away_is_found() {
    let (script, _) = Script::everything();
    let mut taken = 0;
    for partition in 0..2 {
        let at = TopicPartition::new(Topic::Event, partition);
        for index in 0..script.logs[&at].len() {
            let mut less = script.clone();
            let record = less.log(at).remove(index);
            let is_final = String::from_utf8_lossy(record.payload.as_deref().unwrap())
                .contains("\"final\":true");
            assert_eq!(!findings(&less).is_empty(), is_final, "{at} {index}");
            taken += usize::from(is_final);
        }
    }
    assert_eq!(taken, 5);
}

#[test]
fn every_queued_chunk_taken_away_is_found() {
    for (at, index, is_needed) in [
        (send(1), 1, true),
        (minute(1), 1, true),
        (send(0), 0, false),
        (minute(1), 0, false),
    ] {
        let (mut script, _) = Script::everything();
        script.log(at)[index] = nothing(at);
        assert_eq!(!findings(&script).is_empty(), is_needed, "{at} {index}");
    }
}

#[test]
fn every_counter_changed_is_found() {
    let (script, key) = Script::everything();
    for (at, entry) in [(send(1), 2), (minute(1), 1)] {
        let mut less = script.clone();
        let counters = &mut less.at(at).runs.get_mut(&key).unwrap().counters;
        assert_eq!(counters.left(), entry);
        *counters = Counters::default();
        assert!(!findings(&less).is_empty(), "{at}");
    }
    let mut less = script;
    let log = less.log(mailq::engine::read_model::campaign_topic::CAMPAIGN);
    log.retain(|record| !record.key.as_deref().unwrap().starts_with("left/"));
    assert!(!findings(&less).is_empty());
}

#[test]
fn a_letter_taken_away_or_put_back_is_found() {
    let (script, _) = Script::everything();
    let dlq = TopicPartition::new(Topic::Dlq, 0);
    let mut less = script.clone();
    less.log(dlq).clear();
    assert_eq!(findings(&less).len(), 1);
    let mut more = script;
    let mut other = more.log(dlq)[0].clone();
    other.key = Some("2.1@example.net/3".into());
    more.log(dlq).push(other);
    assert_eq!(findings(&more).len(), 1);
}

#[test]
fn a_move_that_was_copied_and_not_committed_is_one_message() {
    for is_copied in [false, true] {
        let mut script = Script::default();
        let key = script.enqueue(&RunId::new("spring", "1"), &[(0, 0..2)], &[]);
        script.open(send(0), 0);
        let progress = script.at(send(0));
        let open = progress.open.get_mut(&0).unwrap();
        open.claimed.add(0);
        open.moving.add(0);
        progress.last_move = 1;
        progress.moving = Some(Move {
            number: 1,
            target: Target::Retry(Duration::from_secs(60)),
            run: key,
            uses_try: true,
        });
        if is_copied {
            script.copy(send(0), 0, 0, MINUTE);
            script.copy(send(0), 0, 0, MINUTE);
            assert_eq!(findings(&script), Vec::<String>::new());
            // The tier's worker was faster than the next owner of send.
            script.open(minute(0), 0);
            script.end(minute(0), 0, 0, mailq::domain::counters::Final::Delivered);
        }
        assert_eq!(findings(&script), Vec::<String>::new());
    }
}

#[test]
fn a_cancel_is_the_event_of_what_was_never_opened() {
    let (mut script, key) = Script::everything();
    script.announce(mailq::domain::records::CampaignRecord::Cancel(
        mailq::domain::records::Cancel {
            key,
            at: String::new(),
            by: String::new(),
        },
    ));
    assert_eq!(findings(&script), Vec::<String>::new());
    script.log(TopicPartition::new(Topic::Event, 0)).remove(0);
    assert!(!findings(&script).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn status_and_verify_agree_on_any_history(history in any_history()) {
        prop_assert_eq!(findings(&written(&history)), Vec::<String>::new());
    }

    #[test]
    fn any_final_event_taken_away_is_found(history in any_history(), which in any::<prop::sample::Index>()) {
        let history = History { twice: Vec::new(), is_doubted: false, ..history };
        let mut script = written(&history);
        let finals: Vec<(TopicPartition, usize)> = script.logs.iter()
            .filter(|(at, _)| at.topic == Topic::Event)
            .flat_map(|(at, log)| log.iter().enumerate().map(move |(index, record)| (*at, index, record)))
            .filter(|(.., record)| String::from_utf8_lossy(record.payload.as_deref().unwrap()).contains("\"final\":true"))
            .map(|(at, index, _)| (at, index))
            .collect();
        prop_assume!(!finals.is_empty());
        let (at, index) = *which.get(&finals);
        script.log(at).remove(index);
        prop_assert!(!findings(&script).is_empty());
    }
}

#[test]
fn work_that_goes_on_meanwhile_is_no_finding() {
    let (before, _) = Script::everything();
    let mut after = before.clone();
    after.open(send(1), 1);
    after.end(send(1), 1, 0, Final::Delivered);
    after.retry(send(1), 1, 1, MINUTE);
    after.open(minute(1), 1);
    after.end(minute(1), 1, 0, Final::Dead);
    for start in (0..400).step_by(10) {
        Story::run(async |story| {
            story.tell(before.clone()).await;
            let work = async {
                tokio::time::sleep(Duration::from_millis(start)).await;
                story.advance(&before, after.clone()).await;
            };
            let (verification, ()) = futures_util::future::join(verified(story), work).await;
            assert_eq!(verification.findings, Vec::<String>::new(), "{start} ms");
            assert_eq!(verified(story).await.findings, Vec::<String>::new());
        });
    }
}
