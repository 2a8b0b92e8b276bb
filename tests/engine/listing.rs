//! What became of each recipient, in row order.

use mailq::engine::account::{Recipients, recipients};
use mailq_testkit::story::Story;
use std::ops::ControlFlow;

#[test]
fn everybody_is_listed_in_row_order() {
    Story::run(async |story| {
        let key = story.everything().await;
        let folder = tempfile::tempdir().unwrap();
        let mut found = Vec::new();
        let asked = Recipients {
            run: key,
            states: &[],
            now: story.now(),
            folder: folder.path(),
        };
        recipients(story.queue(), asked, &mut |_, _| (), &mut |row| {
            found.push((row.row, row.address, row.state, row.attempts));
            ControlFlow::Continue(())
        })
        .await
        .unwrap();
        let expected = [
            (0, "delivered", 1),
            (1, "bounced", 1),
            (2, "dead", 1),
            (3, "suppressed", 0),
            (4, "retrying", 1),
            (5, "delivered", 2),
            (6, "pending", 0),
            (7, "pending", 0),
        ];
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(row, state, attempts)| (row, format!("r{row}@example.org"), state, attempts))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    });
}
