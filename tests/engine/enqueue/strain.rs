//! A queue that is away, and rows that are too large to render at once.

use super::world::{List, assert_all_rows_once, kind_queue, queue, run};
use mailq::engine::enqueue::{EnqueueError, EnqueueProgress, EnqueueReport, enqueue};
use mailq::queue::QueueError;
use mailq_testkit::memory::Faults;

#[tokio::test(start_paused = true)]
async fn a_queue_that_stays_away_is_waited_for_and_named() {
    let list = List::of_rows(2100);
    let (log, queue) = queue(3, Faults::none()).await;
    let job = list.job();
    let mut waits = 0;
    let mut observer = |progress: EnqueueProgress<'_>| match progress {
        EnqueueProgress::Batch { batch: 0, .. } => log.set_faults(Faults {
            lost: 1.0,
            ..Faults::none()
        }),
        EnqueueProgress::Waiting { .. } => waits += 1,
        _ => {}
    };
    let stopped = enqueue(&queue, &job, &log.clock(), &mut observer).await;
    match stopped {
        Err(EnqueueError::QueueAway {
            batch: 1,
            safe_batches: 1,
            cause: QueueError::Unknown(_),
        }) => {}
        unexpected => panic!("{unexpected:?}"),
    }
    log.set_faults(Faults::none());
    let report: EnqueueReport = run(&log, &queue, &job).await.unwrap();
    assert_eq!(report.batches_found, 1);
    assert_all_rows_once(&log, 2100);
}

#[tokio::test(start_paused = true)]
async fn huge_rows_are_rendered_in_parts() {
    let cell = "x".repeat(900_000);
    let lines: String = (0..20)
        .map(|n| format!("anna{n}@example.org,{cell}\n"))
        .collect();
    let list = List::new(&format!("email,name\n{lines}"));
    let (log, queue) = kind_queue().await;
    let report = run(&log, &queue, &list.job()).await.unwrap();
    // Five rows are above 4 MiB of cells.
    assert_eq!((report.tally.chunks, report.tally.batches), (4, 1));
    assert_all_rows_once(&log, 20);
}
