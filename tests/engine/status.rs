//! Counts, as `status --json` gives them.

use mailq::domain::ids::RunKey;
use mailq::engine::account::{Left, View, left, status};
use mailq_testkit::story::Story;

#[test]
fn the_json_has_the_keys_of_the_contract() {
    Story::run(async |story| {
        story.everything().await;
        let status = status(story.queue(), story.now(), None).await.unwrap();
        let json = serde_json::to_value(&status).unwrap();
        for key in ["queue", "campaigns", "retry", "dlq", "workers"] {
            assert!(json.get(key).is_some(), "{key}");
        }
        let expected = serde_json::json!({
            "campaign": "spring", "run": "1", "state": "sending", "enqueued": 8, "delivered": 2, "bounced": 1,
            "dead": 1, "suppressed": 1, "expired": 0, "cancelled": 0, "in_doubt": 0, "retrying": 1, "pending": 2,
        });
        assert_eq!(json["campaigns"][0], expected);
        let tier =
            serde_json::json!({"tier": "60s", "messages": 1, "next_due": "2026-01-01T00:01:00Z"});
        assert_eq!(json["retry"][0], tier);
        assert_eq!(json["workers"][0]["name"], "story");
    });
}

#[test]
fn a_campaign_that_is_not_here_has_no_rows() {
    Story::run(async |story| {
        story.everything().await;
        let status = status(story.queue(), story.now(), Some("autumn"))
            .await
            .unwrap();
        assert_eq!((status.campaigns.len(), status.dlq, status.lag), (0, 1, 0));
    });
}

#[test]
fn what_is_left_is_counted_in_messages() {
    Story::run(async |story| {
        story.everything().await;
        let (queue, now) = (story.queue(), story.now());
        let all = Left {
            unfinished: 3,
            retrying: 1,
        };
        let view = View::read(queue, true).await.unwrap();
        assert_eq!(left(&view, now, None).unwrap(), all);
        let key = status(queue, now, None).await.unwrap().campaigns[0].key;
        assert_eq!(left(&view, now, Some(key)).unwrap(), all);
        let other = Some(RunKey(key.0 ^ 1));
        assert_eq!(left(&view, now, other).unwrap(), Left::default());
    });
}
