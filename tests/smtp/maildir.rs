//! The outbox of files: what is delivered is there, whole, once.

use super::feeds::{List, message, relay, stage_of};
use mailq::domain::outcome::Stage;
use mailq::smtp::SessionEnd;

#[tokio::test(flavor = "current_thread")]
async fn writes_messages_as_files_and_replaces_them_on_resend() {
    let folder = tempfile::tempdir().unwrap();
    let relay = relay(&format!("maildir:{}", folder.path().join("out").display()));
    let mut messages: Vec<_> = (0..100).map(|n| message(n, "a@x.example")).collect();
    messages[50].message_id = "../../../escape".into();
    messages[51].recipient = "a@x.example\r\nBcc: b@x.example".into();
    for _ in 0..2 {
        let mut list = List::of(messages.clone());
        list.too_old = vec![99];
        assert_eq!(relay.run_session(&list).await, SessionEnd::Finished);
        let ends = list.summary();
        assert_eq!(ends.iter().filter(|end| *end == "delivered").count(), 98);
        assert_eq!(
            (ends[51].as_str(), ends[99].as_str()),
            ("rcpt_to 501", "not sent")
        );
    }
    let files: Vec<_> = std::fs::read_dir(folder.path().join("out/new"))
        .unwrap()
        .collect();
    assert_eq!(files.len(), 98);
    let text = std::fs::read_to_string(folder.path().join("out/new/7@example.org")).unwrap();
    assert!(
        text.starts_with("Return-Path: <bounces@example.org>\r\nX-Original-To: a@x.example\r\n")
    );
    assert!(
        text.contains("\r\nDate: ") && text.ends_with("\r\n.hidden\r\n..\r\nbody of 7\r\n.\r\n")
    );
}

#[tokio::test(flavor = "current_thread")]
async fn a_folder_that_cannot_be_created_takes_no_message() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let list = List::to(&["a@x.example"]);
    let relay = relay(&format!("maildir:{}", file.path().display()));
    let end = relay.run_session(&list).await;
    assert_eq!(stage_of(&end), Some(Stage::Connect));
    assert!(relay.probe().await.is_err());
    assert_eq!(list.taken.borrow().len(), 0);
}
