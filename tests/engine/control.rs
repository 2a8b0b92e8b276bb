//! Pause, resume, cancel.

use mailq::engine::account::{AccountError, State, status};
use mailq::engine::control::{Wish, control};
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
