//! Pause, resume, cancel, and the rate in force.

use mailq::domain::rate::Rate;
use mailq::domain::records::RateInForce;
use mailq::engine::account::{AccountError, State, status};
use mailq::engine::control::{Wish, control, publish_rate};
use mailq_testkit::story::Story;

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
