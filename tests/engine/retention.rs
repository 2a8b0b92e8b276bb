//! Events of old runs are dropped, others stay.

use mailq::domain::counters::Final;
use mailq::domain::ids::RunId;
use mailq::engine::retention::drop_old_events;
use mailq_testkit::story::{Script, Story, TIMESTAMP, send};
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(86_400);

/// A run of two, with both or one of them at its end.
fn run(ended: usize) -> Script {
    let mut script = Script::default();
    let key = script.enqueue(&RunId::new("spring", "1"), &[(0, 0..2)], &[]);
    script.open(send(0), 0);
    for position in 0..ended {
        script.end(send(0), 0, position, Final::Delivered);
    }
    if ended == 2 {
        script.leave(send(0), key);
    }
    script
}

/// What goes of it when the events are three days old and kept for two, and when they are kept for four.
fn dropped(script: Script) -> (u64, u64) {
    let told: SystemTime = TIMESTAMP.parse::<jiff::Timestamp>().unwrap().into();
    let mut counts = (0, 0);
    Story::run(async |story| {
        story.tell(script.clone()).await;
        counts.1 = drop_old_events(story.queue(), told + 3 * DAY, 4 * DAY)
            .await
            .unwrap();
        counts.0 = drop_old_events(story.queue(), told + 3 * DAY, 2 * DAY)
            .await
            .unwrap();
        assert_eq!(
            drop_old_events(story.queue(), told + 3 * DAY, 2 * DAY)
                .await
                .unwrap(),
            0
        );
    });
    counts
}

#[test]
fn events_of_old_finished_runs_go_and_others_stay() {
    assert_eq!(
        dropped(run(2)),
        (2, 0),
        "done and old: all of it, and not before"
    );
    assert_eq!(dropped(run(1)), (0, 0), "somebody is pending");
}
