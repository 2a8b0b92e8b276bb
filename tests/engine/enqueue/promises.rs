//! One call each: what is counted, what is refused, what is left alone.

use super::world::{List, append, assert_all_rows_once, kind_queue, ledger, read, run, standing};
use mailq::domain::recipient::RecipientRow;
use mailq::domain::records::{CampaignRecord, Cancel, Tally};
use mailq::domain::topic::Topic;
use mailq::engine::enqueue::{
    Compose, EnqueueError, EnqueueProgress, Job, Renaming, RunChoice, dry_run,
};
use mailq::queue::chunk;
use mailq::recipients::{Options, RecipientsError};
use mailq::render::RenderError;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn assert_law(tally: Tally) {
    let parts = tally.enqueued + tally.duplicates + tally.invalid + tally.suppressed;
    assert_eq!(tally.recipients, parts, "{tally:?}");
}

fn other_inputs(job: &Job) -> Job {
    let mut other = job.clone();
    other.inputs.insert("campaign".into(), "c2".into());
    other
}

async fn leave_unsealed(job: &Job, log: &mailq_testkit::memory::MemoryLog) {
    let failing = Job {
        content: Arc::new(FailsAt(700)),
        ..job.clone()
    };
    let failed = run(log, &log.start_process(), &failing).await;
    assert!(matches!(failed, Err(EnqueueError::Render(_))), "{failed:?}");
}

/// Fails at a row, as a template may.
struct FailsAt(u64);

impl Compose for FailsAt {
    fn compose(&self, row: &RecipientRow, id: &str) -> Result<Vec<u8>, RenderError> {
        let mut row = row.clone();
        if row.row == self.0 {
            row.fields[1] = "bad".into();
        }
        super::world::Plain.compose(&row, id)
    }
}

#[tokio::test(start_paused = true)]
async fn everything_is_counted_once() {
    for render_threads in [0, 2] {
        let mut text: String = (0..2600)
            .map(|n| format!("anna{n}@example.org,A\n"))
            .collect();
        text.push_str("anna5@example.org,again\nno address,B\n");
        let list = List::new(&format!("email,name\n{text}"));
        let job = Job {
            options: Options {
                skip_invalid: true,
                ..Options::default()
            },
            suppressed: Arc::new(|address| {
                address
                    .as_str()
                    .contains("77")
                    .then(|| "complaint".to_string())
            }),
            render_threads,
            ..list.job()
        };
        let (log, queue) = kind_queue().await;
        let report = run(&log, &queue, &job).await.unwrap();
        assert_law(report.tally);
        let tally = report.tally;
        assert_eq!(
            [
                tally.recipients,
                tally.duplicates,
                tally.invalid,
                tally.batches,
                tally.chunks
            ],
            [2602, 1, 1, 3, 6]
        );
        let rejected = std::fs::read_to_string(report.rejected_file.unwrap()).unwrap();
        assert!(rejected.contains("no address"), "{rejected}");
        let ledger = ledger(&log);
        let found = read(&log, standing(&ledger));
        assert_eq!(found.len(), 2600);
        let suppressed = found.values().filter(|(_, is)| *is).count() as u64;
        assert_eq!((tally.suppressed, suppressed), (44, 44));
        assert_eq!(standing(&ledger).seal.as_ref().unwrap().tally, tally);
    }
}

#[tokio::test(start_paused = true)]
async fn chunks_go_round_the_partitions() {
    let list = List::of_rows(3000);
    let (log, queue) = kind_queue().await;
    run(&log, &queue, &list.job()).await.unwrap();
    let mut places: Vec<(u64, u32)> = log
        .records(Topic::Send)
        .iter()
        .map(|(at, stored)| (chunk::head(&stored.record).unwrap().first_row, *at))
        .collect();
    places.sort();
    for pair in places.windows(2) {
        assert_eq!(pair[1].0 - pair[0].0, 500);
        assert_eq!(pair[1].1, (pair[0].1 + 1) % 3);
    }
    assert_all_rows_once(&log, 3000);
}

#[tokio::test(start_paused = true)]
async fn a_second_call_says_that_it_was_done() {
    let list = List::of_rows(1200);
    let (log, queue) = kind_queue().await;
    let first = run(&log, &queue, &list.job()).await.unwrap();
    let appended = log.all_appended(Topic::Send).len();
    let again = run(&log, &queue, &list.job()).await.unwrap();
    assert!(!first.already_enqueued && again.already_enqueued);
    assert_eq!((again.tally, &again.run), (first.tally, &first.run));
    assert_eq!(first.run.len(), 16);
    assert_eq!(log.all_appended(Topic::Send).len(), appended);
}

#[tokio::test(start_paused = true)]
async fn two_at_once_send_each_row_once_and_one_says_so() {
    let list = List::of_rows(5000);
    let (log, one) = kind_queue().await;
    let two = log.start_process();
    let job = Job {
        render_threads: 2,
        ..list.job()
    };
    let both = futures_util::future::join(run(&log, &one, &job), run(&log, &two, &job)).await;
    let (one, two) = (both.0.unwrap(), both.1.unwrap());
    assert!(one.already_enqueued != two.already_enqueued);
    assert_eq!(one.tally.enqueued, 5000);
    assert_eq!(one.tally, two.tally);
    assert_all_rows_once(&log, 5000);
}

#[tokio::test(start_paused = true)]
async fn other_inputs_are_refused_unless_named() {
    let list = List::of_rows(10);
    let (log, queue) = kind_queue().await;
    let first = run(&log, &queue, &list.job()).await.unwrap();
    let other = other_inputs(&list.job());
    match run(&log, &queue, &other).await {
        Err(EnqueueError::OtherInputs { other, .. }) => {
            assert_eq!((&other.run, other.key), (&first.run, first.key));
            assert_eq!(other.changed, ["campaign"]);
        }
        unexpected => panic!("{unexpected:?}"),
    }
    let named = Job {
        run: RunChoice::Named("b".into()),
        ..other.clone()
    };
    assert!(!run(&log, &queue, &named).await.unwrap().already_enqueued);
    let other_campaign = Job {
        campaign: "autumn".into(),
        ..other
    };
    assert!(
        !run(&log, &queue, &other_campaign)
            .await
            .unwrap()
            .already_enqueued
    );
}

#[tokio::test(start_paused = true)]
async fn a_period_is_sent_once_whatever_changed() {
    let list = List::of_rows(10);
    let (log, queue) = kind_queue().await;
    let of = |job: &Job, period: &str| Job {
        run: RunChoice::Period(period.into()),
        ..job.clone()
    };
    let job = list.job();
    let first = run(&log, &queue, &of(&job, "2026-11-20")).await.unwrap();
    assert_eq!(
        (first.run.as_str(), first.already_enqueued),
        ("2026-11-20", false)
    );
    let again = run(&log, &queue, &of(&other_inputs(&job), "2026-11-20"))
        .await
        .unwrap();
    assert!(again.already_enqueued);
    assert_eq!(again.changed, ["campaign"]);
    let next = run(&log, &queue, &of(&other_inputs(&job), "2026-11-21"))
        .await
        .unwrap();
    assert!(!next.already_enqueued);
}

#[tokio::test(start_paused = true)]
async fn an_unsealed_run_with_other_inputs_is_dropped() {
    let list = List::of_rows(1200);
    let (log, queue) = kind_queue().await;
    leave_unsealed(&list.job(), &log).await;
    let unsealed = standing(&ledger(&log)).manifest.id.run.clone();
    let report = run(&log, &queue, &other_inputs(&list.job())).await.unwrap();
    assert_eq!(report.dropped, [unsealed]);
    assert_all_rows_once(&log, 1200);
}

#[tokio::test(start_paused = true)]
async fn a_named_run_leaves_other_named_runs_alone() {
    let list = List::of_rows(1200);
    let (log, queue) = kind_queue().await;
    let named = |job: Job, name: &str| Job {
        run: RunChoice::Named(name.into()),
        ..job
    };
    leave_unsealed(&named(list.job(), "a"), &log).await;
    let report = run(&log, &queue, &named(other_inputs(&list.job()), "b"))
        .await
        .unwrap();
    assert_eq!(report.dropped, [""; 0]);
    let report = run(&log, &queue, &named(list.job(), "a")).await.unwrap();
    assert!(!report.already_enqueued);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_run_that_begins_again_has_a_fingerprint_of_its_own() {
    let list = List::of_rows(1200);
    let (log, queue) = kind_queue().await;
    let job = Job {
        run: RunChoice::Named("x".into()),
        ..list.job()
    };
    leave_unsealed(&job, &log).await;
    leave_unsealed(&other_inputs(&job), &log).await;
    run(&log, &queue, &job).await.unwrap();
    let fingerprint =
        |stored: &mailq::queue::Stored| chunk::head(&stored.record).unwrap().fingerprint;
    let fingerprints: std::collections::BTreeSet<String> = log
        .records(Topic::Send)
        .iter()
        .map(|(_, stored)| fingerprint(stored))
        .collect();
    assert_eq!(fingerprints.len(), 3);
    assert_all_rows_once(&log, 1200);
    assert!(run(&log, &queue, &job).await.unwrap().already_enqueued);
}

#[tokio::test(start_paused = true)]
async fn a_failed_row_seals_nothing_and_mended_content_goes_on() {
    for render_threads in [0, 2] {
        failed_row_seals_nothing(render_threads).await;
    }
}

async fn failed_row_seals_nothing(render_threads: usize) {
    let list = List::of_rows(2100);
    let (log, queue) = kind_queue().await;
    let failing = Job {
        content: Arc::new(FailsAt(1700)),
        render_threads,
        ..list.job()
    };
    match run(&log, &queue, &failing).await {
        Err(EnqueueError::Render(error)) => assert_eq!(error.recipient_line, 1702),
        unexpected => panic!("{unexpected:?}"),
    }
    assert!(standing(&ledger(&log)).seal.is_none());
    let report = run(&log, &queue, &list.job()).await.unwrap();
    assert_eq!(report.batches_found, 1);
    assert_all_rows_once(&log, 2100);
}

#[tokio::test(start_paused = true)]
async fn a_streamed_run_is_sealed_batch_by_batch() {
    let list = List::of_rows(2100);
    let (log, queue) = kind_queue().await;
    let job = Job {
        stream: true,
        content: Arc::new(FailsAt(1700)),
        ..list.job()
    };
    let failed = run(&log, &queue, &job).await;
    assert!(
        matches!(failed, Err(EnqueueError::RenderAfterSeal(_))),
        "{failed:?}"
    );
    let before = ledger(&log);
    assert_eq!(
        standing(&before).seal.as_ref().unwrap().rows_below,
        Some(1000)
    );
    assert_eq!(read(&log, standing(&before)).len(), 1000);
    let refused = run(&log, &queue, &other_inputs(&job)).await;
    assert!(matches!(refused, Err(EnqueueError::OtherInputs { .. })));
    let mended = Job {
        stream: true,
        ..list.job()
    };
    run(&log, &queue, &mended).await.unwrap();
    assert_all_rows_once(&log, 2100);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_is_not_enqueued() {
    let list = List::of_rows(1200);
    let (log, queue) = kind_queue().await;
    leave_unsealed(&list.job(), &log).await;
    let key = standing(&ledger(&log)).manifest.key;
    let cancel = Cancel {
        key,
        at: "2026-01-01T00:00:00Z".into(),
        by: "anna".into(),
    };
    append(&queue, CampaignRecord::Cancel(cancel)).await;
    let refused = run(&log, &queue, &list.job()).await;
    assert!(matches!(refused, Err(EnqueueError::Cancelled { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_meanwhile_is_said() {
    let list = List::of_rows(3000);
    let (log, queue) = kind_queue().await;
    let job = list.job();
    let cancelling = async {
        while log.records(Topic::Send).is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        let key = standing(&ledger(&log)).manifest.key;
        let cancel = Cancel {
            key,
            at: "2026-01-01T00:00:00Z".into(),
            by: "anna".into(),
        };
        append(&queue, CampaignRecord::Cancel(cancel)).await;
    };
    let (stopped, ()) = futures_util::future::join(run(&log, &queue, &job), cancelling).await;
    assert!(
        matches!(stopped, Err(EnqueueError::CancelledMeanwhile { .. })),
        "{stopped:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_writes_nothing() {
    let list = List::of_rows(1200);
    let (log, queue) = kind_queue().await;
    let job = Job {
        dry_run: true,
        ..list.job()
    };
    let dry = run(&log, &queue, &job).await.unwrap();
    assert!(log.records(Topic::Send).is_empty() && log.records(Topic::Campaign).is_empty());
    let unqueued = dry_run(&job, &log.clock(), &mut |_: EnqueueProgress<'_>| ())
        .await
        .unwrap();
    let wet = run(&log, &queue, &list.job()).await.unwrap();
    assert_eq!((dry.tally, unqueued.tally), (wet.tally, wet.tally));
    assert!(dry.dry_run && dry.run == wet.run);
}

#[tokio::test(start_paused = true)]
async fn a_limit_takes_the_first_rows_and_is_an_input() {
    let list = List::of_rows(1200);
    let (log, queue) = kind_queue().await;
    let limited = |limit| Job {
        options: Options {
            limit: Some(limit),
            ..Options::default()
        },
        ..list.job()
    };
    let report = run(&log, &queue, &limited(7)).await.unwrap();
    assert_eq!((report.tally.recipients, report.tally.enqueued), (7, 7));
    assert_all_rows_once(&log, 7);
    match run(&log, &queue, &limited(8)).await {
        Err(EnqueueError::OtherInputs { other, .. }) => assert_eq!(other.changed, ["limit"]),
        unexpected => panic!("{unexpected:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_of_nobody_is_no_run() {
    let list = List::of_rows(0);
    let (log, queue) = kind_queue().await;
    let refused = run(&log, &queue, &list.job()).await;
    let nobody = matches!(
        &refused,
        Err(EnqueueError::Recipients(RecipientsError::Nobody { .. }))
    );
    assert!(nobody, "{refused:?}");
    assert!(ledger(&log).sealed().next().is_none());
}

#[tokio::test(start_paused = true)]
async fn messages_that_do_not_compress_split_chunks() {
    let lines: String = (0..500)
        .map(|n| format!("anna{n}@example.org,long\n"))
        .collect();
    let list = List::new(&format!("email,name\n{lines}"));
    let (log, queue) = kind_queue().await;
    let report = run(&log, &queue, &list.job()).await.unwrap();
    assert!(report.tally.chunks > 30, "{:?}", report.tally);
    assert_eq!(report.tally.bytes_rendered, 500 * 40_000);
    assert_all_rows_once(&log, 500);
}

/// Writes to the list while it is read.
struct Meddles {
    path: PathBuf,
    composed: AtomicU64,
}

impl Compose for Meddles {
    fn compose(&self, row: &RecipientRow, id: &str) -> Result<Vec<u8>, RenderError> {
        if self.composed.fetch_add(1, Ordering::Relaxed) == 1500 {
            let text = std::fs::read_to_string(&self.path).unwrap();
            std::fs::write(&self.path, text.replace("anna19990@", "anne19990@")).unwrap();
        }
        super::world::Plain.compose(row, id)
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_changes_meanwhile_is_dropped() {
    for render_threads in [0, 2] {
        changed_list_is_dropped(render_threads).await;
    }
}

async fn changed_list_is_dropped(render_threads: usize) {
    let list = List::of_rows(20_000);
    let (log, queue) = kind_queue().await;
    let meddles = Meddles {
        path: list.path.clone(),
        composed: AtomicU64::new(0),
    };
    let job = Job {
        content: Arc::new(meddles),
        render_threads,
        ..list.job()
    };
    let failed = run(&log, &queue, &job).await;
    let changed = EnqueueError::Recipients(RecipientsError::Changed {
        path: list.path.display().to_string(),
    });
    assert_eq!(failed, Err(changed));
    let ledger = ledger(&log);
    assert_eq!(ledger.runs().count(), 1);
    assert!(ledger.runs().all(|run| run.dropped.is_some()));
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_under_a_name_is_not_sent_again_without_one() {
    let list = List::of_rows(10);
    let (log, queue) = kind_queue().await;
    let named = Job {
        run: RunChoice::Named("first".into()),
        ..list.job()
    };
    run(&log, &queue, &named).await.unwrap();
    let again = run(&log, &queue, &list.job()).await.unwrap();
    assert!(again.already_enqueued);
    assert_eq!((again.run.as_str(), again.tally.enqueued), ("first", 10));
    assert_all_rows_once(&log, 10);
}

#[tokio::test(start_paused = true)]
async fn a_renamed_campaign_is_refused_unless_its_run_is_wanted() {
    let list = List::of_rows(10);
    let (log, queue) = kind_queue().await;
    let job = |campaign: &str, choice: RunChoice| Job {
        campaign: campaign.to_string(),
        run: choice,
        renaming: Renaming {
            is_refused: true,
            ..Renaming::default()
        },
        ..list.job()
    };
    let day = |day: &str| RunChoice::Period(day.to_string());
    let named = RunChoice::Named("again".to_string());
    for (campaign, choice, is_refused) in [
        ("spring", day("2026-11-30"), false),
        ("sale", day("2026-11-30"), true),
        ("sale", day("2026-12-01"), false),
        ("summer", RunChoice::Inputs, true),
        ("summer", named, false),
        ("summer", RunChoice::Inputs, false),
    ] {
        let done = run(&log, &queue, &job(campaign, choice.clone())).await;
        let refused = match &done {
            Err(EnqueueError::Renamed { same, .. }) => Some(same.unfinished),
            _ => None,
        };
        let wanted = is_refused.then_some(10);
        assert_eq!(refused, wanted, "{campaign} {choice:?}: {done:?}");
        assert_eq!(done.is_ok(), !is_refused, "{campaign} {choice:?}: {done:?}");
    }
}
