//! Replays and purges, whole and in pieces.

use mailq::domain::ids::{RunId, RunKey};
use mailq::domain::records::{CampaignRecord, LetterRef, Seal, Tally};
use mailq::engine::account::{VerifyRequest, status, verify};
use mailq::engine::letters::{LetterFilter, ListedLetter, ReplayReport, Replayer};
use mailq::engine::letters::{list, purge, show};
use mailq::engine::read_model::campaign_topic::{announce, read_ledger};
use mailq::engine::read_model::naming::{By, namings};
use mailq::engine::read_model::scan::record_at;
use mailq::protocol::Ledger;
use mailq::queue::chunk::decode;
use mailq_testkit::story::{Script, Story, send as send_at};
use proptest::prelude::*;

async fn replay(story: &Story, filter: &LetterFilter, dry_run: bool) -> ReplayReport {
    replayer(story).replay(filter, dry_run).await.unwrap()
}

fn replayer(story: &Story) -> Replayer<'_> {
    Replayer {
        queue: story.queue(),
        clock: story.clock(),
        source: "test/replay",
        trace_id: "t",
    }
}

async fn listed(story: &Story) -> Vec<ListedLetter> {
    let ledger = read_ledger(story.queue(), true).await.unwrap();
    list(story.queue(), &ledger, &LetterFilter::default())
        .await
        .unwrap()
}

fn reference(letter: &ListedLetter) -> LetterRef {
    LetterRef {
        row: letter.row,
        id: letter.id.clone(),
        round: letter.round,
        in_doubt: letter.in_doubt,
    }
}

/// Replays that were begun and can still be sealed, oldest first.
fn unsealed(ledger: &Ledger) -> Vec<RunKey> {
    let begun = namings(ledger).unwrap().into_iter();
    begun
        .filter_map(|naming| match naming.by {
            By::Replay {
                run,
                is_sealed: false,
            } => Some(run),
            _ => None,
        })
        .collect()
}

fn request(story: &Story) -> VerifyRequest<'static> {
    VerifyRequest {
        now: story.now(),
        campaign: None,
        folder: std::path::Path::new("/tmp"),
    }
}

async fn assert_verified(story: &Story) {
    let found = verify(story.queue(), request(story), &mut |_, _| ())
        .await
        .unwrap();
    assert_eq!(found.findings, Vec::<String>::new());
    let status = status(story.queue(), story.now(), None).await.unwrap();
    assert_eq!(found.campaigns, status.campaigns);
}

/// Row 2 dead, row 5 in doubt without its event in the letter.
async fn two_letters(story: &Story) -> RunKey {
    let mut script = Script::default();
    let id = RunId::new("spring", "1");
    let key = script.enqueue(&id, &[(0, 0..4), (1, 4..8)], &[]);
    for (at, position, end) in [
        (send_at(0), 2, mailq::domain::counters::Final::Dead),
        (send_at(1), 1, mailq::domain::counters::Final::InDoubt),
    ] {
        script.open(at, 0);
        script.end(at, 0, position, end);
    }
    story.tell(script).await;
    key
}

#[test]
fn a_replay_sends_each_letter_once() {
    Story::run(async |story| {
        two_letters(story).await;
        assert_verified(story).await;
        let all = LetterFilter::default();
        assert_eq!(replay(story, &all, true).await.replayed, 1);
        let report = replay(story, &all, false).await;
        assert_eq!(
            (report.replayed, report.skipped, report.runs.len()),
            (1, 1, 1)
        );
        assert_verified(story).await;
        let row = status(story.queue(), story.now(), None)
            .await
            .unwrap()
            .campaigns
            .remove(0);
        assert_eq!((row.dead, row.in_doubt, row.pending), (0, 1, 7));
        let again = replay(story, &all, false).await;
        assert_eq!((again.replayed, again.runs.len()), (0, 0));
        let by_id = LetterFilter {
            ids: vec!["2.1@example.net".into()],
            ..LetterFilter::default()
        };
        assert_eq!(replay(story, &by_id, false).await.already_replayed, 1);
        let left = listed(story).await;
        assert_eq!(
            left.iter().map(|letter| letter.row).collect::<Vec<_>>(),
            [5]
        );
        let in_doubt = LetterFilter {
            in_doubt: true,
            ..LetterFilter::default()
        };
        assert_eq!(replay(story, &in_doubt, false).await.replayed, 1);
        assert!(listed(story).await.is_empty());
        assert_verified(story).await;
    });
}

#[test]
fn replayed_messages_keep_what_they_are() {
    Story::run(async |story| {
        let origin = two_letters(story).await;
        replay(story, &LetterFilter::default(), false).await;
        let ledger = read_ledger(story.queue(), true).await.unwrap();
        let run = ledger
            .sealed()
            .find(|run| run.manifest.replay_of == Some(origin))
            .unwrap();
        assert!(run.manifest.id.run.ends_with("/1"));
        let (partition, last) = (0..2)
            .find_map(|p| run.last(p).map(|last| (p, last)))
            .unwrap();
        let stored = record_at(story.queue(), send_at(partition), last)
            .await
            .unwrap()
            .unwrap();
        let chunk = decode(&stored.record).unwrap();
        assert_eq!(chunk.head.key, run.manifest.key);
        assert_eq!(chunk.head.fingerprint, run.manifest.fingerprint);
        let message = &chunk.messages[0];
        assert_eq!(
            (message.line.row, message.line.round, message.line.tries),
            (2, 1, 0)
        );
        assert_eq!(
            (message.line.id.as_str(), message.content.to_vec()),
            ("2.1@example.net", b"Subject: x\r\n".to_vec())
        );
    });
}

#[test]
fn a_killed_replay_goes_on_where_it_was() {
    Story::run(async |story| {
        let origin = two_letters(story).await;
        let mut ledger = read_ledger(story.queue(), true).await.unwrap();
        let refs: Vec<LetterRef> = listed(story).await.iter().take(1).map(reference).collect();
        // Killed after the manifest; a second one names the same letter.
        let key = replayer(story)
            .begin(origin, &refs, &mut ledger)
            .await
            .unwrap();
        let second = replayer(story)
            .begin(origin, &refs, &mut ledger)
            .await
            .unwrap();
        assert_eq!(unsealed(&ledger), [key, second]);
        assert_verified(story).await;
        assert_eq!(listed(story).await.len(), 2);
        let report = replay(story, &LetterFilter::default(), false).await;
        assert_eq!((report.replayed, report.runs.len()), (1, 2));
        assert_eq!(listed(story).await.len(), 1);
        assert_verified(story).await;
        assert_eq!(
            replay(story, &LetterFilter::default(), false)
                .await
                .replayed,
            0
        );
    });
}

#[test]
fn a_chunk_of_a_replay_taken_away_is_found() {
    Story::run(async |story| {
        let origin = two_letters(story).await;
        let mut ledger = read_ledger(story.queue(), true).await.unwrap();
        let refs: Vec<LetterRef> = listed(story).await.iter().take(1).map(reference).collect();
        let key = replayer(story)
            .begin(origin, &refs, &mut ledger)
            .await
            .unwrap();
        let seal = Seal {
            key,
            manifest: ledger.run(key).unwrap().manifest.draw,
            draw: 1,
            last: vec![None, None],
            tally: Tally::default(),
            sealed_at: "2026-01-01T00:00:00Z".into(),
            rows_below: None,
        };
        announce(story.queue(), &[CampaignRecord::Seal(seal)])
            .await
            .unwrap();
        let found = verify(story.queue(), request(story), &mut |_, _| ())
            .await
            .unwrap();
        assert_eq!(found.findings.len(), 1, "{:?}", found.findings);
    });
}

#[test]
fn a_purge_is_not_missed() {
    Story::run(async |story| {
        two_letters(story).await;
        let all = LetterFilter::default();
        assert_eq!(purge(story.queue(), &all, true).await.unwrap().purged, 2);
        assert_eq!(listed(story).await.len(), 2);
        assert_eq!(purge(story.queue(), &all, false).await.unwrap().purged, 2);
        assert!(listed(story).await.is_empty());
        assert_verified(story).await;
        let status = status(story.queue(), story.now(), None).await.unwrap();
        assert_eq!((status.dlq, status.campaigns[0].dead), (0, 1));
        assert_eq!(replay(story, &all, false).await, ReplayReport::default());
    });
}

#[test]
fn letters_are_shown_with_their_history() {
    Story::run(async |story| {
        two_letters(story).await;
        // Its move was repeated by who did not know the reply: the event topic does.
        let letters = listed(story).await;
        let reply = letters.iter().map(|letter| letter.last_reply.as_deref());
        assert_eq!(reply.collect::<Vec<_>>(), [Some("550 no"); 2]);
        let shown = show(story.queue(), "5.1@example.net").await.unwrap();
        assert_eq!((shown.letter.in_doubt, shown.history.len()), (true, 1));
        assert_eq!(shown.message.content.to_vec(), b"Subject: x\r\n");
        assert!(show(story.queue(), "9@example.net").await.is_err());
    });
}

// A table of cases is long and reads well.
#[allow(clippy::too_many_lines)]
#[test]
fn filters_take_what_was_asked_for() {
    Story::run(async |story| {
        two_letters(story).await;
        let any = LetterFilter::default();
        let since = story.now() + std::time::Duration::from_secs(60);
        for (filter, expected) in [
            (any.clone(), 2),
            (
                LetterFilter {
                    in_doubt: true,
                    ..any.clone()
                },
                1,
            ),
            (
                LetterFilter {
                    campaign: Some("x".into()),
                    ..any.clone()
                },
                0,
            ),
            (
                LetterFilter {
                    site: Some("Example.ORG".into()),
                    ..any.clone()
                },
                2,
            ),
            (
                LetterFilter {
                    reason: "no_mailbox".parse().ok(),
                    ..any.clone()
                },
                2,
            ),
            (
                LetterFilter {
                    reason: "virus".parse().ok(),
                    ..any.clone()
                },
                0,
            ),
            (
                LetterFilter {
                    since: Some(since),
                    ..any.clone()
                },
                0,
            ),
            (
                LetterFilter {
                    ids: vec!["2.1@example.net".into()],
                    ..any.clone()
                },
                1,
            ),
        ] {
            let letters = listed(story).await;
            let taken = letters.iter().filter(|letter| filter.takes(letter)).count();
            assert_eq!(taken, expected, "{filter:?}");
        }
    });
}

#[derive(Debug, Clone)]
enum Deed {
    Replay {
        in_doubt: bool,
    },
    /// Killed after its manifest; of which letters.
    Begin {
        row: u64,
    },
    Purge {
        row: u64,
    },
}

fn any_deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        any::<bool>().prop_map(|in_doubt| Deed::Replay { in_doubt }),
        (0u64..8).prop_map(|row| Deed::Begin { row }),
        (0u64..8).prop_map(|row| Deed::Purge { row }),
    ]
}

async fn carry_out(story: &Story, origin: RunKey, deed: &Deed) {
    let any = LetterFilter::default();
    match deed {
        Deed::Replay { in_doubt } => {
            replay(
                story,
                &LetterFilter {
                    in_doubt: *in_doubt,
                    ..any
                },
                false,
            )
            .await;
        }
        Deed::Begin { row } => {
            let mut ledger = read_ledger(story.queue(), true).await.unwrap();
            let letters = listed(story).await;
            let refs: Vec<LetterRef> = letters
                .iter()
                .filter(|l| l.row == *row)
                .map(reference)
                .collect();
            if !refs.is_empty() {
                replayer(story)
                    .begin(origin, &refs, &mut ledger)
                    .await
                    .unwrap();
            }
        }
        Deed::Purge { row } => {
            let ids = vec![format!("{row}.1@example.net")];
            purge(story.queue(), &LetterFilter { ids, ..any }, false)
                .await
                .unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_sum_holds_after_any_deeds(
        ends in prop::array::uniform8(0usize..7),
        deeds in prop::collection::vec(any_deed(), 0..6),
    ) {
        Story::run(async |story| {
            let mut script = Script::default();
            let id = RunId::new("spring", "1");
            let key = script.enqueue(&id, &[(0, 0..4), (1, 4..8)], &[]);
            for partition in 0..2 {
                script.open(send_at(partition), 0);
                for position in 0..4 {
                    let end = mailq::domain::counters::Final::ALL[ends[partition as usize * 4 + position]];
                    script.end(send_at(partition), 0, position, end);
                }
            }
            story.tell(script).await;
            for deed in &deeds {
                carry_out(story, key, deed).await;
                assert_verified(story).await;
            }
            let letters = listed(story).await.len() as u64;
            let status = status(story.queue(), story.now(), None).await.unwrap();
            assert_eq!(status.dlq, letters);
        });
    }
}
