//! A disk without space.

use super::*;
use crate::queue::{Commit, CommitOutcome, Ownership};
use bytes::Bytes;
use futures_util::future::join_all;

const SEND: TopicPartition = TopicPartition::new(Topic::Send, 0);

fn record(bytes: usize) -> Record {
    Record {
        payload: Some(Bytes::from(vec![b'x'; bytes])),
        ..Record::default()
    }
}

/// Limits the file to `pages`, beyond which writes find the disk full.
async fn limit_pages(queue: &SqliteQueue, pages: u32) {
    let limit = move |connection: &rusqlite::Connection| {
        let sql = format!("PRAGMA max_page_count = {pages}");
        connection.query_row(&sql, [], |_| Ok(()))?;
        Ok(())
    };
    queue.writer.run_outside_transaction(limit).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_what_does_not_fit_until_there_is_space() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let options = OpenOptions {
        create: true,
        partitions: 1,
        ..OpenOptions::new("key")
    };
    let queue = SqliteQueue::open(&path, options).unwrap();
    queue.create_topics(&[Topic::Send]).await.unwrap();
    let member = queue.join("a").await.unwrap();
    let Ownership::Gained { at: SEND, token } = member.changed().await else {
        panic!("the only member gains the only partition");
    };
    limit_pages(&queue, 100).await;
    let full = QueueError::Full {
        path: path.display().to_string(),
    };
    // The large one does not fit; the small ones in the same transaction do.
    let appends = [1, 2_000_000, 1].map(|bytes| queue.append(SEND, vec![record(bytes)]));
    let results = join_all(appends).await;
    assert_eq!(results, [Ok(vec![0]), Err(full), Ok(vec![1])]);
    let commit = Commit {
        at: SEND,
        token,
        offset: 1,
        text: "still".to_string(),
    };
    assert_eq!(member.commit(vec![commit]).await, [CommitOutcome::Done]);
    limit_pages(&queue, u32::MAX >> 2).await;
    assert_eq!(
        queue.append(SEND, vec![record(2_000_000)]).await,
        Ok(vec![2])
    );
}
