//! Queues whose commits are lost, written by hand: what the new strings hold, and that `verify` finds nothing wrong.

use super::histories::{any_history, written};
use mailq::domain::counters::Final;
use mailq::domain::ids::{RunId, RunKey};
use mailq::domain::records::{CampaignRecord, Checkpoint, LeftEntry};
use mailq::domain::site::Sites;
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::engine::account::{VerifyRequest, verify};
use mailq::engine::read_model::View;
use mailq::engine::read_model::campaign_topic::CAMPAIGN;
use mailq::engine::recover::{RecoverError, Recovered, Recovery, recover};
use mailq::protocol::{Positions, Progress};
use mailq::queue::{MAX_COMMIT_TEXT, Record};
use mailq_testkit::story::{MINUTE, Script, Story, TIMESTAMP, minute, send};
use proptest::prelude::*;

/// K of the worker that was killed.
const CLAIMS: u64 = 2;

/// Every commit is forgotten, and the last checkpoint of each of these partitions is this, not clean.
fn lose(script: &mut Script, checkpoints: &[(TopicPartition, Progress)]) {
    script.progress.clear();
    for (at, progress) in checkpoints {
        script.announce(CampaignRecord::Checkpoint(Checkpoint {
            at: at.to_string(),
            owner: progress.epoch,
            clean: false,
            offset: 0,
            text: progress.text(),
            claims: CLAIMS,
            by: "killed".into(),
            written_at: TIMESTAMP.into(),
        }));
    }
}

/// The checkpoint of an owner that has just begun.
fn begun() -> Progress {
    Progress {
        owner: "story".into(),
        epoch: 1,
        ..Progress::default()
    }
}

async fn recover_in(
    story: &Story,
    to_earliest: bool,
    dry_run: bool,
) -> Result<Recovered, RecoverError> {
    let recovery = Recovery {
        queue: story.queue(),
        clock: story.clock(),
        name: "recover".into(),
        sites: &Sites::default(),
        to_earliest,
        dry_run,
        folder: &std::env::temp_dir(),
    };
    recover(&recovery).await
}

async fn string(story: &Story, at: TopicPartition) -> Progress {
    let view = View::read(story.queue(), false).await.unwrap();
    view.strings.progress(at).unwrap().clone()
}

async fn findings(story: &Story) -> Vec<String> {
    let request = VerifyRequest {
        now: story.now(),
        campaign: None,
        folder: &std::env::temp_dir(),
    };
    let verification = verify(story.queue(), request, &mut |_, _| ()).await;
    verification.unwrap().findings
}

/// One chunk of four rows: delivered, dead with its letter, deferred with its copy in the tier, and one with the relay.
fn killed() -> (Script, RunKey) {
    let mut script = Script::default();
    let key = script.enqueue(&RunId::new("spring", "1"), &[(0, 0..4)], &[]);
    script.open(send(0), 0);
    script.end(send(0), 0, 0, Final::Delivered);
    script.end(send(0), 0, 1, Final::Dead);
    script.retry(send(0), 0, 2, MINUTE);
    (script, key)
}

fn rows(recovered: &Recovered) -> Vec<u64> {
    let duplicates = recovered.may_get_twice.iter();
    duplicates.map(|duplicate| duplicate.row).collect()
}

#[test]
fn a_queue_that_has_its_commits_needs_nothing() {
    Story::run(async |story| {
        let (script, _) = killed();
        story.tell(script).await;
        let at_work = recover_in(story, false, false).await;
        assert!(matches!(at_work, Err(RecoverError::AtWork(name)) if name == "story"));
    });
    Story::run(async |story| {
        let recovered = recover_in(story, false, false).await.unwrap();
        assert_eq!((recovered.partitions, recovered.at_most), (vec![], 0));
    });
}

#[test]
fn events_letters_and_copies_say_what_is_done() {
    for to_earliest in [false, true] {
        Story::run(async |story| {
            let (mut script, key) = killed();
            let before = script.at(send(0)).clone();
            lose(&mut script, &[(send(0), begun())]);
            story.tell(script).await;
            let recovered = recover_in(story, to_earliest, false).await.unwrap();
            assert_eq!(rows(&recovered), [3]);
            assert_eq!(recovered.at_most, 1);
            assert_eq!(recovered.partitions.len(), 1);
            let report = &recovered.partitions[0];
            assert_eq!((report.found_done, report.may_get_twice), (3, 1));
            assert_eq!(report.checkpoint.is_none(), to_earliest);
            let string = string(story, send(0)).await;
            assert_eq!(string.runs[&key], before.runs[&key]);
            let open = &string.open[&0];
            assert_eq!(open.done, Positions::first(3));
            assert_eq!(open.claimed, [3].into_iter().collect());
            assert!(string.epoch > 1 && string.last_move > before.last_move);
            assert_eq!(findings(story).await, Vec::<String>::new());
        });
    }
}

#[test]
fn a_chunk_behind_many_messages_that_wait_is_found_open() {
    Story::run(async |story| {
        let mut script = Script::default();
        let id = RunId::new("spring", "1");
        script.enqueue(&id, &[(0, 0..400), (0, 400..402)], &[]);
        script.open(send(0), 0);
        script.open(send(0), 1);
        script.end(send(0), 1, 0, Final::Delivered);
        lose(&mut script, &[(send(0), begun())]);
        story.tell(script).await;
        recover_in(story, false, false).await.unwrap();
        let string = string(story, send(0)).await;
        // Were it not open, its delivered message would be sent again.
        assert_eq!(string.open[&1].done, Positions::first(1));
        assert_eq!(findings(story).await, Vec::<String>::new());
    });
}

#[test]
fn a_commit_with_many_open_chunks_fits_by_a_base() {
    Story::run(async |story| {
        let mut script = Script::default();
        let chunks: Vec<_> = (0..200).map(|n| (0, 4 * n..4 * n + 4)).collect();
        script.enqueue(&RunId::new("spring", "1"), &chunks, &[]);
        for offset in 0..200 {
            script.open(send(0), offset);
            script.end(send(0), offset, 2, Final::Delivered);
        }
        lose(&mut script, &[(send(0), begun())]);
        story.tell(script).await;
        recover_in(story, false, false).await.unwrap();
        let committed = story.queue().committed(&[send(0)]).await.unwrap().remove(0);
        let text = committed.unwrap().text;
        assert!(text.len() <= MAX_COMMIT_TEXT, "{} characters", text.len());
        let string = string(story, send(0)).await;
        assert_eq!(string.open.len(), 200);
        assert!(string.open.values().all(|open| open.done.has(2)));
        assert_eq!(findings(story).await, Vec::<String>::new());
    });
}

#[test]
fn what_is_decided_and_not_carried_out_is_done_again_and_not_named() {
    Story::run(async |story| {
        let (mut script, key) = killed();
        script.log(TopicPartition::new(Topic::Dlq, 0)).clear();
        script.log(minute(0)).clear();
        lose(&mut script, &[(send(0), begun())]);
        story.tell(script).await;
        let recovered = recover_in(story, false, false).await.unwrap();
        assert_eq!(rows(&recovered), [3]);
        let string = string(story, send(0)).await;
        assert_eq!(string.open[&0].done, Positions::first(1));
        assert_eq!(string.runs[&key].counters.left(), 1);
    });
}

#[test]
fn a_checkpoint_is_gone_on_from() {
    Story::run(async |story| {
        let mut script = Script::default();
        let key = script.enqueue(&RunId::new("spring", "1"), &[(0, 0..4), (0, 4..6)], &[]);
        script.open(send(0), 0);
        for position in 0..4 {
            script.end(send(0), 0, position, Final::Delivered);
        }
        let checkpoint = script.at(send(0)).clone();
        script.open(send(0), 1);
        script.end(send(0), 1, 0, Final::Bounced);
        // The first chunk's events are gone by their age: the checkpoint has counted them.
        script.log(TopicPartition::new(Topic::Event, 0)).drain(..4);
        lose(&mut script, &[(send(0), checkpoint)]);
        story.tell(script).await;
        let recovered = recover_in(story, false, false).await.unwrap();
        assert_eq!(rows(&recovered), [5]);
        assert_eq!(recovered.partitions[0].found_done, 1);
        let counters = string(story, send(0)).await.runs[&key].counters;
        assert_eq!(counters.get(Final::Delivered), 4);
        assert_eq!(counters.get(Final::Bounced), 1);
    });
}

#[test]
fn from_the_start_events_count_what_is_not_there_any_more() {
    Story::run(async |story| {
        let mut script = Script::default();
        let key = script.enqueue(&RunId::new("spring", "1"), &[(0, 0..4), (0, 4..6)], &[]);
        script.open(send(0), 0);
        for position in 0..3 {
            script.end(send(0), 0, position, Final::Delivered);
        }
        script.retry(send(0), 0, 3, MINUTE);
        script.open(send(0), 1);
        script.end(send(0), 1, 0, Final::Bounced);
        let before = script.at(send(0)).clone();
        lose(&mut script, &[(send(0), before.clone())]);
        story.tell(script).await;
        story.queue().drop_below(send(0), 1).await.unwrap();
        let recovered = recover_in(story, true, false).await.unwrap();
        assert_eq!(rows(&recovered), [5]);
        assert_eq!(string(story, send(0)).await.runs[&key], before.runs[&key]);
        assert_eq!(findings(story).await, Vec::<String>::new());
    });
}

#[test]
fn a_chunk_of_a_tier_that_may_have_been_open_is_claimed() {
    Story::run(async |story| {
        let (mut script, key) = killed();
        script.open(minute(0), 0);
        let tier = Progress {
            seen: [(send(0), 1)].into(),
            ..begun()
        };
        lose(&mut script, &[(send(0), begun()), (minute(0), tier)]);
        story.tell(script).await;
        // Not due yet, so nobody can have opened it.
        let recovered = recover_in(story, false, true).await.unwrap();
        assert_eq!(rows(&recovered), [3]);
        tokio::time::advance(std::time::Duration::from_secs(60)).await;
        let recovered = recover_in(story, false, false).await.unwrap();
        assert_eq!(rows(&recovered), [3, 2], "send, then its tiers");
        let string = string(story, minute(0)).await;
        assert_eq!((string.next, string.open.len()), (1, 1));
        assert_eq!(string.runs[&key].counters.left(), 0);
        assert_eq!(findings(story).await, Vec::<String>::new());
    });
}

#[test]
fn a_dry_run_changes_nothing() {
    Story::run(async |story| {
        let (mut script, _) = killed();
        lose(&mut script, &[(send(0), begun())]);
        story.tell(script).await;
        let end = story.queue().bounds(CAMPAIGN).await.unwrap().end;
        let recovered = recover_in(story, false, true).await.unwrap();
        assert!(recovered.dry_run);
        assert_eq!(rows(&recovered), [3]);
        let committed = story.queue().committed(&[send(0)]).await.unwrap();
        assert_eq!(committed, [None]);
        assert_eq!(story.queue().bounds(CAMPAIGN).await.unwrap().end, end);
    });
}

#[test]
fn what_cannot_be_read_is_named_with_its_place() {
    Story::run(async |story| {
        let (mut script, _) = killed();
        let damaged = Record {
            payload: Some("{}".into()),
            ..Record::default()
        };
        script.log(TopicPartition::new(Topic::Event, 0))[0] = damaged.clone();
        script.log(minute(0)).push(damaged.clone());
        script.log(TopicPartition::new(Topic::Dlq, 0)).push(Record {
            key: Some("x/0".into()),
            ..damaged
        });
        lose(&mut script, &[(send(0), begun())]);
        story.tell(script).await;
        let recovered = recover_in(story, false, false).await.unwrap();
        assert_eq!(rows(&recovered), [0, 3], "the delivery is not known");
        let named = recovered.unreadable.join("\n");
        for place in [
            "record 0 of event/0 is no event: ",
            "record 1 of retry-60s/0 cannot be read: ",
            "letter 1 of dlq/0 ",
        ] {
            assert!(named.contains(place), "{place} in {named}");
        }
    });
}

#[test]
fn a_damaged_entry_is_an_error_and_not_an_empty_one() {
    Story::run(async |story| {
        let (mut script, key) = killed();
        let counters = script.at(send(0)).runs[&key].counters;
        script.announce(CampaignRecord::Left(LeftEntry {
            key,
            at: send(0).to_string(),
            owner: 1,
            next: 1,
            last_row: Some(3),
            open: [(0, "?".to_string())].into(),
            counters,
        }));
        lose(&mut script, &[(send(0), begun())]);
        story.tell(script).await;
        let error = recover_in(story, false, false).await.unwrap_err();
        let said = error.to_string();
        assert!(said.contains("`?` is not a set of positions"), "{said}");
    });
}

/// The partitions that somebody has owned, each with the checkpoint of its first moment.
fn all_begun(script: &Script) -> Vec<(TopicPartition, Progress)> {
    let owned = script.progress.keys();
    owned.map(|at| (*at, begun())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Everything that had ended is counted as it was, nobody is lost, and whoever is named had not ended.
    #[test]
    fn strings_that_are_rebuilt_agree_with_the_events(history in any_history(), to_earliest in any::<bool>()) {
        let mut script = written(&history);
        let checkpoints = all_begun(&script);
        lose(&mut script, &checkpoints);
        let mut found = (Vec::new(), Vec::new());
        Story::run(async |story| {
            story.tell(script.clone()).await;
            // Workers open chunks of a tier when they are due; these histories open them at once.
            tokio::time::advance(std::time::Duration::from_secs(7_200)).await;
            let recovered = recover_in(story, to_earliest, false).await.unwrap();
            found = (recovered.unreadable, findings(story).await);
        });
        prop_assert_eq!(found, (Vec::new(), Vec::new()));
    }
}
