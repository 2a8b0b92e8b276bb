//! Outcomes as they were written, filtered.

use mailq::domain::event::EventType;
use mailq::engine::account::{EventFilter, events};
use mailq_testkit::story::Story;
use std::ops::ControlFlow;

#[test]
fn filters_hold_and_a_break_ends_it() {
    Story::run(async |story| {
        story.everything().await;
        for (kind, follow, at_most, expected) in [
            (None, false, 99, 7),
            (Some(EventType::Delivered), false, 99, 2),
            (Some(EventType::Cancelled), false, 99, 0),
            (None, true, 3, 3),
        ] {
            let filter = EventFilter {
                kind,
                campaign: Some("spring".into()),
                ..EventFilter::default()
            };
            let mut found = 0;
            events(story.queue(), &filter, follow, &mut |_| {
                found += 1;
                if found == at_most {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
            .await
            .unwrap();
            assert_eq!(found, expected, "{kind:?}");
        }
    });
}
