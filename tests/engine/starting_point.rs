//! Where a partition of a queue that forgets commits is begun.

use mailq::domain::records::Checkpoint;
use mailq::domain::topic::{Topic, TopicPartition};
use mailq::engine::starting_point::starting_point;
use mailq::protocol::checkpoint::Start;
use mailq::queue::{Queue, Record};
use mailq_testkit::memory::{Faults, MemoryLog};
use std::time::Duration;

const TIER: TopicPartition = TopicPartition::new(Topic::Retry(Duration::from_secs(60)), 0);
const SEND: TopicPartition = TopicPartition::new(Topic::Send, 0);

fn checkpoint(at: TopicPartition, clean: bool) -> Checkpoint {
    Checkpoint {
        at: at.to_string(),
        owner: 4,
        clean,
        offset: 57,
        text: "mq1;o4,w;n57;l8".to_string(),
        claims: 64,
        by: "w".to_string(),
        written_at: String::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_tier_is_begun_anew_only_where_nothing_ever_was() {
    let log = MemoryLog::new(1, 2, Duration::from_secs(15), Faults::none());
    let queue = log.start_process();
    queue
        .create_topics(&[TIER.topic, SEND.topic])
        .await
        .unwrap();
    let anew = Start::Restored((0, "mq2;e4,w;n0;l8".to_string()));
    for clean in [false, true] {
        let last = checkpoint(TIER, clean);
        let found = starting_point(&queue, TIER, None, Some(&last))
            .await
            .unwrap();
        assert_eq!(found, anew);
    }
    let found = starting_point(&queue, TIER, None, None).await.unwrap();
    assert_eq!(found, Start::Fresh);
    let lost = checkpoint(SEND, false);
    let found = starting_point(&queue, SEND, None, Some(&lost))
        .await
        .unwrap();
    assert_eq!(found, Start::Lost);

    let record = Record {
        key: None,
        headers: Vec::new(),
        payload: None,
    };
    queue.append(TIER, vec![record]).await.unwrap();
    queue.drop_below(TIER, 1).await.unwrap();
    let lost = checkpoint(TIER, false);
    let found = starting_point(&queue, TIER, None, Some(&lost))
        .await
        .unwrap();
    assert_eq!(found, Start::Lost);
}
